// One update captured as lists of GPU dispatches and replayed: a list for each shape of micro-batch, and one for norm and AdamW.
// Not here: the same op by op (step.ts), how a list is captured (kernels/webgpu/stepGraph.ts), where gradients are kept (kernels/webgpu/gradientBank.wgsl.ts).
//
// How it works: the first micro-batch of a shape runs op by op while its dispatches, bind groups and buffers are recorded; later ones
// only write their ids, targets and scalars and submit the recorded list. Gradients add up in a bank of fixed buffers, in which AdamW
// also keeps its moments. The last micro-batch and the update share one submit.
// Memory: temporaries of all lists come from one pool, so that a second shape costs only what it needs beyond the first.

import * as tf from '@tensorflow/tfjs-core';
import type { Batch } from '../../contract';
import type { Hyperparameters } from '../../hyperparameters';
import { capturable, normedCrossEntropy, type Targets } from '../kernels';
import { targetPlan } from '../kernels/crossEntropy/crossEntropy.wgsl';
import { GradientBank, updateValues } from '../kernels/webgpu/gradientBank.wgsl';
import { compileAhead, upload, valuesLater } from '../kernels/webgpu/program';
import { GraphPool, type Replay, recordInTurn, replayInTurn, StepGraph } from '../kernels/webgpu/stepGraph';
import type { Learner } from '../model/adapters';
import type { Model } from '../model/model';
import { Tape } from '../model/tape';
import { targetsOf } from './batch';
import { type Measured, targetLosses } from './evaluate';
import { decays, type OptimizerState } from './optimizer';
import {
  disposingOnError,
  EagerStepper,
  type MicroBatch,
  type PendingUpdate,
  passOf,
  type Stepper,
  TRAINING_YIELD,
  type UpdateRequest,
  type YieldPoint,
} from './step';

/** The stepper for the kernels in use. */
export function createStepper(model: Model, learner: Learner, h: Hyperparameters): Stepper {
  return capturable() ? new CapturedStepper(model, learner, h) : new EagerStepper(model, learner, h);
}

/** Graphs kept at a time. Each holds a few kilobytes of its own; temporaries are shared. The least recently used one is freed first. */
const MAX_GRAPHS = 48;

export class CapturedStepper implements Stepper {
  readonly #model: Model;
  readonly #learner: Learner;
  readonly #h: Hyperparameters;
  readonly #pool = new GraphPool();
  #allocatedBank: GradientBank | null = null;
  readonly #graphs = new Map<string, StepGraph<tf.Tensor | null>>();
  #updateGraph: StepGraph<null> | null = null;
  #count = 0;
  /** Restored moments, until the bank is allocated. */
  #restored: OptimizerState['moments'] | null = null;

  readonly #replays: boolean;
  /** Gradients of the same micro-batches op by op, for the debug switch. */
  #eagerBank: GradientBank | null = null;
  readonly #compares: boolean;

  /**
   * @param options `replays: false` runs every step op by op through the same bodies. `compares: true` is the debug switch: every
   *   micro-batch also runs op by op, and the first bit that differs from the replay throws.
   */
  constructor(
    model: Model,
    learner: Learner,
    h: Hyperparameters,
    { replays = true, compares = false }: { replays?: boolean; compares?: boolean } = {},
  ) {
    this.#replays = replays;
    this.#compares = compares;
    this.#model = model;
    this.#learner = learner;
    this.#h = h;
  }

  /** Allocated at first use: a run that is never started takes no memory. */
  get #bank(): GradientBank {
    if (this.#allocatedBank === null) {
      this.#allocatedBank = this.#newBank();
      if (this.#restored !== null) this.#allocatedBank.restoreMoments(this.#restored);
      this.#restored = null;
    }
    return this.#allocatedBank;
  }

