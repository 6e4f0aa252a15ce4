// The code of an issue as a heading.
// Not here: what an issue says (data/).

/** "invalid_json" → "Invalid JSON". */
export function issueTitle(code: string): string {
  return (code.charAt(0).toUpperCase() + code.slice(1)).replaceAll('_', ' ').replace(/\bjson\b/i, 'JSON');
}
