// Texts without roles: where they are cut, that nothing of them is lost, what is learned of them, and their split.
// Not here: telling a text from a table (rows.test.ts), conversations (data.test.ts).

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readDataFile } from '../src/data/dataFile';
import { prepareRows } from '../src/data/prepareRows';
import { cutText } from '../src/data/reading/plainText';
import { type Chat, createChat } from '../src/data/tokens/chat';
import { createTokenizer } from '../src/data/tokens/tokenizer';
import { defaultHyperparameters } from '../src/hyperparameters';
import { Dataset } from '../src/session/dataset';

const fixtures = fileURLToPath(new URL('./fixtures/tokenizers/', import.meta.url));

function chatOf(kind: string): Chat {
  const read = (file: string) =>
    JSON.parse(readFileSync(`${fixtures}${kind}/${file}`, 'utf8')) as Record<string, unknown>;
  const config = read('tokenizer_config.json');
  const template = config.chat_template;
  return createChat(
    createTokenizer({
      tokenizerJson: read('tokenizer.json'),
      tokenizerConfig: config,
      chatTemplate: typeof template === 'string' ? template : null,
      eosTokenIds: [],
    }),
  );
}

const kinds = ['gpt2-like', 'llama2-like', 'metaspace-bpe', 'unigram'];
const h = { ...defaultHyperparameters(), max_length: 512 };
/** Paragraphs of different lengths. */
const paragraphs = Array.from({ length: 60 }, (_, i) =>
  `Paragraph ${i} tells of a boat. ${'It was painted, and it was sold again. '.repeat(1 + (i % 4))}`.trim(),
);
const book = paragraphs.join('\n\n');

