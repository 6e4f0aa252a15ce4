// The list of data files that are read: their endings, what they are called, how they are read. File picker, help and reader share it.
// Not here: reading them (data/dataFile.ts), files that are no text (data/text/fileKinds.ts).

export interface AcceptedFile {
  label: string;
  /** With the dot, in lower case. */
  extensions: readonly string[];
  /** What such a file is expected to be; a look into it decides. */
  holds: 'json' | 'table' | 'text';
}

export const ACCEPTED_FILES: readonly AcceptedFile[] = [
  { label: 'JSONL', extensions: ['.jsonl', '.ndjson'], holds: 'json' },
  { label: 'JSON', extensions: ['.json'], holds: 'json' },
  { label: 'CSV', extensions: ['.csv'], holds: 'table' },
  { label: 'TSV', extensions: ['.tsv', '.tab'], holds: 'table' },
  { label: 'Markdown', extensions: ['.md', '.markdown'], holds: 'text' },
  { label: 'plain text', extensions: ['.txt', '.text'], holds: 'text' },
];

/** For a file picker: ".jsonl,.ndjson,.json". */
export const ACCEPTED_EXTENSIONS = ACCEPTED_FILES.flatMap(({ extensions }) => extensions).join(',');

/** "JSONL, JSON, CSV, TSV, Markdown or plain text". */
export const ACCEPTED_LABELS = ACCEPTED_FILES.map(({ label }) => label)
  .join(', ')
  .replace(/, ([^,]*)$/, ' or $1');

/** The entry of a file's name; undefined for other endings. */
export function acceptedFile(name: string): AcceptedFile | undefined {
  const lower = name.toLowerCase();
  return ACCEPTED_FILES.find(({ extensions }) => extensions.some((extension) => lower.endsWith(extension)));
}
