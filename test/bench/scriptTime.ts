// What an update costs the JavaScript thread: replayed, its bodies dispatched anew, and op by op with a tape, in turns in one process.
// Not here: how often (counts.mjs), dispatches and bytes (countSteps.ts). Linux only: elsewhere no one tells the time of one thread.

import { existsSync, readFileSync } from 'node:fs';
import { makeBatch } from '../../src/data/batches';
import { createLearner } from '../../src/engine/model/adapters';
import { CapturedStepper } from '../../src/engine/training/capturedStep';
import { EagerStepper, type Stepper } from '../../src/engine/training/step';
import { defaultHyperparameters } from '../../src/hyperparameters';
import { architectureOf, SMALL } from './countSteps';
import { createTrainer, startBackend } from './engines/ours';
import { gpuDone, readWaitedMs, startCounting, stopCounting, watchWaiting } from './instruments';
import { rowsOf } from './shapes';

export interface ScriptTimes {
  /** Median processor time of the JavaScript thread in an update, its numbers read, waiting not counted. ms */
  replayMs: number;
  anewMs: number;
  eagerMs: number;
  replayCpuOverEager: number;
  replayCpuOverAnew: number;
  updates: number;
}

const LAYERS = 4;
const WARM_UP = 5;
const UPDATES = 50;
/** Fewer say little. */
const MIN_UPDATES = 10;

const TASK = `/proc/self/task/${process.pid}/schedstat`;
const never = new Int32Array(new SharedArrayBuffer(4));

/** Looking at the clock takes the thread a twentieth of a millisecond itself: what one look takes, and how many there were. */
let lookMs = 0;
let looks = 0;

/**
 * Processor time of the main thread so far, less what the looks at it took. The kernel adds it up when the thread gives way, so it is
 * made to, for a moment.
 */
function threadMs(): number {
  Atomics.wait(never, 0, 0, 0.02);
  looks++;
  return Number(readFileSync(TASK, 'utf8').split(' ')[0]) / 1e6 - looks * lookMs;
}

function calibrate(): void {
  const rounds = 300;
  for (let i = 0; i < rounds; i++) threadMs();
  const start = threadMs();
  for (let i = 0; i < rounds; i++) threadMs();
  lookMs = (threadMs() - start) / (rounds + 1);
}

const median = (list: number[]) => [...list].sort((a, b) => a - b)[list.length >> 1] as number;

export type TimesByMethod = Record<'full' | 'lora', ScriptTimes | null>;

/**
 * Both methods, a Llama shape of four small layers.
 * @param patienceMs of `performance.now()`: no further round is begun after this time
 * @returns null for what was not measured in time, or where the system does not tell
 */
export async function scriptTimes(patienceMs = Number.POSITIVE_INFINITY): Promise<TimesByMethod> {
  if (!existsSync(TASK)) return { full: null, lora: null };
  calibrate();
  watchWaiting(threadMs);
  // For `gpuDone`: counting learns the queue.
  startCounting();
  await startBackend('webgpu', '');
  const full = await timesOf('full', patienceMs);
  return { full, lora: full && (await timesOf('lora', patienceMs)) };
}

async function timesOf(method: 'full' | 'lora', patienceMs: number): Promise<ScriptTimes | null> {
  if (performance.now() > patienceMs) return null;
  const shape = { ...SMALL, layers: LAYERS };
  const { model, trainer } = await createTrainer(architectureOf('llama', shape), shape, method);
  trainer.dispose();
  await gpuDone();
  stopCounting();
  const mask = new Uint8Array(shape.time).fill(1);
  const rows = rowsOf(shape, 0).map((ids, i) => ({
    line: i + 1,
    ids: ids.slice(0, shape.time),
    mask,
    fullLength: shape.time,
  }));
  const batch = makeBatch(rows, 0);
  const weightSum = batch.weights.reduce((a, b) => a + b, 0);
  const h = { ...defaultHyperparameters(), method };
  const learner = () => createLearner(model.architecture, model.weights, h);
  const steppers: Stepper[] = [
    new CapturedStepper(model, learner(), h),
    new CapturedStepper(model, learner(), h, { replays: false }),
    new EagerStepper(model, learner(), h),
  ];
  const times: number[][] = steppers.map(() => []);
  for (let i = 0; i < WARM_UP + UPDATES && performance.now() < patienceMs; i++) {
    for (const [k, stepper] of steppers.entries()) {
      await gpuDone();
      const [start, waited] = [threadMs(), readWaitedMs()];
      const work = stepper.update({ batches: [batch], weightSum, noiseKeys: [i], learningRate: 1e-4 });
      let next = await work.next();
      while (!next.done) next = await work.next();
      const { applied } = await next.value.result;
      const spent = threadMs() - start - (readWaitedMs() - waited);
      if (!applied)
        throw new Error('An update whose time was taken was not made: its numbers are not finite.');
      if (i >= WARM_UP) times[k]?.push(spent);
    }
  }
  for (const stepper of steppers) stepper.dispose();
  model.dispose();
  const updates = Math.min(...times.map((list) => list.length));
  if (updates < MIN_UPDATES) return null;
  const [replayMs, anewMs, eagerMs] = times.map(median) as [number, number, number];
  const round = (x: number) => Number(x.toFixed(4));
  return {
    replayMs: round(replayMs),
    anewMs: round(anewMs),
    eagerMs: round(eagerMs),
    replayCpuOverEager: round(replayMs / eagerMs),
    replayCpuOverAnew: round(replayMs / anewMs),
    updates,
  };
}
