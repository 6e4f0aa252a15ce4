// Exports prove themselves: what is written is read again and compared; what is broken, unchanged or different is refused.
// Not here: real clients (interop/), single formats (artifacts.test.ts, formats.test.ts).

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { provedFiles } from '../src/cli/runResult';
import type { RunConfig, RunSummary } from '../src/contract';
import {
  createLearner,
  disposeLearner,
  type Learner,
  trainableParameters,
} from '../src/engine/model/adapters';
import { modelFiles } from '../src/engine/model/artifacts';
import { keepInMemory, type OutFile } from '../src/engine/model/weightFiles';
import type { ExportRequest } from '../src/exportContract';
import { EXPORT_FORMAT_NAMES, EXPORT_FORMATS } from '../src/exportFormats';
import { folderFromFiles, readModelFolder } from '../src/formats/huggingface';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { proofSentence } from '../src/metrics/exportClaims';
import { type ExportHooks, exportBytes, exportOptions, makeExport } from '../src/session/exports';
import { type BaseModel, openAdapter } from '../src/session/model';
import type { Platform } from '../src/session/platform';
import type { Run } from '../src/session/run';
import { openBase } from './sessionFixtures';

const h: Hyperparameters = { ...defaultHyperparameters(), lora_r: 2, lora_alpha: 4 };
const platform = { yieldToEvents: async () => {} };
const quiet: ExportHooks = { onProgress: () => {}, cancelled: () => false };

let base: BaseModel;
beforeAll(async () => {
  ({ base } = await openBase());
});

/** A learner that has moved: lora_B, or every weight. */
function moved(change: Partial<Hyperparameters> = {}, spread = 0.1): Learner {
  const learner = createLearner(base.model.architecture, base.model.weights, { ...h, ...change });
  let seed = 1;
  for (const [name, before] of learner.tensors) {
    if (learner.adapters && !name.endsWith('.lora_B')) continue;
    const noise = tf.randomNormal(before.shape, 0, spread, 'float32', seed++);
    learner.tensors.set(name, tf.add(before, noise));
  }
  return learner;
}

const make = (learner: Learner | null, request: ExportRequest, hooks = quiet, from = base) =>
  makeExport({ base: from, learner, run: null, dataset: null }, request, keepInMemory, platform, hooks);

const folderOf = (files: readonly OutFile[]) =>
  folderFromFiles(files.map(({ path, bytes }) => ({ path, file: new Blob([bytes as BlobPart]) })));

const sizeOf = (files: readonly OutFile[]) =>
  files.reduce((sum, { bytes }) => sum + new Blob([bytes as BlobPart]).size, 0);

/** What holds trained weights, which can be read again. */
const WEIGHT_FORMAT_NAMES = EXPORT_FORMAT_NAMES.filter((name) => EXPORT_FORMATS[name].from !== 'run');

describe('every format', () => {
  const cases = WEIGHT_FORMAT_NAMES.flatMap((format): ExportRequest[] =>
    EXPORT_FORMATS[format].types.length === 0
      ? [{ format }]
      : EXPORT_FORMATS[format].types.map((dtype) => ({ format, dtype })),
  );

  test.each(cases)(
    'is read again, compared, and as large as it was said: $format $dtype',
    async (request) => {
      const learner = moved();
      const { files, proof } = await make(learner, request);
      expect(proof?.answers).toBe(10);
      expect(proof?.maxLogitChange).toBeGreaterThan(0.1);
      const exact = request.dtype === undefined || request.dtype === 'F32';
      expect(proof?.maxLogitDifference).toBeLessThan(exact ? 1e-4 : 0.2 * (proof?.logitRange as number));
      if (exact) expect(proof?.sameAnswers).toBe(10);
      else expect(proof?.maxLogitDifference).toBeGreaterThan(0);
      const said = exportBytes(base, trainableParameters(learner), request);
      expect(Math.abs(sizeOf(files) - said)).toBeLessThan(45_000);
      disposeLearner(learner);
    },
  );

  test.each(WEIGHT_FORMAT_NAMES)('is refused where nothing was learned: %s', async (format) => {
    const untouched = createLearner(base.model.architecture, base.model.weights, h);
    await expect(make(untouched, { format })).rejects.toMatchObject({ code: 'export_changes_nothing' });
  });

  test.each(WEIGHT_FORMAT_NAMES)('is refused with weights that are no numbers: %s', async (format) => {
    const broken = moved();
    const [name, before] = [...broken.tensors].find(([n]) => n.endsWith('.lora_B')) as [string, tf.Tensor];
    broken.tensors.set(name, tf.fill(before.shape, Number.NaN));
    await expect(make(broken, { format })).rejects.toMatchObject({ code: 'non_finite' });
  });

  test.each(WEIGHT_FORMAT_NAMES)(
    'can be cancelled, while it is written and while it is compared: %s',
    async (format) => {
      for (const stage of ['write', 'check']) {
        let cancelled = false;
        const hooks: ExportHooks = {
          onProgress: (progress) => {
            if (progress.stage === stage) cancelled = true;
          },
          cancelled: () => cancelled,
        };
        await expect(make(moved(), { format }, hooks)).rejects.toMatchObject({ code: 'export_cancelled' });
      }
    },
  );
});

