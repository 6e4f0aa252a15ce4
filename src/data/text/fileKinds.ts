// Files that are no text, known by their first bytes: what each is, and how to get rows out of it.
// Not here: text in other encodings (textEncoding.ts).

export interface FileKind {
  /** With its article: “an Excel workbook”. */
  name: string;
  fix: string;
}

const AS_CSV = 'Open it in your spreadsheet program and save the sheet as “CSV UTF-8”.';
const AS_TEXT =
  'Copy the questions and answers into a table or a text file, and save that as “CSV UTF-8” or JSONL.';
const UNPACK = 'Unpack it and give the file inside.';
const AS_JSONL =
  'Convert it in Python: datasets.load_dataset or pandas reads it, and to_json(…, orient="records", lines=True, force_ascii=False) writes JSONL.';

interface Signature extends FileKind {
  /** One character a byte. */
  start: string;
  /** Where `start` stands. */
  at?: number;
  /** Must also stand within the first 4,096 bytes or the last. */
  holds?: string;
}

/** The first that fits counts, so those that ask for more come first. */
const SIGNATURES: readonly Signature[] = [
  { name: 'an Excel workbook', start: 'PK\x03\x04', holds: 'xl/', fix: AS_CSV },
  { name: 'a Word document', start: 'PK\x03\x04', holds: 'word/', fix: AS_TEXT },
  { name: 'a PowerPoint presentation', start: 'PK\x03\x04', holds: 'ppt/', fix: AS_TEXT },
  {
    name: 'an OpenDocument spreadsheet',
    start: 'PK\x03\x04',
    holds: 'opendocument.spreadsheet',
    fix: AS_CSV,
  },
  { name: 'an OpenDocument file', start: 'PK\x03\x04', holds: 'vnd.oasis.opendocument', fix: AS_TEXT },
  { name: 'an EPUB book', start: 'PK\x03\x04', holds: 'epub+zip', fix: AS_TEXT },
  {
    name: 'a Numbers, Pages or Keynote document',
    start: 'PK\x03\x04',
    holds: 'Index/',
    fix: 'Export it as CSV (Numbers) or as text.',
  },
  { name: 'a ZIP archive', start: 'PK\x03\x04', fix: UNPACK },
  { name: 'an empty ZIP archive', start: 'PK\x05\x06', fix: 'Give a file with rows.' },
  { name: 'an old Excel or Word file', start: '\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1', fix: AS_CSV },
  { name: 'a PDF', start: '%PDF-', fix: AS_TEXT },
  { name: 'a Rich Text document', start: '{\\rtf', fix: 'Save it as plain text, UTF-8.' },
  { name: 'a gzip archive', start: '\x1F\x8B', fix: UNPACK },
  { name: 'a bzip2 archive', start: 'BZh', holds: '1AY&SY', fix: UNPACK },
  { name: 'an xz archive', start: '\xFD7zXZ\x00', fix: UNPACK },
  { name: 'a Zstandard archive', start: '\x28\xB5\x2F\xFD', fix: UNPACK },
  { name: 'a 7-Zip archive', start: '7z\xBC\xAF\x27\x1C', fix: UNPACK },
  { name: 'a RAR archive', start: 'Rar!\x1A\x07', fix: UNPACK },
  { name: 'a tar archive', start: 'ustar', at: 257, fix: UNPACK },
  { name: 'a Parquet file', start: 'PAR1', fix: AS_JSONL },
  { name: 'an Arrow file', start: 'ARROW1', fix: AS_JSONL },
  { name: 'a Feather file', start: 'FEA1', fix: AS_JSONL },
  { name: 'an Avro file', start: 'Obj\x01', fix: AS_JSONL },
  { name: 'an SQLite database', start: 'SQLite format 3\x00', fix: 'Export the table as CSV.' },
  { name: 'a Python pickle', start: '\x80\x04\x95', fix: AS_JSONL },
  { name: 'a NumPy file', start: '\x93NUMPY', fix: AS_JSONL },
  { name: 'an HDF5 file', start: '\x89HDF\r\n', fix: AS_JSONL },
  { name: 'a PNG image', start: '\x89PNG\r\n', fix: 'Give a file with text rows.' },
  { name: 'a JPEG image', start: '\xFF\xD8\xFF', fix: 'Give a file with text rows.' },
  { name: 'a GIF image', start: 'GIF89a', fix: 'Give a file with text rows.' },
  { name: 'a WebP image', start: 'RIFF', holds: 'WEBP', fix: 'Give a file with text rows.' },
  { name: 'a WAV recording', start: 'RIFF', holds: 'WAVE', fix: 'Give a file with text rows.' },
  { name: 'an MP3 recording', start: 'ID3\x03', fix: 'Give a file with text rows.' },
  { name: 'a video or sound file', start: 'ftyp', at: 4, fix: 'Give a file with text rows.' },
  {
    name: 'a Git LFS pointer, not the file itself',
    start: 'version https://git-lfs.github.com/spec/',
    fix: 'Fetch the file: git lfs pull, or download it from the repository’s page.',
  },
];

const HEAD = 4096;

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** What the file is when it is no text; null when its first bytes are none of those known. */
export function fileKind(bytes: Uint8Array): FileKind | null {
  const head = latin1(bytes.subarray(0, HEAD));
  const fits = ({ start, at = 0, holds }: Signature): boolean => {
    if (!head.startsWith(start, at)) return false;
    // A ZIP's list of contents is at its end.
    return holds === undefined || head.includes(holds) || latin1(bytes.subarray(-HEAD)).includes(holds);
  };
  return SIGNATURES.find(fits) ?? null;
}
