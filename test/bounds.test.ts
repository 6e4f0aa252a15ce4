// Model files that are wrong or out of all measure: each is refused in a sentence that names the key and the value, within seconds.
// Not here: files that are merely of another kind (formats.test.ts), templates that do not end (template.test.ts).

import { describe, expect, test } from 'vitest';
import { createChat } from '../src/data/tokens/chat';
import { encodeExample, encodePrompt } from '../src/data/tokens/encodeRows';
import { nestedRepetition, slowText } from '../src/data/tokens/patternCheck';
import { createTokenizer, type Tokenizer } from '../src/data/tokens/tokenizer';
import { PlaygroundError } from '../src/errors';
import { architectureFromConfig, expectedTensors } from '../src/formats/architecture';
import { folderFromFiles, type ModelFolder } from '../src/formats/huggingface';
import { writeSafetensors } from '../src/formats/safetensors';
import { openModel } from '../src/session/model';

const CONFIG = {
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 12,
  eos_token_id: 5,
};
const TOKENIZER = {
  model: { type: 'BPE', vocab: { a: 0, b: 1, c: 2, ab: 3, '\n': 4 }, merges: ['a b'] },
  added_tokens: [{ id: 5, content: '<end>', special: true, normalized: false }],
};
const TOKENIZER_CONFIG = {
  eos_token: '<end>',
  chat_template: '{% for m in messages %}{{ m.content }}<end>{% endfor %}',
};

type Json = Record<string, unknown>;

/** A model folder with one file changed. */
function folder(change: { file: string; json?: Json; bytes?: Uint8Array<ArrayBuffer> } | null): ModelFolder {
  const tensors = expectedTensors(architectureFromConfig(CONFIG)).map(({ name, shape }) => ({
    name,
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5),
  }));
  const files: Record<string, BlobPart> = {
    'config.json': JSON.stringify(CONFIG),
    'tokenizer.json': JSON.stringify(TOKENIZER),
    'tokenizer_config.json': JSON.stringify(TOKENIZER_CONFIG),
    'generation_config.json': JSON.stringify({ eos_token_id: 5 }),
    'model.safetensors': writeSafetensors(tensors),
    ...(change && { [change.file]: change.bytes ?? JSON.stringify(change.json) }),
  };
  return folderFromFiles(Object.entries(files).map(([path, part]) => ({ path, file: new Blob([part]) })));
}

/** The refusal of opening it; fails when it takes more than two seconds of this processor, or is no refusal. */
async function refusal(opening: () => Promise<unknown>): Promise<PlaygroundError> {
  const before = process.cpuUsage();
  let thrown: unknown = null;
  try {
    await opening();
  } catch (error) {
    thrown = error;
  }
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1e6).toBeLessThan(2);
  expect(thrown).toBeInstanceOf(PlaygroundError);
  return thrown as PlaygroundError;
}

test('the files that these tests change are sound', async () => {
  expect((await openModel(folder(null))).chat.endOfTurn).toBe('<end>');
});

describe('config.json', () => {
  const wrong: [key: string, value: unknown, code?: string][] = [
    ['num_hidden_layers', 1e8],
    ['num_hidden_layers', 2 ** 32],
    ['num_hidden_layers', 1.5],
    ['num_hidden_layers', '12'],
    ['num_attention_heads', -1],
    ['hidden_size', 1e12],
    ['intermediate_size', {}],
    ['vocab_size', 1e9],
    ['max_position_embeddings', 0],
    ['head_dim', [64]],
    ['sliding_window', 'all'],
    ['layer_types', 'full_attention'],
    ['layer_types', Array.from({ length: 5000 }, () => 'full_attention')],
    ['rms_norm_eps', -1],
    ['rms_norm_eps', 0],
    ['rms_norm_eps', '1e-6'],
    ['rope_theta', 0],
    ['rope_theta', -10000],
    ['rope_scaling', 'linear'],
    ['tie_word_embeddings', 'yes'],
    ['eos_token_id', '5'],
    ['eos_token_id', 5.5],
    ['pad_token_id', {}],
    ['architectures', 'LlamaForCausalLM'],
    ['model_type', 5],
    ['model_type', 'constructor', 'unsupported_architecture'],
    ['model_type', '__proto__', 'unsupported_architecture'],
    ['hidden_act', 'constructor', 'unsupported_architecture'],
    ['hidden_act', 'toString', 'unsupported_architecture'],
  ];

  test.each(wrong)('with %s = %j is refused by name', async (key, value, code = 'bad_config') => {
    const json = { ...CONFIG, [key]: value };
    const error = await refusal(() => openModel(folder({ file: 'config.json', json })));
    expect(error.code).toBe(code);
    expect(`${error.where} ${error.message}`).toContain(key);
    const shown = JSON.stringify(value).replaceAll('"', '');
    expect(error.message.replaceAll('"', '')).toContain(shown.slice(0, 20));
    expect(error.fix).not.toBe('');
  });

  test.each([
    [{ factor: 0, rope_type: 'linear' }, 'rope_scaling.factor'],
    [{ rope_theta: 0 }, 'rope_scaling.rope_theta'],
    [{ partial_rotary_factor: 2 }, 'rope_scaling.partial_rotary_factor'],
    [{ full_attention: { rope_theta: -1 } }, 'rope_scaling.full_attention.rope_theta'],
  ])('names a key inside rope_scaling: %j', async (rope_scaling, key) => {
    const json = { ...CONFIG, rope_scaling };
    const error = await refusal(() => openModel(folder({ file: 'config.json', json })));
    expect(error).toMatchObject({ code: 'bad_config', message: expect.stringContaining(`“${key}”`) });
  });

  test('takes -1 for no token, as older files have it', async () => {
    const json = { ...CONFIG, pad_token_id: -1, bos_token_id: -1 };
    const { files } = await openModel(folder({ file: 'config.json', json }));
    expect(files.architecture).toMatchObject({ padTokenId: null, bosTokenId: null });
  });
});

