// What we export as GGUF, loaded by real llama.cpp (node-llama-cpp): token ids, greedy answers of every family, and of adapters.
// Not here: PEFT and transformers (peftReads.interop.ts), the format itself (../gguf.test.ts).
//
// Runs where LLAMA names a folder with node-llama-cpp, and says so where not.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodePrompt } from '../../src/data/tokens/encodeRows';
import { createTokenizer } from '../../src/data/tokens/tokenizer';
import { startDevice } from '../../src/engine/device/device';
import { generate } from '../../src/engine/generation/generate';
import { asFloat32 } from '../../src/engine/kernels';
import { createLearner, type Learner } from '../../src/engine/model/adapters';
import type { LoadedModel } from '../../src/engine/model/artifacts';
import { ggufAdapter, ggufFile } from '../../src/engine/model/ggufFiles';
import type { OutFile } from '../../src/engine/model/weightFiles';
import { tokenizerMetadata } from '../../src/formats/gguf/ggufTokenizer';
import { ggufProblem } from '../../src/formats/gguf/names';
import { defaultGeneration } from '../../src/generation';
import { defaultHyperparameters } from '../../src/hyperparameters';
import { house } from '../../src/launch/prerequisites.mjs';
import { loadWeights, openModel } from '../../src/session/model';
import { FAMILIES, modelOf, readFixture } from '../engineFixtures';
import { diskFolder, fixtureFolder } from '../nodeFolders';
import { nodeWasmPath } from '../setup-node-webgpu';
import { jsonLines, scratchFolder } from './python';

const place = scratchFolder();
const TOKENS = 16;

interface Job {
  model: string;
  adapter?: string;
  texts?: string[];
  prompts?: number[][];
  tokens?: number;
}
interface Answer {
  ids: number[][];
  answers: number[][];
  ends: number[];
}

/** @throws Error without LLAMA: these tests are run on purpose, and never pass unseen */
function llamaCpp(jobs: Job[]): Promise<Answer[]> {
  const folder = process.env.LLAMA ?? '';
  if (!existsSync(path.join(folder, 'node_modules/node-llama-cpp')))
    throw new Error('Set LLAMA to a folder in which `npm install node-llama-cpp@3.21.1` was run.');
  const program = fileURLToPath(new URL('./llamaCpp.mjs', import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (bytes) => {
      out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      err += bytes;
    });
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(jsonLines<Answer>(out)) : reject(new Error(err + out)),
    );
    child.stdin.end(JSON.stringify(jobs));
  });
}

function write(name: string, { bytes }: OutFile): string {
  const file = place(name);
  writeFileSync(file, bytes as Uint8Array);
  return file;
}

async function greedy({ model, chat }: LoadedModel, learner: Learner | null, prompts: number[][]) {
  const settings = { ...defaultGeneration(), do_sample: false, max_new_tokens: TOKENS };
  const answers: number[][] = [];
  for (const prompt of prompts) {
    const ids: number[] = [];
    for await (const id of generate(model, learner, prompt, chat.stopIds, settings)) ids.push(id);
    answers.push(ids);
  }
  return answers;
}

const same = (a: number[][], b: number[][]) => a.filter((ids, i) => ids.join() === b[i]?.join()).length;

function moved(model: LoadedModel['model'], change = {}): Learner {
  const h = { ...defaultHyperparameters(), lora_r: 4, lora_alpha: 8, ...change };
  const learner = createLearner(model.architecture, model.weights, h);
  let seed = 1;
  for (const [name, before] of learner.tensors)
    if (name.endsWith('.lora_B'))
      learner.tensors.set(name, tf.randomNormal(before.shape, 0, 0.3, 'float32', seed++));
  return learner;
}

/** Of the fixtures without one: as many byte-level tokens as the model has rows. */
function tokenizerFor(rows: number) {
  const characters = Array.from({ length: rows }, (_, i) =>
    i < 3 ? `<s${i}>` : String.fromCodePoint(33 + i),
  );
  return {
    added_tokens: [0, 1, 2].map((id) => ({ id, content: `<s${id}>`, special: true, normalized: false })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true, trim_offsets: true },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: Object.fromEntries(characters.map((c, id) => [c, id])), merges: [] },
  };
}