describe('a text', () => {
  test('is cut at the best borders into parts that fit, without overlap, and all of it is there', () => {
    const text = fc.array(fc.constantFrom('a', 'bc', ' ', '. ', '\n', '\n\n', 'ü', '日本。', '😀'), {
      maxLength: 80,
    });
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 20 }), (pieces, limit) => {
        const whole = pieces.join('');
        const parts = cutText(whole, limit, (part) => [...part].length);
        let from = 0;
        for (const { start, end } of parts) {
          expect(whole.slice(from, start).trim()).toBe('');
          expect(end).toBeGreaterThan(start);
          expect([...whole.slice(start, end)].length).toBeLessThanOrEqual(limit);
          // No half of a character.
          expect(whole.slice(start, end)).not.toMatch(/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/);
          from = end;
        }
        expect(whole.slice(from).trim()).toBe('');
      }),
    );
    const cut = (whole: string, limit: number) =>
      cutText(whole, limit, (part) => part.length).map(({ start, end }) => whole.slice(start, end));
    expect(cut('one two.\n\nthree\nfour.\n\nfive', 12)).toEqual(['one two.', 'three\nfour.', 'five']);
    expect(cut('one two. three four! five', 11)).toEqual(['one two.', 'three four!', 'five']);
    expect(cut('abcdefghij', 4)).toEqual(['abcd', 'efgh', 'ij']);
  });

  test.each(kinds)('has each token learned but the first, with the tokenizer of %s', async (kind) => {
    const chat = chatOf(kind);
    const { tokenizer } = chat;
    const file = await readDataFile('book.txt', book);
    const { usable, rows, understood, issues, train, validation } = prepareRows(file, chat, 2048, h);
    expect(issues.filter((i) => i.severity === 'error')).toEqual([]);
    expect(usable.length).toBe(rows);
    expect(rows).toBeGreaterThan(20);
    expect(understood).toMatch(
      new RegExp(
        `^${rows} rows from a plain text of [\\d,]+ characters, cut at paragraphs; every token is learned\\.$`,
      ),
    );
    expect([train.length + validation.length, validation.length > 1]).toEqual([rows, true]);
    const eos = tokenizer.eosToken === null ? undefined : tokenizer.tokenId(tokenizer.eosToken);
    for (const [i, { encoded, example }] of usable.entries()) {
      expect([...encoded.mask]).toEqual([0, ...Array(encoded.ids.length - 1).fill(1)]);
      if (tokenizer.addsBos) expect(encoded.ids[0]).toBe(tokenizer.bosTokenId);
      // The text ends once.
      expect(encoded.ids.at(-1) === eos).toBe(i === rows - 1 && eos !== undefined);
      const ids = tokenizer.encode(example.text ?? '', { allowSpecial: true });
      expect(encoded.ids.join()).toContain(ids.join());
    }
    // Named by the line it starts on; most start with a paragraph.
    let from = 0;
    for (const { encoded, example } of usable) {
      from = book.indexOf(example.text as string, from);
      expect(encoded.line).toBe(book.slice(0, from).split('\n').length);
    }
    expect(usable.filter(({ example }) => example.text?.startsWith('Paragraph')).length).toBeGreaterThan(
      rows / 3,
    );
  });

  test('longer than a row is cut, and nothing of it is lost', async () => {
    const chat = chatOf('gpt2-like');
    const file = await readDataFile(
      'rows.jsonl',
      `${JSON.stringify({ text: book })}\n${JSON.stringify({ text: 'Short.' })}\n`,
    );
    const prepared = prepareRows(file, chat, 64, h);
    expect(prepared.usable.every(({ encoded }) => encoded.ids.length <= 64)).toBe(true);
    expect(prepared.rows).toBe(prepared.usable.length);
    expect(new Set(prepared.usable.map(({ encoded }) => encoded.line))).toEqual(new Set([1, 2]));
    const all = prepared.usable.map(({ example }) => example.text).join(' ');
    expect(all.replaceAll(/\s+/g, ' ')).toBe(`${book} Short.`.replaceAll(/\s+/g, ' '));
    expect(prepared.understood).toMatch(/cut into \d+ rows at paragraphs/);
  });

  test('that a chat template has written keeps its control tokens, and that is said once', async () => {
    const chat = chatOf('gpt2-like');
    const rendered = Array.from({ length: 12 }, (_, i) =>
      chat.render([
        { role: 'user', content: `question ${i}` },
        { role: 'assistant', content: `answer ${i}` },
      ]),
    );
    const file = await readDataFile(
      'rows.jsonl',
      rendered.map((text) => JSON.stringify({ text })).join('\n'),
    );
    const { usable, issues } = prepareRows(file, chat, 512, h);
    expect(usable).toHaveLength(12);
    for (const [i, { encoded }] of usable.entries()) {
      const ids = chat.tokenizer.encode(rendered[i] as string, { allowSpecial: true });
      expect([...encoded.ids.subarray(0, ids.length)]).toEqual(ids);
    }
    expect(issues.map((issue) => issue.code)).toEqual(['rendered_chat']);
    expect(issues[0]?.message).toMatch(
      /^All 12 rows hold control tokens of this model, such as “<\|im_start\|>”/,
    );
  });

  test('is shown in the preview, and its report counts the rows it was cut into', async () => {
    const chat = chatOf('gpt2-like');
    const dataset = await Dataset.read('book.md', new TextEncoder().encode(book));
    const report = dataset.encode(chat, { contextLength: 512 } as never, h);
    expect(report).toMatchObject({ badRows: 0, leftOutRows: 0, needsConsent: false });
    expect(report.rows).toBe(report.trainRows + report.validationRows);
    const [row] = dataset.preview(chat, { offset: 0, count: 1, split: 'train' });
    expect(row?.tokens.map((t) => t.text).join('')).toContain('Paragraph');
    expect(row?.tokens.every((t) => t.role === 'text')).toBe(true);
    expect(() => dataset.assertTrainable()).not.toThrow();
  });

  test('that is alike is kept on one side of the split', async () => {
    const words =
      'amber boat cedar drum ember flute garden harbour iron jade kite lamp moss nest oak pearl'.split(' ');
    const sentence = (i: number) =>
      `The ${words[i % 16]} near the ${words[(i * 7 + 3) % 16]} was kept for the ${words[(i * 5 + 1) % 16]} of the ${words[(i * 11 + 2) % 16]}.`;
    const texts = Array.from({ length: 40 }, (_, i) => sentence(i % 20) + (i >= 20 ? ' !' : ''));
    const file = await readDataFile('rows.jsonl', texts.map((text) => JSON.stringify({ text })).join('\n'));
    const { train, validation } = prepareRows(file, chatOf('gpt2-like'), 512, h);
    const side = new Map([
      ...train.map((r) => [r.encoded.line, 'train'] as const),
      ...validation.map((r) => [r.encoded.line, 'validation'] as const),
    ]);
    for (let i = 1; i <= 20; i++) expect(side.get(i)).toBe(side.get(20 + i));
  });

  test('of nothing says so', async () => {
    const chat = chatOf('gpt2-like');
    const dataset = await Dataset.read('empty.txt', ' \n');
    dataset.encode(chat, { contextLength: 512 } as never, h);
    expect(() => dataset.assertTrainable()).toThrow(
      expect.objectContaining({ code: 'no_rows', message: 'The file is empty.' }),
    );
  });
});
