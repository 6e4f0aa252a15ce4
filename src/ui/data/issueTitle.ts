// The code of an issue as a heading.
// Not here: what an issue says (data/).

import { capital } from '../../wording';

/** "invalid_json" → "Invalid JSON". */
export function issueTitle(code: string): string {
  return capital(code)
    .replaceAll('_', ' ')
    .replace(/\bjson\b/i, 'JSON');
}