describe('an export', () => {
  test('that rounds the change away is refused', async () => {
    await expect(make(moved({}, 1e-6), { format: 'merged', dtype: 'BF16' })).rejects.toMatchObject({
      code: 'export_changes_nothing',
      message: expect.stringContaining('rounding takes away more than was learned'),
    });
  });

  test('whose bytes give another model is refused', async () => {
    const files = makeExport(
      { base, learner: moved(), run: null, dataset: null },
      { format: 'merged' },
      async (path, size, pieces) => {
        const bytes = (await keepInMemory(path, size, pieces)) as Uint8Array;
        // One number of the last tensor, as if a part of a format were written wrongly.
        new DataView(bytes.buffer).setFloat32(bytes.byteLength - 4, 50, true);
        return bytes;
      },
      platform,
      quiet,
    );
    await expect(files).rejects.toMatchObject({ code: 'export_differs' });
  });

  test('with a tokenizer or ends of a turn that are not those of the model is refused', async () => {
    const stops = { ...base, chat: { ...base.chat, stopIds: [3, 7] } };
    const { files } = await make(moved(), { format: 'merged' }, quiet, stops);
    expect(files.map(({ path }) => path)).toContain('generation_config.json');
    const template = { ...base, chat: { ...base.chat, template: '{{ messages[0].content }}' } };
    await expect(make(moved(), { format: 'merged' }, quiet, template)).rejects.toMatchObject({
      code: 'export_differs',
      message: expect.stringContaining('rendered'),
    });
  });

  test('of full fine-tuning is no adapter', async () => {
    await expect(make(moved({ method: 'full' }, 0.01), { format: 'adapter' })).rejects.toMatchObject({
      code: 'export_blocked',
    });
    const { proof } = await make(moved({ method: 'full' }, 0.01), { format: 'merged' });
    expect(proof?.sameAnswers).toBe(10);
  });

  test('says before it is made which formats cannot be had', () => {
    const blocked = (change: Partial<Hyperparameters>) =>
      exportOptions(base, { hyperparameters: { ...h, ...change }, trainableParameters: 9 } as RunConfig, null)
        .filter((option) => option.blocked !== null)
        .map(({ format }) => format);
    expect(blocked({})).toEqual(['training_project']);
    expect(blocked({ use_dora: true })).toEqual(['gguf_adapter', 'training_project']);
    expect(blocked({ method: 'full' })).toEqual(['adapter', 'gguf_adapter', 'training_project']);
  });

  test('of the base model itself has nothing to differ from', async () => {
    const { proof } = await make(null, { format: 'merged' });
    expect(proof).toMatchObject({ maxLogitChange: null, maxLogitDifference: 0, sameAnswers: 10 });
  });

  test('says in a sentence what was compared', () => {
    const proof = {
      answers: 10,
      sameAnswers: 9,
      maxLogitDifference: 4e-5,
      maxLogitChange: 3.21,
      logitRange: 40.2,
    };
    expect(proofSentence(proof)).toBe(
      'Read again and compared: 9 of 10 greedy answers are the same to the last token, logits differ by at most 4.0e-5 (they span 40); from the base model they differ by up to 3.2.',
    );
    expect(proofSentence({ ...proof, sameAnswers: 10, maxLogitDifference: 0, maxLogitChange: null })).toBe(
      'Read again and compared: 10 of 10 greedy answers are the same, logits differ by at most 0 (they span 40).',
    );
  });
});

