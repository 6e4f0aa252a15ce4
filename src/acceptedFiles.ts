// The lists of data files and row formats that are read: endings, names, how a file is read. File picker, page, help and reader share them.
// Not here: reading them (data/dataFile.ts, data/reading/rowFormats.ts), files that are no text (data/text/fileKinds.ts).

import { listed } from './wording';

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

/** Names of the row formats, in the plural, as “12 rows of …” goes on. */
export const ROW_FORMAT_LABELS = {
  preference: 'preference pairs',
  messages: 'chat messages',
  gemini: 'Gemini contents',
  sharegpt: 'ShareGPT conversations',
  instruction: 'Alpaca instructions',
  prompt_completion: 'prompts and completions',
  text: 'plain texts',
} as const;

export type RowFormat = keyof typeof ROW_FORMAT_LABELS;

/** A row of each format, as it stands on one line of a file: for help texts, where a visitor looks for a row like theirs. */
export const ROW_FORMAT_EXAMPLES: Readonly<Record<RowFormat, string>> = {
  preference: '{"prompt": "Hello", "chosen": "Ahoy!", "rejected": "Hi."}',
  messages: '{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Ahoy!"}]}',
  gemini:
    '{"contents": [{"role": "user", "parts": [{"text": "Hello"}]}, {"role": "model", "parts": [{"text": "Ahoy!"}]}]}',
  sharegpt: '{"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Ahoy!"}]}',
  instruction: '{"instruction": "Say this like a pirate.", "input": "Hello", "output": "Ahoy!"}',
  prompt_completion: '{"prompt": "Hello", "completion": "Ahoy!"}',
  text: '{"text": "Ahoy, said the captain, and the crew said it after him."}',
};

/** "preference pairs, chat messages, … and plain texts". */
export const ROW_FORMATS_TEXT = listed(Object.values(ROW_FORMAT_LABELS), Number.POSITIVE_INFINITY);

/** The entry of a file's name; undefined for other endings. */
export function acceptedFile(name: string): AcceptedFile | undefined {
  const lower = name.toLowerCase();
  return ACCEPTED_FILES.find(({ extensions }) => extensions.some((extension) => lower.endsWith(extension)));
}
