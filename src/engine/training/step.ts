// One update of the weights, op by op: gradients of its micro-batches, clipping, AdamW.
// Not here: which rows and when (train.ts), the same update captured and replayed on WebGPU (capturedStep.ts).
//
// How it works, for each micro-batch: a forward pass onto a tape; cross-entropy of the target positions, piece by piece, each of which
// adds to the gradient of the hidden states; the backward pass. Then, once: the global norm, read to the CPU; clipping; AdamW.
// The loss and the norm are read before AdamW, so an update with a loss or a norm that is no number is never applied.
// Memory: one sum of gradients for all micro-batches; activations of one micro-batch at a time; logits of one piece at a time.

import * as tf from '@tensorflow/tfjs-core';
import type { Batch, Measuring } from '../../contract';
import type { Hyperparameters } from '../../hyperparameters';
import { crossEntropy, type Targets } from '../kernels';
import type { Learner } from '../model/adapters';
import type { Model } from '../model/model';
import { GradientMap, type GradientSink, Tape } from '../model/tape';
import { partOf, targetsOf, targetsPerPiece } from './batch';
import { impossibleLoss, type Measured, measureWith } from './evaluate';
import { AdamW, clipCoefficient, type OptimizerState } from './optimizer';

/** A point inside a step or an evaluation at which the caller may handle events, or stop. It carries no result. */
export interface YieldPoint {
  kind: 'yield';
  during: 'training' | 'evaluating';
  /** Progress of an evaluation. */
  measuring?: Measuring;
}

export const TRAINING_YIELD: YieldPoint = { kind: 'yield', during: 'training' };

/** What an update is made from. */
export interface UpdateRequest {
  batches: readonly Batch[];
  /** Sum of the target weights of all batches: losses and gradients are means over it. */
  weightSum: number;
  /** Key of the random numbers (dropout, NEFTune) of each batch. */
  noiseKeys: readonly number[];
  learningRate: number;
}

export interface UpdateResult {
  /** Mean loss per target, before the update. */
  loss: number;
  gradNorm: number;
  /** False when the loss was no cross-entropy or the gradient not finite: then the weights were not changed. */
  applied: boolean;
}

/** An update whose result may not be known yet. (An object around the promise: a generator would wait for a bare one.) */
export interface PendingUpdate {
  result: Promise<UpdateResult>;
}

/** Makes updates. Its generators yield between pieces of work; closing one early frees what it allocated. */
export interface Stepper {
  /** The result may be known only after later updates have been asked for. */
  update(request: UpdateRequest): AsyncGenerator<YieldPoint, PendingUpdate>;
  /** Forward and backward without an update; leaves the weights as they were. */
  rehearse(batch: Batch, noiseKey: number): AsyncGenerator<YieldPoint, void>;
  /** Losses of a batch with the weights as they are. */
  measure(batch: Batch, targets: Targets): AsyncGenerator<void, Measured>;
  /** Moments and count, read from the device. No update may be pending. */
  optimizerState(): Promise<OptimizerState>;
  /** Restores a saved state. Before the first update. */
  restoreOptimizer(state: OptimizerState): void;
  /** Frees moments and whatever else only training needs. `measure` still works. */
  dispose(): void;
}

/** One micro-batch of an update. */
export interface MicroBatch {
  batch: Batch;
  /** 1 / weightSum of the whole update. */
  scale: number;
  noiseKey: number;
}

export class EagerStepper implements Stepper {
  readonly #model: Model;
  readonly #learner: Learner;
  readonly #h: Hyperparameters;
  readonly #optimizer = new AdamW();

  constructor(model: Model, learner: Learner, h: Hyperparameters) {
    this.#model = model;
    this.#learner = learner;
    this.#h = h;
  }