describe('generation_config.json and tokenizer_config.json', () => {
  test.each<[string, Json, string]>([
    ['generation_config.json', { eos_token_id: 'end' }, 'eos_token_id'],
    ['generation_config.json', { eos_token_id: [5, null] }, 'eos_token_id'],
    ['tokenizer_config.json', { ...TOKENIZER_CONFIG, eos_token: 5 }, 'eos_token'],
    ['tokenizer_config.json', { ...TOKENIZER_CONFIG, bos_token: {} }, 'bos_token'],
    ['tokenizer_config.json', { ...TOKENIZER_CONFIG, chat_template: 5 }, 'chat_template'],
    ['tokenizer_config.json', { ...TOKENIZER_CONFIG, chat_template: [{ name: 'default' }] }, 'chat_template'],
  ])('%s %j is refused by name', async (file, json, key) => {
    const error = await refusal(() => openModel(folder({ file, json })));
    expect(error.message).toContain(`${file} does not make sense: “${key}`);
  });
});

describe('tokenizer.json', () => {
  const changed = (change: (json: typeof TOKENIZER & Json) => void): Json => {
    const json = structuredClone(TOKENIZER) as typeof TOKENIZER & Json;
    change(json);
    return json;
  };
  const set = (path: string, value: unknown) =>
    changed((json) => {
      const keys = path.split('.');
      const last = keys.pop() as string;
      let at = json as Json;
      for (const key of keys) at = at[key] as Json;
      if (value === undefined) delete at[last];
      else at[last] = value;
    });

  test.each<[string, unknown, string?]>([
    ['added_tokens', {}],
    ['added_tokens', [null], 'added_tokens[0]'],
    ['added_tokens.0.id', undefined, 'added_tokens[0].id'],
    ['added_tokens.0.id', -1, 'added_tokens[0].id'],
    ['added_tokens.0.id', 1e12, 'added_tokens[0].id'],
    ['added_tokens.0.content', '', 'added_tokens[0].content'],
    ['added_tokens.0.special', 'yes', 'added_tokens[0].special'],
    ['model', undefined],
    ['model', 'BPE'],
    ['model.type', 'constructor'],
    ['model.vocab', null],
    ['model.vocab', { a: -1 }],
    ['model.vocab', { a: 1e12 }],
    ['model.vocab', { a: '0' }],
    ['model.vocab', [['a', 'x']]],
    ['model.merges', [null]],
    ['model.merges', 'a b'],
    ['pre_tokenizer', []],
    ['normalizer', 5],
  ])('with %s = %j is refused by name', async (path, value, key = path) => {
    const error = await refusal(() => openModel(folder({ file: 'tokenizer.json', json: set(path, value) })));
    expect(error.code).toBe('bad_tokenizer');
    expect(error.message).toContain(`“${key}”`);
  });

  test('with 100,000 added tokens is refused; with 10,000 it works', async () => {
    const many = (n: number) =>
      changed((json) => {
        for (let i = 0; i < n; i++)
          json.added_tokens.push({ id: 6 + i, content: `<x${i}>`, special: true, normalized: false });
      });
    const error = await refusal(() => openModel(folder({ file: 'tokenizer.json', json: many(100_000) })));
    expect(error.message).toMatch(/“added_tokens” has 100,001 entries/);
    const { chat } = await openModel(folder({ file: 'tokenizer.json', json: many(10_000) }));
    expect(chat.tokenizer.encode(`a<x9999>b<x99>`, { allowSpecial: true })).toEqual([0, 6 + 9999, 1, 6 + 99]);
  });

  const split = (pattern: string) =>
    set('pre_tokenizer', { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false });

  test.each([
    '(a+)+$',
    '(a|aa)+b',
    '(\\w|\\d)*!',
    '(?:a?){40}b',
    'a*a*a*a*a*b',
    '\\s*\\s*\\s*x',
    'a?'.repeat(40) + 'a'.repeat(40),
    '(?=(a+)+$)',
  ])('with the pattern %s is refused: it could go on for ever', async (pattern) => {
    const error = await refusal(() => openModel(folder({ file: 'tokenizer.json', json: split(pattern) })));
    expect(error).toMatchObject({ code: 'unsupported_tokenizer', where: 'tokenizer.json: pre_tokenizer' });
    expect(error.message).toContain(pattern.slice(0, 20));
  });

  test.each([
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
    '[0-9][0-9][0-9]',
    '((?:ab){2}c)+?d|[a-z]++',
  ])('with the pattern %s is taken', async (pattern) => {
    if (!pattern.includes('++')) {
      const { chat } = await openModel(folder({ file: 'tokenizer.json', json: split(pattern) }));
      expect(chat.endOfTurn).toBe('<end>');
    }
    expect(nestedRepetition(pattern)).toBe(null);
  });

  test('with a pattern that takes the square of a run gets no long runs', async () => {
    const { chat } = await openModel(folder({ file: 'tokenizer.json', json: split('\\s+$') }));
    const ask = (space: number) => encodePrompt(chat, [{ role: 'user', content: `a${'\n'.repeat(space)}b` }]);
    expect(ask(2000)).toHaveLength(2003);
    const error = await refusal(async () => ask(21_000));
    expect(error).toMatchObject({
      code: 'text_too_long',
      message: expect.stringContaining('20,000 letters, or spaces'),
    });
  });

  test('slow texts are distinguished from a slow machine', () => {
    let clock = 0;
    const once = { left: 1 };
    const busy = slowText(
      ['x'],
      () => {
        clock += once.left-- > 0 ? 500 : 0.1;
      },
      () => clock,
    );
    expect(busy).toBe(null);
    const bad = slowText(
      ['x'],
      (text) => {
        clock += text.startsWith('  ') ? 2 ** text.length / 1000 : 0.1;
      },
      () => clock,
    );
    expect(bad).toMatchObject({ unit: ' ' });
    expect(bad?.times).toBeLessThan(20);
  });
});