describe('a merged model', () => {
  test('is cut into files with an index where it is large, and is the same model', async () => {
    const learner = moved();
    const whole = await modelFiles(base, learner, 'F32');
    const cut = await modelFiles(base, learner, 'F32', { maxShardBytes: 30_000 });
    const names = cut.map(({ path }) => path);
    expect(names.slice(0, 2)).toEqual([
      'model-00001-of-00004.safetensors',
      'model-00002-of-00004.safetensors',
    ]);
    expect(names).toContain('model.safetensors.index.json');
    expect(names).not.toContain('model.safetensors');
    const [one, several] = await Promise.all([whole, cut].map((files) => readModelFolder(folderOf(files))));
    expect(several?.weights.names).toEqual(one?.weights.names);
    for (const name of one?.weights.names ?? [])
      expect(await several?.weights.read(name)).toEqual(await one?.weights.read(name));
  });

  test('refuses numbers that F16 cannot hold', async () => {
    const learner = moved({ method: 'full' }, 0.01);
    const name = 'model.layers.0.mlp.up_proj.weight';
    learner.tensors.set(name, tf.fill((learner.tensors.get(name) as tf.Tensor).shape, 70_000));
    await expect(modelFiles(base, learner, 'F16')).rejects.toMatchObject({
      code: 'too_large_for_f16',
      where: name,
    });
  });
});

describe('an adapter with modules_to_save', () => {
  test.each([['model.embed_tokens.weight'], ['lm_head.weight'], ['model.norm.weight']])(
    'keeps %s, beside the adapter and merged',
    async (name) => {
      const learner = moved();
      const from =
        base.model.weights.get(name) ?? (base.model.weights.get('model.embed_tokens.weight') as tf.Tensor);
      learner.tensors.set(name, tf.add(from, tf.randomNormal(from.shape, 0, 0.05, 'float32', 9)));
      const adapter = await make(learner, { format: 'adapter' });
      expect(adapter.proof).toMatchObject({ maxLogitDifference: 0, sameAnswers: 10 });
      const config = JSON.parse(
        adapter.files.find(({ path }) => path === 'adapter_config.json')?.bytes as string,
      );
      expect(config.modules_to_save).toEqual([name.replace('.weight', '')]);
      const again = await openAdapter(folderOf(adapter.files), base);
      expect(again.learner.tensors.has(name)).toBe(true);
      const merged = await make(learner, { format: 'merged' });
      expect(merged.proof?.sameAnswers).toBe(10);
      const { architecture } = await readModelFolder(folderOf(merged.files));
      expect(architecture.tiedHead).toBe(name === 'model.norm.weight');
    },
  );
});

describe('the result of a run', () => {
  const config = {
    hyperparameters: { ...h, method: 'full' },
    checkpointing: { on: false },
    modelId: 'chat',
    datasetName: 'rows.csv',
    datasetHash: 'abc',
    trainRows: 10,
    validationRows: 2,
    heldOut: { copies: 0, samePrompt: 0, nearPrompt: 0 },
    evaluation: { validationRows: 2 },
    startedAt: '2026-01-01T00:00:00.000Z',
    runId: '0123456789',
  };
  const proved = (learner: Learner, from: BaseModel) => {
    const summary = { state: 'finished', step: 3, best: null, config } as unknown as RunSummary;
    const run = { points: [], weights: [] } as unknown as Run;
    return provedFiles(
      { base: from, run, learned: { learner, which: 'last' }, summary },
      {},
      { dataset: null, platform: platform as Platform },
    );
  };
  const weights = (files: readonly OutFile[]) => files.some(({ path }) => path.endsWith('.safetensors'));

  test('is written with its proof', async () => {
    const { files, proved: said, refused } = await proved(moved({ method: 'full' }, 0.01), base);
    expect(refused).toBeNull();
    expect(weights(files)).toBe(true);
    expect(said.join()).toContain('Read again and compared: 10 of 10');
  });

  test('is only its record where the weights read back as another model', async () => {
    const other = { ...base, chat: { ...base.chat, template: '{{ messages[0].content }}' } };
    const { files, refused } = await proved(moved({ method: 'full' }, 0.01), other);
    expect(refused).toMatchObject({ code: 'export_differs' });
    expect(weights(files)).toBe(false);
    expect(JSON.parse(files.find(({ path }) => path === 'run.json')?.bytes as string)).toMatchObject({
      weights: null,
      step: 3,
    });
  });

  test('stays whole where nothing was learned, and says so', async () => {
    const same = createLearner(base.model.architecture, base.model.weights, { ...h, method: 'full' });
    const { files, proved: said, refused } = await proved(same, base);
    expect(refused).toBeNull();
    expect(weights(files)).toBe(true);
    expect(said.join()).toContain('nothing was learned');
  });
});