  async *update(request: UpdateRequest): AsyncGenerator<YieldPoint, PendingUpdate> {
    const { batches, weightSum, noiseKeys, learningRate } = request;
    const gradients = new GradientMap();
    try {
      let loss = 0;
      for (const [i, batch] of batches.entries()) {
        const micro = { batch, scale: 1 / weightSum, noiseKey: noiseKeys[i] as number };
        loss += yield* this.#gradientsOf(micro, gradients);
        yield TRAINING_YIELD;
      }
      const gradNorm = await this.#optimizer.gradientNorm(gradients);
      const applied = !impossibleLoss(loss) && Number.isFinite(gradNorm);
      if (applied) {
        const clip = clipCoefficient(gradNorm, this.#h.max_grad_norm);
        this.#optimizer.update(this.#learner.tensors, gradients, this.#h, learningRate, clip);
      }
      return { result: Promise.resolve({ loss, gradNorm, applied }) };
    } finally {
      gradients.dispose();
    }
  }

  async *rehearse(batch: Batch, noiseKey: number): AsyncGenerator<YieldPoint, void> {
    const gradients = new GradientMap();
    try {
      yield* this.#gradientsOf({ batch, scale: 1, noiseKey }, gradients);
    } finally {
      gradients.dispose();
    }
  }

  optimizerState(): Promise<OptimizerState> {
    return this.#optimizer.state();
  }

  restoreOptimizer(state: OptimizerState): void {
    this.#optimizer.restore(state, this.#learner.tensors);
  }

  measure(batch: Batch, targets: Targets): AsyncGenerator<void, Measured> {
    return measureWith(this.#model, this.#learner)(batch, targets);
  }

  dispose(): void {
    this.#optimizer.dispose();
  }

  /** Adds one micro-batch's gradients to `gradients`; returns its share of the mean loss, in nats. */
  async *#gradientsOf(micro: MicroBatch, gradients: GradientSink): AsyncGenerator<YieldPoint, number> {
    const { batch, scale } = micro;
    const targets = targetsOf(batch);
    if (targets.real === 0) return 0;
    const tape = new Tape(gradients);
    const ids = tf.tensor1d(batch.ids, 'int32');
    let dhidden: tf.Tensor2D | null = null;
    try {
      const pass = passOf(this.#model, this.#learner, this.#h, tape, micro.noiseKey);
      const hidden = yield* yieldingBetween(
        this.#model.forwardByLayer(pass, ids, {
          batch: batch.rows,
          time: batch.columns,
          checkpointing: this.#h.gradient_checkpointing === 'on',
        }),
      );
      const head = this.#model.head(pass);
      const piece = targetsPerPiece(head.tensor);
      let sum = 0;
      for (let start = 0; start < targets.ids.length; start += piece) {
        const part = partOf(targets, start, piece);
        const before: tf.Tensor2D | null = dhidden;
        const result: Part = disposingOnError(() => {
          const made = crossEntropy(hidden.tensor, head.tensor, part, {
            scale,
            labelSmoothing: this.#h.label_smoothing_factor,
            needs: { dhidden: true, dhead: head.needsGradient },
          });
          if (made.dhead) tape.addParameterGradient(head, made.dhead);
          const own = made.dhidden as tf.Tensor2D;
          return { ...made, own, sum: before ? (tf.add(before, own) as tf.Tensor2D) : own };
        });
        dhidden = result.sum;
        if (before) tf.dispose([before, result.own]);
        const losses = await result.rowLoss.data();
        for (const [i, loss] of losses.entries()) sum += loss * (part.weights[i] as number);
        tf.dispose([result.rowLoss, result.correct]);
        yield TRAINING_YIELD;
      }
      const dy = dhidden as tf.Tensor2D;
      dhidden = null;
      yield* yieldingBetween(tape.backwardByNode(hidden, dy));
      return sum * scale;
    } catch (thrown) {
      // A table that was created just before the error was disposed with the tensors of that op.
      this.#model.disposeConstants();
      throw thrown;
    } finally {
      tape.dispose();
      ids.dispose();
      dhidden?.dispose();
    }
  }
}

/** Loss and gradient of one piece of the targets; `sum` is the gradient of the hidden states so far. */
type Part = ReturnType<typeof crossEntropy> & { own: tf.Tensor2D; sum: tf.Tensor2D };

/** Runs `body`; if it throws, disposes every tensor it allocated: when memory runs out between two tensors of an op, nobody owns the first yet. */
export function disposingOnError<T>(body: () => T): T {
  const engine = tf.engine();
  engine.startScope('body');
  let made: tf.Tensor[] = [];
  try {
    const result = body();
    made = [...(engine.state.activeScope as { track: tf.Tensor[] }).track];
    return result;
  } finally {
    engine.endScope(made);
  }
}

/** Runs `work`, yielding at each of its pauses. If closed early, closes `work`. */
function* yieldingBetween<T>(work: Generator<void, T>): Generator<YieldPoint, T> {
  try {
    for (;;) {
      const next = disposingOnError(() => work.next());
      if (next.done) return next.value;
      yield TRAINING_YIELD;
    }
  } finally {
    work.return(undefined as never);
  }
}

/** The settings of a forward pass in training: gradients onto `tape`, random numbers by `noiseKey`. */
export function passOf(
  model: Model,
  learner: Learner,
  h: Hyperparameters,
  tape: Tape,
  noiseKey: number,
): { weights: Model['weights']; learner: Learner; tape: Tape; noise: { key: number; neftuneAlpha: number } } {
  return {
    weights: model.weights,
    learner,
    tape,
    noise: { key: noiseKey, neftuneAlpha: h.neftune_noise_alpha },
  };
}
