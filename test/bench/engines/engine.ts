// What the benchmark asks of an engine.
// Not here: any engine.

import type { Shape } from '../shapes';

export interface Job {
  engine: string;
  shape: Shape;
  method: 'full' | 'lora';
  /** Updates whose losses are compared with the reference; they come first. */
  gateSteps: number;
  warmUpSteps: number;
  countedSteps: number;
  timedSteps: number;
  /** Folder of the tfjs .wasm files, for the engines that use them. */
  wasmPath: string;
}

/** An engine with its model on the device, before the first update. */
export interface RunningEngine {
  /** Name and exact version. */
  version: string;
  /** What differs from the others, in one sentence. */
  model: string;
  parameters: number;
  /** Weights that multiply every token: products and head; tables and gains do not count, a tied head counts once. */
  productWeights: number;
  /** One update on batch `index` of shapes.ts. Resolves when the engine would take the next. */
  step(index: number): Promise<void>;
  /** `count` updates as the product makes them in a row: several under way, numbers read late. Without it `step` is called. */
  ahead?(count: number): Promise<void>;
  /** Loss of the last update's batch before the update, read back if it has not been yet. */
  loss(): Promise<number>;
}

export type StartEngine = (job: Job) => Promise<RunningEngine>;
