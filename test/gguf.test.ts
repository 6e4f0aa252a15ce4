// GGUF: number formats as llama.cpp's own package reads them, container, tokenizers and tensors there and back, and what is refused.
// Not here: llama.cpp itself (interop/llamaReads.interop.ts), the proof of an export (exports.test.ts).

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createTokenizer } from '../src/data/tokens/tokenizer';
import { architectureFromConfig, expectedTensors } from '../src/formats/architecture';
import type { RawConfig } from '../src/formats/families/config';
import { layoutGguf, type MetadataValue, readGguf } from '../src/formats/gguf/container';
import { readGgufModel } from '../src/formats/gguf/ggufModel';
import { tokenizerFromMetadata, tokenizerMetadata } from '../src/formats/gguf/ggufTokenizer';
import { fromGguf, ggufProblem, ggufTensors, toGguf } from '../src/formats/gguf/names';
import { dequantize, type GgmlType, quantize } from '../src/formats/gguf/quants';
import { FAMILIES } from './engineFixtures';

const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url));
const json = (...parts: string[]) => JSON.parse(readFileSync(path.join(fixtures, ...parts), 'utf8'));
const fromBase64 = (text: string) => new Uint8Array(Uint8Array.from(Buffer.from(text, 'base64')));

describe('numbers', () => {
  const blocks = json('gguf-blocks.json') as Record<GgmlType, { bytes: string; values: string }>;
  test.each(Object.keys(blocks) as GgmlType[])('of %s are those of llama.cpp’s Python package', (type) => {
    const wanted = new Float32Array(fromBase64(blocks[type].values).buffer);
    expect(dequantize(type, fromBase64(blocks[type].bytes))).toEqual(wanted);
  });

  test('of Q8_0 are within half a step of the largest / 127', () => {
    const data = Float32Array.from({ length: 96 }, (_, i) => Math.sin(i * i) * (i < 32 ? 0 : i));
    const again = dequantize('Q8_0', quantize('Q8_0', data));
    expect([...again.subarray(0, 32)]).toEqual(new Array(32).fill(0));
    for (let block = 0; block < 3; block++) {
      const part = data.subarray(block * 32, block * 32 + 32);
      const step = Math.max(...part.map(Math.abs)) / 127;
      for (const [i, x] of part.entries())
        expect(Math.abs((again[block * 32 + i] as number) - x)).toBeLessThanOrEqual(step * 0.57);
    }
  });
});

const METADATA = new Map<string, MetadataValue>([
  ['general.architecture', { type: 'string', value: 'llama' }],
  ['a.number', { type: 'uint32', value: 7 }],
  ['a.float', { type: 'float32', value: 0.5 }],
  ['a.flag', { type: 'bool', value: true }],
  ['some.words', { type: 'strings', value: ['one', 'zwölf', ''] }],
  ['some.numbers', { type: 'int32s', value: [1, -2, 3] }],
]);

function fileOf(): Uint8Array<ArrayBuffer> {
  const tensors = [
    { name: 'first', shape: [2, 3], type: 'F32' as const },
    { name: 'second', shape: [1, 32], type: 'Q8_0' as const },
  ];
  const { start, paddedBytes, size } = layoutGguf(METADATA, tensors);
  const bytes = new Uint8Array(size);
  bytes.set(start);
  bytes.set(quantize('F32', Float32Array.of(1, 2, 3, 4, 5, 6)), start.length);
  const ones = quantize('Q8_0', new Float32Array(32).fill(1));
  bytes.set(ones, start.length + (paddedBytes[0] as number));
  return bytes;
}

