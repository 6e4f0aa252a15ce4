// Documents → passages, short enough to stand in a prompt: rows of a table by a template, Markdown below its headings, paragraphs of a text.
// Not here: finding a passage (passageSearch.ts).
//
// One pass over the text; memory: the passages. A paragraph that is longer than a passage may be is cut at its lines where it has several
// (lists, tables), else at its sentences; what is still longer, at its words.

import Papa from 'papaparse';
import { PlaygroundError } from '../errors';
import type { Passage } from '../ways';
import { listed, plural, quoted } from '../wording';

/** Characters of a passage by default: about 75 tokens of English. */
export const PASSAGE_CHARACTERS = 300;
/** More would take a browser minutes to index. */
const MAX_PASSAGES = 200_000;

export interface PassageOptions {
  /** Of a table: the text of a row, with `{column}` for its cells. Empty: all columns with their names. */
  template?: string;
  /** Longest passage of a text, in characters. */
  characters?: number;
}

const TABLE_NAME = /\.(csv|tsv)$/i;
const MARKDOWN_NAME = /\.(md|markdown)$/i;
const DATA_NAME = /\.(jsonl?|ndjson)$/i;

/**
 * @param name decides how it is cut: .csv and .tsv are tables, .md is Markdown, all else is text
 * @throws PlaygroundError `bad_document` (nothing in it, no text, or too much), `bad_template`
 */
export function cutPassages(name: string, text: string, options: PassageOptions = {}): Passage[] {
  if (DATA_NAME.test(name)) {
    throw badDocument(
      `${name} holds rows of JSON, which have no passages.`,
      'Save it as CSV, Markdown or text.',
      name,
    );
  }
  const passages = TABLE_NAME.test(name)
    ? tablePassages(name, text, options.template ?? '')
    : textPassages(name, text, options.characters ?? PASSAGE_CHARACTERS, MARKDOWN_NAME.test(name));
  if (passages.length === 0) {
    throw badDocument(
      `${name} has nothing that could be looked up.`,
      'Choose a file with rows or paragraphs.',
      name,
    );
  }
  if (passages.length > MAX_PASSAGES) {
    throw badDocument(
      `${name} has ${plural(passages.length, 'passage')}, and ${MAX_PASSAGES.toLocaleString('en')} can be searched.`,
      'Take a part of it.',
      name,
    );
  }
  return passages;
}

const badDocument = (message: string, fix: string, where: string) =>
  new PlaygroundError({ code: 'bad_document', message, fix, where });

// ───────────────────────────── tables ─────────────────────────────

function tablePassages(file: string, text: string, template: string): Passage[] {
  const records: { cells: string[]; line: number }[] = [];
  let [at, line] = [0, 1];
  Papa.parse<string[]>(text, {
    ...(/\.tsv$/i.test(file) && { delimiter: '\t' }),
    step: ({ data, meta, errors }) => {
      const broken = errors.find(({ type }) => type === 'Quotes');
      if (broken) {
        throw badDocument(
          `Line ${line} of ${file} has quotation marks that do not match.`,
          'Close them, or double those inside a cell.',
          file,
        );
      }
      const cells = data.map((cell) => cell.trim());
      if (cells.some((cell) => cell !== '')) records.push({ cells, line });
      for (; at < meta.cursor; at++) if (text[at] === '\n') line++;
    },
  });
  const [head, ...rows] = records;
  if (!head || rows.length === 0) return [];
  const columns = head.cells;
  const write = templateOf(template, columns, file);
  const idColumn = columns.findIndex((column) => column.toLowerCase() === 'id');
  return rows.map(({ cells, line: start }, i) => ({
    id: cells[idColumn] || String(i + 1),
    text: write(cells),
    file,
    line: start,
  }));
}

