// Which files of a folder are its weights, for every layout that folders have.
// Not here: reading them (formats.test.ts), downloading them (hub.test.ts).

import { describe, expect, test } from 'vitest';
import { chooseWeightFiles, shardsOf } from '../src/formats/weightFiles';

const listing = (...paths: string[]) => ({ list: () => paths, has: (path: string) => paths.includes(path) });
const INDEX = 'model.safetensors.index.json';

describe('weights of a folder', () => {
  test.each([
    ['one file', ['model.safetensors', INDEX], { kind: 'single', file: 'model.safetensors' }],
    [
      'shards, named by the index',
      [INDEX, 'model-1-of-2.safetensors', 'model-2-of-2.safetensors', 'consolidated.safetensors'],
      {
        kind: 'index',
        index: INDEX,
        shards: ['model-1-of-2.safetensors', 'model-2-of-2.safetensors'],
      },
    ],
    [
      'shards of other names',
      [INDEX, 'a.safetensors', 'b.safetensors'],
      { kind: 'index', index: INDEX, shards: ['a.safetensors', 'b.safetensors'] },
    ],
    [
      'one file of another name',
      ['weights.safetensors', 'onnx/model.safetensors'],
      { kind: 'single', file: 'weights.safetensors' },
    ],
    ['an adapter is not the weights', ['adapter_model.safetensors'], null],
    ['no weights', ['config.json', 'tokenizer.json'], null],
  ])('%s', async (_, paths, expected) => {
    expect(await chooseWeightFiles(listing(...paths), 'This folder')).toEqual(expected);
  });

  test.each([
    ['pickled weights', ['pytorch_model.bin'], /Acme\/x has no model\.safetensors, only pytorch_model\.bin,/],
    ['several files without an index', ['a.safetensors', 'b.safetensors'], /but a\.safetensors and b\.safe/],
  ])('%s are refused', async (_, paths, message) => {
    await expect(chooseWeightFiles(listing(...paths), 'Acme/x')).rejects.toMatchObject({
      code: 'weights_not_safetensors',
      message: expect.stringMatching(message),
    });
  });
});

describe('an index', () => {
  test('gives its shards in order, with their tensors', () => {
    const map = {
      'b.weight': 'model-2.safetensors',
      'a.weight': 'model-1.safetensors',
      c: 'model-2.safetensors',
    };
    expect([...shardsOf({ weight_map: map })]).toEqual([
      ['model-1.safetensors', ['a.weight']],
      ['model-2.safetensors', ['b.weight', 'c']],
    ]);
  });

  test.each([
    ['no map', {}],
    ['a list', { weight_map: ['a'] }],
    ['a file outside the folder', { weight_map: { a: '../model.safetensors' } }],
    ['an absolute path', { weight_map: { a: '/etc/model.safetensors' } }],
    ['a number for a file', { weight_map: { a: 3 } }],
  ])('with %s is refused', (_, index) => {
    expect(() => shardsOf(index as Record<string, unknown>)).toThrow(
      expect.objectContaining({ code: 'bad_json_file', where: INDEX }),
    );
  });
});