describe('the container', () => {
  test('is read as it was written', async () => {
    const file = await readGguf(new Blob([fileOf()]), 'x.gguf');
    expect(Object.fromEntries(file.metadata)).toEqual({
      'general.architecture': 'llama',
      'a.number': 7,
      'a.float': 0.5,
      'a.flag': true,
      'some.words': ['one', 'zwölf', ''],
      'some.numbers': [1, -2, 3],
    });
    expect(file.entries).toEqual([
      { name: 'first', shape: [2, 3], type: 'F32', byteLength: 24 },
      { name: 'second', shape: [1, 32], type: 'Q8_0', byteLength: 34 },
    ]);
    expect([...dequantize('F32', await file.readRaw('first'))]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(dequantize('Q8_0', await file.readRaw('second'))[31]).toBeCloseTo(1, 3);
  });

  test.each<[string, (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>, RegExp]>([
    ['of another format', () => new Uint8Array(64), /does not start with “GGUF”/],
    ['of an unknown version', (b) => b.with(4, 9) as Uint8Array<ArrayBuffer>, /version 9/],
    ['cut in its header', (b) => b.slice(0, 80), /middle of its header/],
    ['cut in its last tensor', (b) => b.slice(0, b.length - 40), /cut short/],
    ['that is empty', () => new Uint8Array(0), /middle of its header/],
  ])('%s is refused', async (_, change, message) => {
    await expect(readGguf(new Blob([change(fileOf())]), 'x.gguf')).rejects.toMatchObject({
      code: 'bad_gguf',
      message: expect.stringMatching(message),
    });
  });

  test('with a number format that is not read is refused by the tensor’s name', async () => {
    const bytes = fileOf();
    const at = Buffer.from(bytes).indexOf('second') + 'second'.length + 4 + 16;
    bytes[at] = 10;
    await expect(readGguf(new Blob([bytes]), 'x.gguf')).rejects.toMatchObject({
      code: 'unsupported_dtype',
      message: expect.stringContaining('“second” has GGML type 10'),
    });
  });

  test('of another kind of model is refused as one', async () => {
    const { start } = layoutGguf(new Map([['general.architecture', { type: 'string', value: 'mamba' }]]), []);
    await expect(readGgufModel(new Blob([start]), 'm.gguf')).rejects.toMatchObject({
      code: 'unsupported_architecture',
      message: expect.stringContaining('“mamba”'),
    });
  });
});

describe('tokenizers', () => {
  const strings = json('tokenizers', 'strings.json') as string[];
  test.each(['gpt2-like', 'llama2-like', 'gemma-like'])('there and back give the same ids: %s', (name) => {
    const tokenizerJson = json('tokenizers', name, 'tokenizer.json');
    const make = (of: Record<string, unknown>) =>
      createTokenizer({ tokenizerJson: of, tokenizerConfig: {}, chatTemplate: null, eosTokenIds: [] });
    const one = make(tokenizerJson);
    const { metadata } = tokenizerMetadata(tokenizerJson, one.vocabSize);
    const again = make(tokenizerFromMetadata(new Map([...metadata].map(([key, { value }]) => [key, value]))));
    for (const text of strings) {
      expect(again.encode(text), JSON.stringify(text)).toEqual(one.encode(text));
      expect(again.decode(one.encode(text)), JSON.stringify(text)).toBe(one.decode(one.encode(text)));
    }
  });

  test.each(['unigram'])('that llama.cpp has none like are refused: %s', (name) => {
    expect(() => tokenizerMetadata(json('tokenizers', name, 'tokenizer.json'), 500)).toThrow(
      /llama\.cpp has no/,
    );
  });

  test('whose regular expression has a name that is not known are refused by it', () => {
    const metadata = new Map<string, unknown>([
      ['tokenizer.ggml.model', 'gpt2'],
      ['tokenizer.ggml.pre', 'tekken'],
      ['tokenizer.ggml.tokens', ['a']],
    ]);
    expect(() => tokenizerFromMetadata(metadata)).toThrow(/“tekken”/);
  });
});

describe('tensors', () => {
  test.each(FAMILIES)('of %s come back as they were, each under a name of its own', (family) => {
    const a = architectureFromConfig(json('engine', family, 'config.json') as RawConfig);
    const tensors = ggufTensors(a);
    expect(tensors.map(({ from }) => from)).toEqual(expectedTensors(a).map(({ name }) => name));
    expect(new Set(tensors.map(({ name }) => name)).size).toBe(tensors.length);
    for (const tensor of tensors) {
      const size = tensor.shape.reduce((x, y) => x * y, 1);
      const data = Float32Array.from({ length: size }, (_, i) => i % 1000);
      const there = toGguf(tensor, data);
      expect(fromGguf(tensor, Float32Array.from(there))).toEqual(data);
      if (tensor.rows || (tensor.transposed && tensor.shape[0] !== 1)) expect(there).not.toEqual(data);
    }
  });

  test('that llama.cpp would compute differently are refused with both values', () => {
    const llama = architectureFromConfig(json('engine', 'llama', 'config.json') as RawConfig);
    expect(ggufProblem(llama)).toBeNull();
    expect(ggufProblem({ ...llama, activation: 'gelu' })).toBe(
      'llama.cpp computes llama with silu, and this model has gelu',
    );
    expect(ggufProblem({ ...llama, attentionScale: 1 })).toMatch(/by 1\/√8, and this model by 1\.000/);
    expect(ggufProblem({ ...llama, slidingWindows: [4, null] })).toMatch(/sliding windows/);
  });
});