describe('weights', () => {
  const file = 'model.safetensors';
  const withHeader = (header: string): Uint8Array<ArrayBuffer> => {
    const text = new TextEncoder().encode(header);
    const bytes = new Uint8Array(8 + text.length);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
    bytes.set(text, 8);
    return bytes;
  };
  const empty = (n: number) =>
    withHeader(
      `{${Array.from({ length: n }, (_, i) => `"t${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`).join()}}`,
    );

  test('of 1,000,000 tensors of no size are refused', async () => {
    const error = await refusal(() => openModel(folder({ file, bytes: empty(1_000_000) })));
    expect(error).toMatchObject({ code: 'bad_safetensors', where: file });
  });

  test('of 60,000 tensors are refused by their number', async () => {
    const error = await refusal(() => openModel(folder({ file, bytes: empty(60_000) })));
    expect(error.message).toMatch(/names 60,000 tensors, and 50,000 is the limit/);
  });

  test('spread over too many files are refused by their number', async () => {
    const weight_map = Object.fromEntries(
      Array.from({ length: 60_000 }, (_, i) => [`t${i}`, `${i}.safetensors`]),
    );
    const files = folderFromFiles([
      { path: 'config.json', file: new Blob([JSON.stringify(CONFIG)]) },
      { path: 'tokenizer.json', file: new Blob([JSON.stringify(TOKENIZER)]) },
      { path: 'model.safetensors.index.json', file: new Blob([JSON.stringify({ weight_map })]) },
    ]);
    const error = await refusal(() => openModel(files));
    expect(error.message).toMatch(/model.safetensors.index.json names 60,000 tensors/);
  });
});

describe('a word of two million letters', () => {
  const tokenizer: Tokenizer = createTokenizer({
    tokenizerJson: TOKENIZER,
    tokenizerConfig: TOKENIZER_CONFIG,
    chatTemplate: TOKENIZER_CONFIG.chat_template,
    eosTokenIds: [5],
  });
  const chat = createChat(tokenizer, { vocabSize: 12, contextLength: 512 });
  const messages = [
    { role: 'user' as const, content: 'ab'.repeat(1_000_000) },
    { role: 'assistant' as const, content: 'a' },
  ];

  test('is refused in a row and in a prompt, before anything is encoded', async () => {
    const { encoded, issues } = encodeExample(
      chat,
      { line: 4, messages },
      { max_length: 512, loss_on: 'answers' },
    );
    expect(encoded).toEqual([]);
    expect(issues).toMatchObject([
      {
        code: 'text_too_long',
        severity: 'error',
        line: 4,
        message: expect.stringContaining('2,000,001 characters'),
      },
    ]);
    const error = await refusal(async () => encodePrompt(chat, messages.slice(0, 1)));
    expect(error.code).toBe('text_too_long');
  });

  test('is read up to the limit within seconds', () => {
    const before = process.cpuUsage();
    const half = [
      { ...messages[0], content: 'ab'.repeat(chat.longestText / 2 - 1) },
      messages[1],
    ] as typeof messages;
    const { issues } = encodeExample(
      chat,
      { line: 4, messages: half },
      { max_length: 512, loss_on: 'answers' },
    );
    expect(issues.map((issue) => issue.code)).toEqual(['no_trained_tokens']);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(2);
  });
});
