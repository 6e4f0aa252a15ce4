// Large files read piece by piece: the same as when they are read as a whole, with progress, and an end on demand.
// Not here: what rows are read as (rows.test.ts), memory, which is measured (test/bench/readFile.mjs).

import { describe, expect, test } from 'vitest';
import { type DataFile, readDataBytes } from '../src/data/dataFile';
import { createRandom } from '../src/data/random';
import { readDataBlob, WHOLE } from '../src/data/streamedFile';
import type { ReadProgress } from '../src/dataReport';
import { Dataset } from '../src/session/dataset';
import { readControl } from '../src/session/reading';

const random = createRandom(7);
const words = 'boat red sea über grün 木 sail harbour “wind” tide'.split(' ');
const sentence = () => Array.from({ length: 30 }, () => words[Math.floor(random() * words.length)]).join(' ');
const row = (n: number) => ({
  messages: [
    { role: 'user', content: `${n} ${sentence()}` },
    { role: 'assistant', content: sentence() },
  ],
});
/** Rows until they fill more than one piece. */
function filled(of: (n: number) => string): string[] {
  const rows: string[] = [];
  for (let n = 0, length = 0; length < 1.3 * WHOLE; n++) {
    const text = of(n);
    rows.push(text);
    length += text.length;
  }
  return rows;
}
/** A fault now and then, of every kind that concerns a piece's borders. */
function faulty(n: number): string {
  const text = JSON.stringify(row(n));
  if (n % 997 === 5) return `${text},`;
  if (n % 997 === 17) return JSON.stringify(row(n), null, 2);
  if (n % 997 === 40) return text.slice(0, 60);
  if (n % 997 === 80) return '// a comment\n';
  if (n % 997 === 120) return text.replace('"user"', '"User"');
  if (n % 997 === 160) return `${text} ${text}`;
  if (n % 997 === 200) return text.replace('über', 'Ã¼ber und \uFFFD');
  return text;
}

const large: [string, string, string][] = [
  ['JSONL with faults', 'rows.jsonl', filled(faulty).join('\n')],
  [
    'JSONL with a mark and \\r\\n',
    'rows.jsonl',
    `\uFEFF${filled((n) => JSON.stringify(row(n))).join('\r\n')}\r\n`,
  ],
  ['a list', 'rows.json', `[${filled((n) => JSON.stringify(row(n))).join(',\n')}]`],
  [
    'a list with indents and a comma too many',
    'rows.json',
    `[\n${filled((n) => JSON.stringify(row(n), null, 1)).join(',\n')},\n]\n`,
  ],
  [
    'a list on one line',
    'rows.json',
    JSON.stringify(
      filled((n) => String(n))
        .slice(0, 11_000)
        .map((n) => row(Number(n))),
    ),
  ],
  [
    'a table',
    'rows.csv',
    `id;Frage;Antwort\n${filled((n) => `${n};"${sentence()}\n""${n}""";${n % 500 === 3 ? 'a;b' : sentence()}`).join('\n')}\n`,
  ],
  ['a list that is cut off', 'rows.json', `[${filled((n) => JSON.stringify(row(n))).join(',\n')}`],
  [
    'rows by side',
    'rows.json',
    JSON.stringify({
      train: filled((n) => String(n))
        .slice(0, 11_000)
        .map((n) => row(Number(n))),
    }),
  ],
];

const told = (file: DataFile) => ({
  ...file,
  groups: file.groups.groups(),
  mends: file.mends.groups(),
  inPieces: undefined,
});

describe('a file above the size that is read as a whole', { timeout: 60_000 }, () => {
  test.each(large)('%s is read the same in pieces', async (_, name, text) => {
    const bytes = new TextEncoder().encode(text);
    expect(bytes.length).toBeGreaterThan(WHOLE);
    const progress: number[] = [];
    const pieces = await readDataBlob(
      name,
      new Blob([bytes]),
      undefined,
      {},
      { onProgress: (done) => progress.push(done) },
    );
    const whole = await readDataBytes(name, bytes);
    expect(told(pieces)).toEqual(told(whole));
    expect(pieces.examples.length).toBeGreaterThan(1000);
    if (!/cut off|by side/.test(_)) expect([pieces.inPieces, progress.at(-1)]).toEqual([true, bytes.length]);
  });

  test('in another encoding is read as a whole', async () => {
    const text = filled((n) => JSON.stringify(row(n)))
      .join('\n')
      .replaceAll(/[“”木]/g, '');
    const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
    const file = await readDataBlob('rows.jsonl', new Blob([bytes]), undefined);
    expect(file.encoding).toBe('windows-1252');
    expect(told(file)).toEqual(told(await readDataBytes('rows.jsonl', bytes)));
  });

  test('ends at the next pause when it is told to, and says so', async () => {
    const [, , text] = large[0] as [string, string, string];
    const stop = new AbortController();
    const told: ReadProgress[] = [];
    const control = readControl({ yieldToEvents: async () => {} }, stop.signal, (progress) => {
      told.push(progress);
      stop.abort();
    });
    const reading = Dataset.read('rows.jsonl', new Blob([text]), {}, { control: control('read') });
    await expect(reading).rejects.toMatchObject({ code: 'reading_cancelled' });
    expect(told).toMatchObject([{ stage: 'read', done: 1 << 20 }]);
  });

  test('is written with its mends as a whole one is', async () => {
    const [, name, text] = large[0] as [string, string, string];
    const bytes = new TextEncoder().encode(text);
    const [pieces, whole] = await Promise.all(
      [new Blob([bytes]), bytes].map(async (content) =>
        (await Dataset.read(name, content)).mendedFile('same'),
      ),
    );
    expect(pieces?.join('') === whole?.join('')).toBe(true);
  });
});