/** The text of a row. @throws PlaygroundError `bad_template` for a column that is not there */
function templateOf(
  template: string,
  columns: readonly string[],
  file: string,
): (cells: readonly string[]) => string {
  if (template.trim() === '') {
    return (cells) =>
      `${columns.flatMap((column, i) => (cells[i] ? [`${column}: ${cells[i]}`] : [])).join(', ')}.`;
  }
  const known = new Set(columns);
  for (const [, column = ''] of template.matchAll(/\{([^{}]*)\}/g)) {
    if (known.has(column)) continue;
    throw new PlaygroundError({
      code: 'bad_template',
      message: `${file} has no column ${quoted(column)}, which the template names.`,
      fix: `Its columns are ${listed(columns, 20)}.`,
      where: file,
    });
  }
  return (cells) =>
    template.replaceAll(/\{([^{}]*)\}/g, (_, column: string) => cells[columns.indexOf(column)] ?? '');
}

// ───────────────────────────── texts ─────────────────────────────

function textPassages(file: string, text: string, most: number, markdown: boolean): Passage[] {
  const passages: Passage[] = [];
  const headings: string[] = [];
  let paragraph: string[] = [];
  let start = 1;
  let fenced = false;
  const flush = () => {
    const above = headings.filter(Boolean).join(', ');
    const before = above === '' ? '' : `${above}: `;
    // A heading never takes more than half of a passage.
    const prefix = before.length > most / 2 ? '' : before;
    for (const piece of pieces(paragraph, most - prefix.length)) {
      passages.push({ id: String(passages.length + 1), text: prefix + piece, file, line: start });
    }
    paragraph = [];
  };
  for (const [n, raw] of text.split(/\r\n|\r|\n/).entries()) {
    if (markdown && /^\s*(```|~~~)/.test(raw)) {
      fenced = !fenced;
      continue;
    }
    const heading = markdown && !fenced ? /^(#{1,6})\s+(.*?)\s*#*\s*$/.exec(raw) : null;
    if (heading || raw.trim() === '') flush();
    if (heading) {
      const level = (heading[1] as string).length;
      headings.length = Math.min(headings.length, level - 1);
      while (headings.length < level - 1) headings.push('');
      headings.push(plain(heading[2] as string));
    } else if (raw.trim() !== '') {
      if (paragraph.length === 0) start = n + 1;
      paragraph.push(markdown && !fenced ? plain(raw.trim()) : raw.trim());
    }
  }
  flush();
  return passages;
}

/** Without the marks of emphasis and links, which are no words. */
const plain = (line: string) =>
  line
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/(\*\*|__|`)(.+?)\1/g, '$2')
    .replaceAll(/(?<![\w*])\*(\S(?:.*?\S)?)\*(?![\w*])/g, '$1');

/** A paragraph in pieces of at most `most` characters, as few as go. */
function pieces(lines: readonly string[], most: number): string[] {
  const whole = lines.join(' ');
  if (whole === '') return [];
  if (whole.length <= most) return [whole];
  const listLike = lines.filter((line) => /^([-*+|]|\d+[.)])/.test(line)).length > lines.length / 2;
  const units = listLike ? lines : sentencesOf(whole);
  const found: string[] = [];
  let current = '';
  for (const unit of units.flatMap((part) => (part.length > most ? wordPieces(part, most) : [part]))) {
    if (current !== '' && current.length + 1 + unit.length > most) {
      found.push(current);
      current = '';
    }
    current = current === '' ? unit : `${current} ${unit}`;
  }
  return [...found, current];
}

function sentencesOf(text: string): string[] {
  const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' });
  return [...segmenter.segment(text)].map(({ segment }) => segment.trim()).filter(Boolean);
}

function wordPieces(text: string, most: number): string[] {
  const found: string[] = [];
  let rest = text;
  while (rest.length > most) {
    const space = rest.lastIndexOf(' ', most);
    const cut = space > 0 ? space : most;
    found.push(rest.slice(0, cut).trim());
    rest = rest.slice(cut).trim();
  }
  return rest === '' ? found : [...found, rest];
}
