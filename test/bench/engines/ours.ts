// The product: its Trainer, through its public face only, on WebGPU, on wasm, and on the plain reference ops (which the others are held to).
// Not here: the peers and the floor (their own files), timing.

import type { BackendName, DeviceReport, EncodedExample } from '../../../src/contract';
import { epochOrder } from '../../../src/data/batches';
import { startDevice, takeDeviceError } from '../../../src/engine/device/device';
import { measurable, selectTiles } from '../../../src/engine/device/tuning';
import { chooseKernels } from '../../../src/engine/kernels';
import { loadModel } from '../../../src/engine/model/load';
import { Trainer } from '../../../src/engine/training/train';
import { defaultHyperparameters, type Hyperparameters } from '../../../src/hyperparameters';
import type { Architecture } from '../../../src/modelArchitecture';
import { resetPeakBytes } from '../instruments';
import { llamaOf, rowsOf, SETTINGS, type Shape, startWeights } from '../shapes';
import type { Job, RunningEngine, StartEngine } from './engine';

/** The run's length sets nothing but the schedule, which is constant. */
const LONGEST_RUN = 4000;

export async function startBackend(backend: BackendName, wasmPath: string): Promise<DeviceReport> {
  const fail = (error: Error) => {
    throw error;
  };
  const report = await startDevice({ requested: backend, wasmPath, onLost: fail, onError: fail });
  if (/kernels are off/.test(report.because)) throw new Error(report.because);
  return report;
}

/** Measures the tiles as the page does at its first start. Says which of them are not the rule's. */
async function measureTiles(device: DeviceReport): Promise<string> {
  const settled = await selectTiles(device, { kept: null, now: () => performance.now() });
  if (settled === null) return '';
  const { chosen, because, sizes } = settled.report;
  if (chosen === 'rule') return measurable(device) ? `, ${because}` : ', tiles by rule';
  // The bench's buffers are gone again, and are no part of a step.
  resetPeakBytes();
  const moved = sizes.filter(({ tile, rule }) => tile !== rule);
  const told = moved.map((s) => `${s.size}: ${s.tile} × ${s.gain?.toFixed(2) ?? '?'} of ${s.rule}`);
  return `, tiles measured (${told.join(', ') || 'the rule’s are best'})`;
}

/** A trainer that meets the batches of shapes.ts in their order: the rows are laid out so that its own shuffle restores it. */
export async function createTrainer(
  architecture: Architecture,
  shape: Shape,
  method: Hyperparameters['method'],
) {
  const arrays = [...startWeights(architecture)];
  const parameters = arrays.reduce((sum, a) => sum + a.data.length, 0);
  const byName = new Map(arrays.map((a) => [a.name, a]));
  const names = [...byName.keys()];
  const read = async (name: string) => byName.get(name) as { shape: number[]; data: Float32Array };
  const weights = { names, totalBytes: 4 * parameters, parameters, read };
  const model = await loadModel({ architecture, weights }, () => {});
  byName.clear();
  const h: Hyperparameters = {
    ...defaultHyperparameters(),
    method,
    learning_rate: SETTINGS.learningRate,
    lr_scheduler_type: 'constant',
    warmup_ratio: 0,
    adam_beta1: SETTINGS.beta1,
    adam_beta2: SETTINGS.beta2,
    adam_epsilon: SETTINGS.epsilon,
    weight_decay: SETTINGS.weightDecay,
    max_grad_norm: SETTINGS.clip,
    batch_size: shape.batch,
    gradient_accumulation_steps: 1,
    num_train_epochs: 1,
    lora_dropout: 0,
    train_embeddings: true,
  };
  const rows = new Map<number, EncodedExample>();
  const train: EncodedExample[] = [];
  const mask = new Uint8Array(shape.time).fill(1);
  epochOrder(LONGEST_RUN * shape.batch, h.seed, 0).forEach((place, i) => {
    const key = i % (4 * shape.batch);
    let row = rows.get(key);
    if (row === undefined) {
      const tokens = rowsOf(shape, Math.floor(key / shape.batch))[key % shape.batch] as Int32Array;
      row = { line: key + 1, ids: tokens.slice(0, shape.time), mask, fullLength: shape.time };
      rows.set(key, row);
    }
    train[place] = row;
  });
  const trainer = new Trainer(model, { train, validation: train.slice(0, 1) }, h);
  return { model, trainer, parameters };
}

/** Updates under way when nobody waits for each one's numbers; the page allows as many (src/session/run.ts). */
const LOOKAHEAD = 4;

/** `count` updates of a run that goes on from call to call. */
function inARow(trainer: Trainer): (count: number) => Promise<void> {
  let work: ReturnType<Trainer['run']> | null = null;
  return async (count) => {
    work ??= trainer.run(() => LOOKAHEAD);
    for (let done = 0; done < count; ) {
      const next = await work.next();
      if (next.done) throw new Error('The run ended while it was timed.');
      if (next.value.kind === 'step') done++;
    }
    const error = takeDeviceError();
    if (error !== null) throw error;
  };
}

/** Drives one update to its end, and makes a refused GPU command an error of the step. */
export async function update(trainer: Trainer): Promise<{ step: number; loss: number }> {
  const work = trainer.update();
  while (true) {
    const next = await work.next();
    if (!next.done) continue;
    const error = takeDeviceError();
    if (error !== null) throw error;
    return next.value;
  }
}

const on =
  (backend: BackendName, plain: boolean): StartEngine =>
  async (job: Job): Promise<RunningEngine> => {
    const tiles = await measureTiles(await startBackend(backend, job.wasmPath));
    if (plain) chooseKernels({});
    const architecture = llamaOf(job.shape);
    const { trainer, parameters } = await createTrainer(architecture, job.shape, job.method);
    const { layers, hidden } = job.shape;
    let last = Number.NaN;
    return {
      version: `ours, ${backend}${plain ? ', plain tfjs ops' : ''}${tiles}`,
      model: `Llama type${job.method === 'lora' ? ', LoRA' : ''}`,
      parameters,
      // Frozen weights need no gradient: two products of three.
      productWeights: (parameters - (2 * layers + 1) * hidden) * (job.method === 'lora' ? 2 / 3 : 1),
      step: async () => {
        last = (await update(trainer)).loss;
      },
      ahead: inARow(trainer),
      loss: async () => last,
    };
  };

export const ours = on('webgpu', false);
export const wasm = on('wasm', false);
export const reference = on('wasm', true);
