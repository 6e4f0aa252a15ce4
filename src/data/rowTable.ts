// The table of rows: usable ones with their tokens, those with errors with their text; searched, filtered and sorted.
// Not here: reading, encoding or splitting them (dataFile.ts), how the table looks (ui/data/).

import type { EncodedExample, Example, RowPreview } from '../contract';
import type { FoundRows, RowItem, RowQuery, RowUse } from '../dataContract';

/** A row that is not used for anything, with the text that is shown of it. */
export interface UnusedRow {
  line: number;
  text: string;
}

/** A usable row and its side. `index` counts the rows of a side from 0. */
export interface UsedRow {
  use: Exclude<RowUse, 'unused'>;
  index: number;
  example: Example;
  encoded: EncodedExample;
}

const USES: readonly RowUse[] = ['train', 'validation', 'test', 'unused'];
/** Characters of a question or an answer that a line of the table can show. */
const SHOWN = 240;

interface Entry {
  /** In the order of the files, from 0. */
  place: number;
  line: number;
  used: UsedRow | null;
  text: string;
  tokens: number;
  learned: number;
}

const FILES: readonly EncodedExample['file'][] = [undefined, 'validation', 'test'];
const NONE: ReadonlySet<string> = new Set();

const shortened = (text: string) => (text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);

/** What a search looks into: all messages, or the text. */
function textOf({ text, messages }: Pick<RowPreview, 'messages'> & { text?: string }): string {
  return text ?? messages.map(({ content }) => content).join('\n');
}

export class RowTable {
  readonly #entries: Entry[];
  /** Codes by line. */
  readonly #codes = new Map<number, Set<string>>();

  /**
   * Sorted by line once: O(n log n) time, and about 100 bytes a row beside the rows themselves.
   * @param linesByCode lines of the rows that have an issue of a code
   */
  constructor(
    used: readonly UsedRow[],
    unused: readonly UnusedRow[],
    linesByCode: ReadonlyMap<string, readonly number[]>,
  ) {
    this.#entries = [
      ...used.map(
        (row): Entry => ({
          place: 0,
          line: row.encoded.line,
          used: row,
          text: '',
          tokens: row.encoded.fullLength,
          learned: row.encoded.mask.reduce((sum, m) => sum + m, 0),
        }),
      ),
      ...unused.map(
        ({ line, text }): Entry => ({ place: 0, line, used: null, text, tokens: -1, learned: -1 }),
      ),
    ].sort(
      (a, b) =>
        rank(a) - rank(b) || a.line - b.line || (a.used?.encoded.answer ?? 0) - (b.used?.encoded.answer ?? 0),
    );
    for (const [place, entry] of this.#entries.entries()) entry.place = place;
    for (const [code, lines] of linesByCode) {
      for (const line of lines) {
        const codes = this.#codes.get(line) ?? new Set();
        this.#codes.set(line, codes.add(code));
      }
    }
  }

  /** One pass over all rows; a search reads every text, about 100 MB a second. */
  find({ search, use, code, sort, descending }: RowQuery): FoundRows {
    const wanted = search.trim().toLocaleLowerCase();
    const found: number[] = [];
    for (const [id, entry] of this.#entries.entries()) {
      if (use !== null && useOf(entry) !== use) continue;
      if (code !== null && !this.#codesOf(entry).has(code)) continue;
      if (wanted !== '' && !this.#text(entry).toLocaleLowerCase().includes(wanted)) continue;
      found.push(id);
    }
    const key = {
      place: (e: Entry) => e.place,
      length: (e: Entry) => e.tokens,
      learned: (e: Entry) => e.learned,
    }[sort];
    const entryOf = (id: number) => this.#entries[id] as Entry;
    if (sort !== 'place' || descending) {
      found.sort((a, b) => {
        const [one, two] = [key(entryOf(a)), key(entryOf(b))];
        if (one < 0 !== two < 0) return one < 0 ? 1 : -1;
        return (descending ? two - one : one - two) || a - b;
      });
    }
    return {
      ids: Int32Array.from(found),
      lines: Int32Array.from(found, (id) => entryOf(id).line),
      uses: Uint8Array.from(found, (id) => USES.indexOf(useOf(entryOf(id)))),
      indices: Int32Array.from(found, (id) => entryOf(id).used?.index ?? -1),
      codes: this.#counts(),
    };
  }

  /** Lines are those of the data file: a row of another file has none of their codes. */
  #codesOf({ line, used }: Entry): ReadonlySet<string> {
    return used?.encoded.file ? NONE : (this.#codes.get(line) ?? NONE);
  }

  /** Ids that are not in the table are left out. */
  items(ids: readonly number[]): RowItem[] {
    return ids.flatMap((id): RowItem[] => {
      const entry = this.#entries[id];
      if (!entry) return [];
      const { line, used, text } = entry;
      const codes = [...this.#codesOf(entry)];
      if (!used) {
        const bare = { id, line, use: 'unused' as const, index: -1, prompt: shortened(text), reply: '' };
        return [{ ...bare, messages: 0, tokens: null, learned: null, cut: 0, codes }];
      }
      const { example, encoded, use, index } = used;
      const { messages } = example;
      // A row that teaches one answer of a conversation ends with it.
      const seen = encoded.answer === undefined ? messages : messages.slice(0, encoded.answer + 1);
      const reply = seen.findLast(({ role }) => role === 'assistant');
      const prompt = seen.findLast(({ role }) => role === 'user') ?? seen.find((m) => m !== reply);
      return [
        {
          id,
          line,
          ...(encoded.file !== undefined && { file: encoded.file }),
          ...(encoded.answer !== undefined && { answer: encoded.answer }),
          use,
          index,
          prompt: shortened(example.text ?? prompt?.content ?? ''),
          reply: shortened(reply?.content ?? ''),
          messages: messages.length,
          tokens: encoded.fullLength,
          learned: entry.learned,
          cut: encoded.fullLength - encoded.ids.length,
          codes,
        },
      ];
    });
  }

  #text({ used, text }: Entry): string {
    return used ? textOf(used.example) : text;
  }

  /** Rows by code, most rows first. */
  #counts(): { code: string; rows: number }[] {
    const counts = new Map<string, number>();
    for (const entry of this.#entries) {
      for (const code of this.#codesOf(entry)) counts.set(code, (counts.get(code) ?? 0) + 1);
    }
    return [...counts].map(([code, rows]) => ({ code, rows })).sort((a, b) => b.rows - a.rows);
  }
}

/** The data file comes first, the others behind it. */
const rank = ({ used }: Entry) => FILES.indexOf(used?.encoded.file);

const useOf = ({ used }: Entry): RowUse => used?.use ?? 'unused';
