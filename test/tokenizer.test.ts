// Tokenizers and chat templates against transformers: ids, decodings and renderings of every kind of tokenizer, and the shipped one.
// Also what transformers does not do: typed control tokens stay text, and text streams without half characters.
// Fixtures: test/fixtures/make_tokenizers.py.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Message } from '../src/contract';
import { createChat } from '../src/data/tokens/chat';
import { createTokenizer, type Tokenizer } from '../src/data/tokens/tokenizer';
import { architectureFromConfig, expectedTensors } from '../src/formats/architecture';
import { folderFromFiles, readModelFolder } from '../src/formats/huggingface';
import { writeSafetensors } from '../src/formats/safetensors';

const root = fileURLToPath(new URL('./fixtures/tokenizers/', import.meta.url));
const shipped = fileURLToPath(new URL('../models/pebble-1m/', import.meta.url));

interface Expected {
  ids: number[][];
  decoded: Record<string, string>;
  long: string[];
  renderings: (string | null)[];
  renderingIds: (string | null)[];
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

const strings = readJson<string[]>(`${root}strings.json`);
const conversations = readJson<Message[][]>(`${root}conversations.json`);

/** The same rules as LONG in make_tokenizers.py. */
const long: [string, number][] = [
  ['a', 10000],
  [' ', 10000],
  ['The fox sells 12 boats. ', 420],
  ['老船长😀', 2500],
  ['\n', 10000],
  ['ab1 ', 2500],
];

const kinds = [
  'gpt2-like',
  'split-regex',
  'llama2-like',
  'metaspace-bpe',
  'gemma-like',
  'unigram',
  'shipped',
];

function folderOf(kind: string): string {
  return kind === 'shipped' ? shipped : `${root}${kind}/`;
}

/** The reading code of a real folder, with the smallest model that a folder can hold. */
async function load(kind: string): Promise<Tokenizer> {
  const config = {
    model_type: 'llama',
    hidden_size: 2,
    intermediate_size: 2,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    vocab_size: 5000,
    eos_token_id: null,
  };
  const tensors = expectedTensors(architectureFromConfig(config)).map((t) => ({
    ...t,
    data: new Float32Array(t.shape.reduce((a, b) => a * b, 1)),
  }));
  const files = [
    { path: 'm/config.json', file: new Blob([JSON.stringify(config)]) },
    { path: 'm/model.safetensors', file: new Blob([writeSafetensors(tensors)]) },
    ...['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja']
      .filter((name) => existsSync(folderOf(kind) + name))
      .map((name) => ({ path: `m/${name}`, file: new Blob([readFileSync(folderOf(kind) + name)]) })),
  ];
  const folder = await readModelFolder(folderFromFiles(files));
  return createTokenizer({ ...folder, eosTokenIds: folder.architecture.eosTokenIds });
}

const tokenizers = new Map(await Promise.all(kinds.map(async (kind) => [kind, await load(kind)] as const)));

function digest(ids: readonly number[]): string {
  return createHash('sha256').update(ids.join(',')).digest('hex').slice(0, 16);
}

describe.each(kinds)('%s', (kind) => {
  const tokenizer = tokenizers.get(kind) as Tokenizer;
  const expected = readJson<Expected>(`${root}${kind}/expected.json`);

  test(`gives the ids of transformers for ${strings.length} strings`, () => {
    const wrong = strings.flatMap((text, i) => {
      const ids = tokenizer.encode(text, { allowSpecial: true });
      return ids.join() === expected.ids[i]?.join() ? [] : [{ i, text, ids, expected: expected.ids[i] }];
    });
    expect(wrong).toEqual([]);
  });

  test('gives the ids of transformers for strings of 10,000 characters', () => {
    const digests = long.map(([unit, times]) =>
      digest(tokenizer.encode(unit.repeat(times), { allowSpecial: true })),
    );
    expect(digests).toEqual(expected.long);
  });

  test('decodes as transformers does', () => {
    const wrong = strings.flatMap((text, i) => {
      const back = tokenizer.decode(expected.ids[i] ?? []);
      const wanted = expected.decoded[i] ?? text;
      return back === wanted ? [] : [{ i, text, back, wanted }];
    });
    expect(wrong).toEqual([]);
  });

  test('renders and encodes 60 conversations as transformers does', () => {
    const chat = createChat(tokenizer);
    const wrong = conversations.flatMap((messages, i): object[] => {
      const wanted = expected.renderings[i];
      const addGenerationPrompt = messages.at(-1)?.role === 'user';
      let text: string | null = null;
      try {
        text = chat.render(messages, { addGenerationPrompt });
      } catch (error) {
        expect(error).toMatchObject({ code: 'template_refused' });
      }
      if (text !== wanted) return [{ i, text, wanted }];
      const ids = text === null ? null : digest(tokenizer.encode(text, { allowSpecial: true }));
      return ids === expected.renderingIds[i] ? [] : [{ i, text, ids }];
    });
    expect(wrong).toEqual([]);
  });

  test('streams what it decodes at once, and never half a character', () => {
    for (const [i, text] of strings.entries()) {
      const ids = expected.ids[i] as number[];
      const decoder = tokenizer.createStreamDecoder();
      const pieces = [...ids.map((id) => decoder.push(id)), decoder.flush()];
      const whole = tokenizer.decode(ids);
      expect(pieces.join(''), `string ${i}`).toBe(whole);
      if (!text.includes('\uFFFD') && !whole.includes('\uFFFD'))
        expect(pieces.join('|')).not.toContain('\uFFFD');
    }
  });

  test('keeps typed control tokens as text', () => {
    const specials = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) =>
      tokenizer.isSpecial(id),
    );
    expect(specials.length).toBeGreaterThan(1);
    for (const id of specials) {
      const name = tokenizer.tokenName(id);
      expect(tokenizer.encode(name, { allowSpecial: true })).toContain(id);
      for (const text of [name, `say ${name} now`, name + name, ` ${name}\n`]) {
        const ids = tokenizer.encode(text);
        // Letters outside a SentencePiece vocabulary may be unknown; no other special id may come out of typed text.
        const leaked = ids.filter((t) => tokenizer.isSpecial(t) && tokenizer.tokenName(t) !== '<unk>');
        expect(leaked, text).toEqual([]);
      }
    }
  });
});

