// One update of the weights: gradients of its micro-batches, clipping, AdamW. Here op by op, with a look at the numbers in between.
// Not here: which rows, when, and what is told about it (train.ts); the same captured on WebGPU (capturedStep.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Batch, Measuring } from '../../contract';
import type { Hyperparameters } from '../../hyperparameters';
import { crossEntropy, type Targets } from '../kernels';
import type { Learner } from '../model/adapters';
import type { Model } from '../model/model';
import { GradientMap, type GradientSink, Tape } from '../model/tape';
import { partOf, pieceOf, targetsOf } from './batch';
import { impossibleLoss, type Measured, measureWith } from './evaluate';
import { AdamW, clipCoefficient, type OptimizerState } from './optimizer';

/** A place to breathe inside a step or an evaluation; nothing to tell. */
export interface Breath {
  kind: 'breath';
  during: 'training' | 'evaluating';
  /** How far an evaluation is. */
  measuring?: Measuring;
}

export const TRAINING: Breath = { kind: 'breath', during: 'training' };

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
  /** False when the loss was no cross-entropy or the gradient not finite: the weights are as they were, and stay so. */
  applied: boolean;
}

/** An update on its way. (An object around the promise: a generator would wait for a bare one.) */
export interface Underway {
  result: Promise<UpdateResult>;
}

/** Makes updates. Yields between pieces of work, so that the caller can breathe or give up. */
export interface Stepper {
  /** The result may be known only after later updates have been asked for. */
  update(request: UpdateRequest): AsyncGenerator<Breath, Underway>;
  /** Forward and backward without an update; leaves the weights as they were. */
  rehearse(batch: Batch, noiseKey: number): AsyncGenerator<Breath, void>;
  /** Losses of a batch with the weights as they are. */
  measure(batch: Batch, targets: Targets): AsyncGenerator<void, Measured>;
  /** Moments and count, read from the device. No update may be in flight. */
  optimizerState(): Promise<OptimizerState>;
  /** Goes on from a saved state; before the first update. */
  restoreOptimizer(state: OptimizerState): void;
  /** Frees moments and what else only training needs. `measure` works on. */
  dispose(): void;
}

/** Mean loss and gradients of one micro-batch, which is what a step is made of. */
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

  async *update(request: UpdateRequest): AsyncGenerator<Breath, Underway> {
    const { batches, weightSum, noiseKeys, learningRate } = request;
    const gradients = new GradientMap();
    try {
      let loss = 0;
      for (const [i, batch] of batches.entries()) {
        const micro = { batch, scale: 1 / weightSum, noiseKey: noiseKeys[i] as number };
        loss += yield* this.#gradientsOf(micro, gradients);
        yield TRAINING;
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

  async *rehearse(batch: Batch, noiseKey: number): AsyncGenerator<Breath, void> {
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
  async *#gradientsOf(micro: MicroBatch, gradients: GradientSink): AsyncGenerator<Breath, number> {
    const { batch, scale } = micro;
    const targets = targetsOf(batch);
    if (targets.real === 0) return 0;
    const tape = new Tape(gradients);
    const ids = tf.tensor1d(batch.ids, 'int32');
    let dhidden: tf.Tensor2D | null = null;
    try {
      const pass = passOf(this.#model, this.#learner, this.#h, tape, micro.noiseKey);
      const hidden = yield* breathing(
        this.#model.forwardByLayer(pass, ids, {
          batch: batch.rows,
          time: batch.columns,
          checkpointing: this.#h.gradient_checkpointing === 'on',
        }),
      );
      const head = this.#model.head(pass);
      const piece = pieceOf(head.tensor);
      let sum = 0;
      for (let start = 0; start < targets.ids.length; start += piece) {
        const part = partOf(targets, start, piece);
        const before: tf.Tensor2D | null = dhidden;
        const result: Part = wholly(() => {
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
        yield TRAINING;
      }
      const dy = dhidden as tf.Tensor2D;
      dhidden = null;
      yield* breathing(tape.backwardByNode(hidden, dy));
      return sum * scale;
    } catch (thrown) {
      // A table that was made just before the error is gone with the rest of its piece.
      this.#model.disposeConstants();
      throw thrown;
    } finally {
      tape.dispose();
      ids.dispose();
      dhidden?.dispose();
    }
  }
}

/** What one piece of the positions adds to the loss and to the gradient of the hidden states. */
type Part = ReturnType<typeof crossEntropy> & { own: tf.Tensor2D; sum: tf.Tensor2D };

/** Does all of a piece or leaves nothing of it: when memory runs out between two tensors of an op, the first has no owner yet. */
export function wholly<T>(piece: () => T): T {
  const engine = tf.engine();
  engine.startScope('piece');
  let made: tf.Tensor[] = [];
  try {
    const result = piece();
    made = [...(engine.state.activeScope as { track: tf.Tensor[] }).track];
    return result;
  } finally {
    engine.endScope(made);
  }
}

/** The same walk with a breath at each pause; given up, it gives the walk up. */
function* breathing<T>(walk: Generator<void, T>): Generator<Breath, T> {
  try {
    for (;;) {
      const next = wholly(() => walk.next());
      if (next.done) return next.value;
      yield TRAINING;
    }
  } finally {
    walk.return(undefined as never);
  }
}

/** A forward pass of training. */
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