  #newBank(): GradientBank {
    return new GradientBank(
      [...this.#learner.tensors].map(([name, parameter]) => ({
        name,
        parameter,
        weightDecay: decays(name, parameter) ? this.#h.weight_decay : 0,
      })),
    );
  }

  async *update(request: UpdateRequest): AsyncGenerator<YieldPoint, PendingUpdate> {
    const { batches, weightSum, noiseKeys, learningRate } = request;
    let isFirst = true;
    // The replay of the last micro-batch waits for that of the update: both are one submit.
    let held: Replay[] = [];
    for (const [i, batch] of batches.entries()) {
      if (batch.targetTokens === 0) continue;
      if (held.length > 0) replayInTurn(held);
      const micro = { batch, scale: 1 / weightSum, noiseKey: noiseKeys[i] as number };
      held = await this.#gradientsOf(micro, isFirst);
      if (this.#compares) {
        if (held.length > 0) replayInTurn(held);
        held = [];
        await this.#compare(micro, isFirst);
      }
      isFirst = false;
      yield TRAINING_YIELD;
    }
    if (isFirst) return { result: Promise.resolve({ loss: 0, gradNorm: 0, applied: true }) };
    this.#count += 1;
    const h = this.#h;
    const values = updateValues({
      learningRate,
      beta1: h.adam_beta1,
      beta2: h.adam_beta2,
      epsilon: h.adam_epsilon,
      count: this.#count,
    });
    const body = () => {
      this.#bank.norm(h.max_grad_norm);
      this.#bank.update(values);
      return null;
    };
    if (!this.#replays) body();
    else if (this.#updateGraph) {
      // Its numbers are read below, which submits it.
      recordInTurn([...held, { graph: this.#updateGraph, values: { inputs: {}, live: values } }]);
    } else {
      if (held.length > 0) replayInTurn(held);
      await compileAhead(body);
      this.#updateGraph = StepGraph.capture(this.#pool, body);
    }
    const result = this.#bank.result();
    return { result: result.then(({ loss, gradNorm, failed }) => ({ loss, gradNorm, applied: !failed })) };
  }

  async *rehearse(batch: Batch, noiseKey: number): AsyncGenerator<YieldPoint, void> {
    if (batch.targetTokens === 0) return;
    const held = await this.#gradientsOf({ batch, scale: 1, noiseKey }, true);
    if (held.length > 0) replayInTurn(held);
    yield TRAINING_YIELD;
    await this.#bank.result();
  }

  async optimizerState(): Promise<OptimizerState> {
    const moments = this.#restored ?? (await this.#bank.moments());
    return { count: this.#count, moments };
  }

  restoreOptimizer({ count, moments }: OptimizerState): void {
    this.#count = count;
    this.#restored = moments;
  }

  dispose(): void {
    for (const graph of this.#graphs.values()) graph.dispose();
    this.#graphs.clear();
    this.#updateGraph?.dispose();
    this.#updateGraph = null;
    this.#allocatedBank?.dispose();
    this.#allocatedBank = null;
    this.#eagerBank?.dispose();
    this.#eagerBank = null;
    this.#pool.dispose();
  }

  /**
   * Writes one micro-batch's gradients into the bank when it is the update's first, else adds them. Returns the replay that still has to
   * be submitted; empty when the micro-batch has already run.
   */
  async #gradientsOf(micro: MicroBatch, isFirst: boolean): Promise<Replay[]> {
    const { batch, scale, noiseKey } = micro;
    if (!this.#replays) {
      this.#body(micro, isFirst, this.#bank);
      return [];
    }
    const targets = targetsOf(batch);
    const key = [batch.rows, batch.columns, targets.ids.length, isFirst].join();
    const values = {
      inputs: { ids: batch.ids, targets: targetPlan(targets, batch.ids.length) },
      live: { lossScale: scale, noiseKey },
    };
    this.#bank.begin();
    const { graph, ran } = await this.#graphOf(key, batch, () => this.#body(micro, isFirst, this.#bank));
    return ran ? [] : [{ graph, values }];
  }

  async *measure(batch: Batch, targets: Targets): AsyncGenerator<void, Measured> {
    const key = ['measure', batch.rows, batch.columns, targets.ids.length].join();
    const values = {
      inputs: { ids: batch.ids, targets: targetPlan(targets, batch.ids.length) },
      live: { lossScale: 1 },
    };
    const { graph, ran } = await this.#graphOf(key, batch, () =>
      tf.tidy(() => {
        const ids = upload<tf.Tensor1D>('ids', batch.ids, [batch.ids.length]);
        return tf.keep(targetLosses(this.#model, this.#learner, batch, targets, ids));
      }),
    );
    if (!ran) graph.replay(values);
    return { values: valuesLater(graph.result as tf.Tensor) };
  }

  /** The graph of this key, captured if there is none. `ran`: it was captured by this call, which also executed it. */
  async #graphOf(
    key: string,
    { rows, columns }: Batch,
    body: () => tf.Tensor | null,
  ): Promise<{ graph: StepGraph<tf.Tensor | null>; ran: boolean }> {
    const known = this.#graphs.get(key);
    if (known) {
      // A Map keeps insertion order: the least recently used key comes first.
      this.#graphs.delete(key);
      this.#graphs.set(key, known);
      return { graph: known, ran: false };
    }
    if (this.#graphs.size >= MAX_GRAPHS) {
      const [[oldest, unused]] = this.#graphs as unknown as [[string, StepGraph<tf.Tensor | null>]];
      unused.dispose();
      this.#graphs.delete(oldest);
    }
    // Tables that are created at first use and kept must not become part of the graph.
    this.#model.prepare(rows, columns);
    await compileAhead(body);
    const graph = StepGraph.capture(this.#pool, () => disposingOnError(body));
    this.#graphs.set(key, graph);
    return { graph, ran: true };
  }

  /** @throws Error when the gradients of the replay differ from those computed op by op */
  async #compare(micro: MicroBatch, isFirst: boolean): Promise<void> {
    this.#eagerBank ??= this.#newBank();
    this.#body(micro, isFirst, this.#eagerBank);
    const difference = await this.#bank.differenceFrom(this.#eagerBank);
    if (difference !== null) {
      throw new Error(
        `The replayed step ${this.#count + 1} is not the one that runs op by op: ${difference}.`,
      );
    }
  }

  /** What is captured: forward and backward pass of one micro-batch, its gradients and loss added to the bank. */
  #body({ batch, scale, noiseKey }: MicroBatch, isFirst: boolean, bank: GradientBank): null {
    bank.begin(!isFirst);
    const tape = new Tape(bank);
    const ids = upload<tf.Tensor1D>('ids', batch.ids, [batch.ids.length]);
    const pass = passOf(this.#model, this.#learner, this.#h, tape, noiseKey);
    const hidden = this.#model.forward(pass, ids, {
      batch: batch.rows,
      time: batch.columns,
      checkpointing: this.#h.gradient_checkpointing === 'on',
      beforeNorm: true,
    });
    const head = this.#model.head(pass);
    const { weight, bias, options } = this.#model.headNorm(pass);
    const norm = {
      ...{ weight: weight.tensor, bias: bias?.tensor ?? null, options },
      needs: { dweight: weight.needsGradient, dbias: bias?.needsGradient ?? false },
      to: { weight: tape.destination(weight), bias: tape.destination(bias) },
    };
    const made = normedCrossEntropy(hidden.tensor, norm, head.tensor, targetsOf(batch), {
      scale,
      labelSmoothing: this.#h.label_smoothing_factor,
      needs: { dhidden: true, dhead: head.needsGradient },
      headTo: tape.destination(head),
      lossTo: { tensor: bank.control, add: !isFirst },
    });
    tf.dispose([made.rowLoss, made.correct]);
    if (made.dhead) tape.addParameterGradient(head, made.dhead);
    if (made.dweight) tape.addParameterGradient(weight, made.dweight);
    if (bias && made.dbias) tape.addParameterGradient(bias, made.dbias);
    tape.backward(hidden, made.dhidden as tf.Tensor2D);
    ids.dispose();
    return null;
  }
}