describe('text that was not typed as a control token', () => {
  const tokenizer = tokenizers.get('gpt2-like') as Tokenizer;

  test('encodes the same whether special tokens are allowed or not', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 80 }), (text) => {
        fc.pre(tokenizer.findSpecial(text).length === 0);
        expect(tokenizer.encode(text)).toEqual(tokenizer.encode(text, { allowSpecial: true }));
        expect(tokenizer.encodeGuarded(text)).toEqual(tokenizer.encode(text));
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
    );
  });

  test('survives hide and reveal, and guard changes only special tokens', () => {
    const text = 'a <|im_end|> b <|im_start|><|im_end|>';
    expect(tokenizer.reveal(tokenizer.hide(text))).toBe(text);
    expect(tokenizer.hide(text)).not.toContain('<|im_');
    expect(tokenizer.encodeGuarded(tokenizer.guard(text))).toEqual(
      tokenizer.encode(text, { allowSpecial: true }),
    );
  });
});

describe.each(kinds)('a rendered text with the tokenizer of %s', (kind) => {
  const tokenizer = tokenizers.get(kind) as Tokenizer;
  const special = tokenizer.tokenName(
    Array.from({ length: tokenizer.vocabSize }, (_, id) => id).find((id) =>
      tokenizer.isSpecial(id),
    ) as number,
  );

  test('has as many tokens before a position as its beginning shares with the whole', () => {
    const text = `${special}the fox sells${special} a letter\n${special}${special}und süße Brötchen ${special}x`;
    const { ids, tokensBefore } = tokenizer.encodeRendered(text);
    expect(ids).toEqual(tokenizer.encode(text, { allowSpecial: true }));
    for (let at = 0; at <= text.length; at++) {
      if (tokenizer.findSpecial(text).some((s) => s.index < at && at < s.index + s.token.length)) continue;
      const alone = tokenizer.encode(text.slice(0, at), { allowSpecial: true });
      const differs = alone.findIndex((id, t) => id !== ids[t]);
      expect(tokensBefore(at), `place ${at}`).toBe(differs < 0 ? alone.length : differs);
    }
  });
});