describe('llama.cpp', () => {
  beforeAll(async () => {
    const fail = (error: Error) => {
      throw error;
    };
    await startDevice({ requested: 'wasm', wasmPath: nodeWasmPath, onLost: fail, onError: () => {} });
  });

  it('answers as we do with models and adapters of every family that it computes as we do', async () => {
    const cases: { name: string; ours: number[][]; job: Job }[] = [];
    const refused: string[] = [];
    for (const family of FAMILIES) {
      const fixture = await readFixture(family, fixtureFolder(family));
      const problem = ggufProblem(fixture.files.architecture);
      if (problem !== null) {
        refused.push(`${family}: ${problem}`);
        continue;
      }
      const tokenizerJson = tokenizerFor(fixture.files.architecture.vocabSize);
      const model = await modelOf(fixture);
      const files = { ...fixture.files, tokenizerJson };
      const tokenizer = createTokenizer({
        ...files,
        tokenizerConfig: {},
        chatTemplate: null,
        eosTokenIds: [2],
      });
      const chat = {
        template: 'x',
        stopIds: [2],
        endOfTurn: '',
        tokenizer,
      } as unknown as LoadedModel['chat'];
      const loaded: LoadedModel = { id: family, model, files, chat };
      const prompts = Array.from({ length: 10 }, (_, i) =>
        Array.from({ length: 5 + i }, (_, t) => 4 + ((t * t + 7 * i) % 90)),
      );
      const { file } = await ggufFile(loaded, null, 'F32');
      const base = write(`${family}.gguf`, file);
      cases.push({
        name: family,
        ours: await greedy(loaded, null, prompts),
        job: { model: base, prompts, tokens: TOKENS },
      });
      for (const [kind, change] of Object.entries({
        lora: {},
        'rsLoRA, rank pattern': { use_rslora: true, rank_pattern: 'mlp=2, layers.0=3, h.0=3' },
      })) {
        const learner = moved(model, change);
        const adapter = write(`${family}-${kind}.lora.gguf`, await ggufAdapter(loaded, learner));
        const ours = await greedy(loaded, learner, prompts);
        cases.push({
          name: `${family}, ${kind}`,
          ours,
          job: { model: base, adapter, prompts, tokens: TOKENS },
        });
      }
    }
    const answers = await llamaCpp(cases.map(({ job }) => job));
    const table = cases.map(({ name, ours }, i) => ({ name, same: same(ours, answers[i]?.answers ?? []) }));
    process.stdout.write(
      table.map(({ name, same: n }) => `${name.padEnd(40)} ${n} of 10 answers are the same\n`).join(''),
    );
    process.stdout.write(refused.map((line) => `refused: ${line}\n`).join(''));
    // Random weights: two logits may be as good as equal, and llama.cpp adds up in another order, with GELU from a table.
    expect(table.filter(({ same: n }) => n < 8)).toEqual([]);
  });

  it('cuts text and answers as we do with the shipped model: F32, F16, and near in Q8_0', async () => {
    const opened = await openModel(diskFolder(path.join(house, 'models/pebble-1m')));
    const base = await loadWeights(opened, { id: 'pebble-1m' });
    const texts = (
      JSON.parse(readFileSync('test/fixtures/tokenizers/strings.json', 'utf8')) as string[]
    ).slice(0, 330);
    const questions = readFileSync('public/datasets/pirate-voice.jsonl', 'utf8').split('\n').slice(0, 20);
    const prompts = questions.map((line) => {
      const { messages } = JSON.parse(line);
      return [...encodePrompt(base.chat, messages.slice(0, 1))];
    });
    const learner = moved(base.model);
    for (const [name, tensor] of learner.tensors)
      if (name.endsWith('.lora_B')) learner.tensors.set(name, tf.mul(asFloat32(tensor), 0.05));
    const ours = await greedy(base, learner, prompts);
    const unchanged = await greedy(base, null, prompts);
    expect(same(ours, unchanged)).toBeLessThan(20);
    const jobs: Job[] = [];
    for (const type of ['F32', 'F16', 'Q8_0'] as const) {
      const { file } = await ggufFile(base, learner, type);
      jobs.push({ model: write(`pebble-${type}.gguf`, file), prompts, texts, tokens: TOKENS });
    }
    const { file } = await ggufFile(base, null, 'F32');
    const adapter = write('pebble.lora.gguf', await ggufAdapter(base, learner));
    jobs.push({ model: write('pebble-base.gguf', file), adapter, prompts, tokens: TOKENS });
    const [f32, f16, q8, lora] = (await llamaCpp(jobs)) as [Answer, Answer, Answer, Answer];
    const ids = texts.map((text) => [...base.chat.tokenizer.encode(text)]);
    const counts = [f32, f16, q8, lora].map(({ answers }) => same(ours, answers));
    process.stdout.write(
      `Pebble-1M: token ids equal on ${same(ids, f32.ids)} of ${texts.length} texts; answers equal: F32 ${counts[0]}, F16 ${counts[1]}, Q8_0 ${counts[2]}, adapter ${counts[3]} of 20\n`,
    );
    const wrong = texts.filter((_, i) => ids[i]?.join() !== f32.ids[i]?.join());
    expect(wrong).toEqual([]);
    expect(f32.ends.every((id) => base.chat.stopIds.includes(id))).toBe(true);
    expect(f32.ends.length).toBeGreaterThan(0);
    for (const count of [counts[0], counts[1], counts[3]]) expect(count).toBe(20);
    expect(counts[2]).toBeGreaterThanOrEqual(10);
  });

  it('cuts text as we do with tokenizers of other kinds', async () => {
    const fixture = await readFixture('llama', fixtureFolder('llama'));
    const texts = (
      JSON.parse(readFileSync('test/fixtures/tokenizers/strings.json', 'utf8')) as string[]
    ).filter((text) => text !== '');
    for (const name of ['gpt2-like', 'llama2-like', 'gemma-like']) {
      const tokenizerJson = JSON.parse(
        readFileSync(`test/fixtures/tokenizers/${name}/tokenizer.json`, 'utf8'),
      );
      const tokenizer = createTokenizer({
        tokenizerJson,
        tokenizerConfig: {},
        chatTemplate: null,
        eosTokenIds: [2],
      });
      const rows = tokenizer.vocabSize;
      expect(tokenizerMetadata(tokenizerJson, rows).metadata.size).toBeGreaterThan(3);
      const architecture = { ...fixture.files.architecture, vocabSize: rows, tiedHead: true };
      const small = await modelOf(fixture);
      const weights = new Map(small.weights);
      weights.set('model.embed_tokens.weight', tf.randomNormal([rows, architecture.hiddenSize]));
      const model = Object.assign(Object.create(Object.getPrototypeOf(small)), small, {
        architecture,
        weights,
      });
      const chat = {
        template: 'x',
        stopIds: [2],
        endOfTurn: '',
        tokenizer,
      } as unknown as LoadedModel['chat'];
      const files = { ...fixture.files, architecture, tokenizerJson };
      const { file } = await ggufFile({ id: name, model, files, chat }, null, 'F32');
      const [answer] = await llamaCpp([{ model: write(`${name}.gguf`, file), texts }]);
      const ids = texts.map((text) => [...tokenizer.encode(text)]);
      const equal = same(ids, answer?.ids ?? []);
      process.stdout.write(`${name}: token ids equal on ${equal} of ${texts.length} texts\n`);
      const wrong = texts.filter((_, i) => ids[i]?.join() !== answer?.ids[i]?.join());
      process.stdout.write(
        wrong
          .slice(0, 4)
          .map((text) => {
            const i = texts.indexOf(text);
            return `  other: ${JSON.stringify(text)}: ours ${ids[i]}; llama.cpp's ${answer?.ids[i]}\n`;
          })
          .join(''),
      );
      expect(equal).toBe(texts.length);
    }
  });
});
