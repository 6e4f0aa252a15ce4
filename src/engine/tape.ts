// Reverse-mode differentiation over our own ops: records a step, walks back, frees every tensor the moment it is done with.
// Not here: the ops themselves (ops.ts). tfjs's own tape keeps everything alive until the end and differentiates `tile` by a loop.

import * as tf from '@tensorflow/tfjs-core';
import type { Destination } from './kernels';

/** A tensor in the computation. `parameter` names a leaf whose gradient is wanted. */
export interface Value<T extends tf.Tensor = tf.Tensor2D> {
  readonly tensor: T;
  readonly needsGradient: boolean;
  readonly parameter: string | null;
}

/** What an input of a node has been given so far by others that use it too. */
export interface Arrived {
  /** Takes it, to make it part of this node's own gradient; the caller disposes it. Null when nothing has come. */
  take(input: number): tf.Tensor2D | null;
}

/** Gradients of a node's inputs, in their order; null where none was asked for. The tape takes ownership. */
export type Backward = (dy: tf.Tensor2D, arrived: Arrived) => (tf.Tensor | null)[];
/** The same for a node of several outputs, all of whose gradients have come. */
export type BackwardOfMany = (dys: tf.Tensor2D[], arrived: Arrived) => (tf.Tensor | null)[];

interface Node {
  inputs: readonly Value<tf.Tensor>[];
  outputs: readonly Value[];
  /** What only this node's backward reads. */
  saved: readonly tf.Tensor[];
  backward: BackwardOfMany;
}

/** Where the gradients of parameters go. */
export interface GradientSink {
  /** A tensor that is to receive this gradient, when there is one. */
  destination(name: string): Destination | null;
  /** Takes over a gradient: adds it to what an earlier use or micro-batch left. */
  add(name: string, gradient: tf.Tensor): void;
}

/** Gradients as tensors of their own, by parameter name. */
export class GradientMap extends Map<string, tf.Tensor> implements GradientSink {
  destination(): null {
    return null;
  }

  add(name: string, gradient: tf.Tensor): void {
    addTo(this, name, gradient);
  }

  dispose(): void {
    for (const gradient of this.values()) gradient.dispose();
    this.clear();
  }
}

/** A leaf or an intermediate without a history: evaluation, generation, frozen weights. */
export function constant<T extends tf.Tensor>(tensor: T): Value<T> {
  return { tensor, needsGradient: false, parameter: null };
}

export class Tape {
  readonly #nodes: Node[] = [];
  readonly #owned: tf.Tensor[] = [];
  readonly #gradients: GradientSink;

  constructor(gradients: GradientSink) {
    this.#gradients = gradients;
  }

  get gradients(): GradientSink {
    return this.#gradients;
  }

  parameter<T extends tf.Tensor>(name: string, tensor: T): Value<T> {
    return { tensor, needsGradient: true, parameter: name };
  }

  /** A leaf whose gradient `backward` returns: the input of a checkpointed block. */
  leaf<T extends tf.Tensor>(tensor: T, needsGradient: boolean): Value<T> {
    return { tensor, needsGradient, parameter: null };
  }

  /** Free this tensor, too, when the walk is over. */
  own(tensor: tf.Tensor): void {
    this.#owned.push(tensor);
  }

  /** Where an op may put the gradient of this value; null when it is no parameter or no tensor waits for it. */
  destination(value: Value<tf.Tensor> | null): Destination | null {
    return value && value.parameter !== null ? this.#gradients.destination(value.parameter) : null;
  }

  /** Add to a parameter's gradient from outside the tape (the output head's, whose loss is no recorded op). */
  addParameterGradient(parameter: Value<tf.Tensor>, gradient: tf.Tensor): void {
    this.#gradients.add(parameter.parameter as string, gradient);
  }

  /** Remember one op. The tape owns `output` and `saved` from now on. */
  record(
    inputs: readonly Value<tf.Tensor>[],
    output: tf.Tensor2D,
    saved: readonly tf.Tensor[],
    backward: Backward,
  ): Value {
    const [value] = this.recordMany(inputs, [output], saved, ([dy], arrived) =>
      backward(dy as tf.Tensor2D, arrived),
    );
    return value as Value;
  }

  /** Remember one op with several outputs, every one of which must be used. */
  recordMany(
    inputs: readonly Value<tf.Tensor>[],
    outputs: readonly tf.Tensor2D[],
    saved: readonly tf.Tensor[],
    backward: BackwardOfMany,
  ): Value[] {
    const needsGradient = inputs.some((i) => i.needsGradient);
    const values = outputs.map((tensor): Value => ({ tensor, needsGradient, parameter: null }));
    this.#nodes.push({ inputs, outputs: values, saved, backward });
    return values;
  }

  /**
   * Walk back from `from`, whose gradient is `dy` (taken over). Frees all recorded tensors on the way.
   * @returns the gradient of `leaf`, when one is given and it needs one; the caller disposes it.
   */
  backward(from: Value, dy: tf.Tensor2D, leaf: Value | null = null): tf.Tensor2D | null {
    return toEnd(this.backwardByNode(from, dy, leaf));
  }

  /** The same, with a pause after each node. Given up in between (`return`), it frees what it holds; the tape's owner frees the rest. */
  *backwardByNode(
    from: Value,
    dy: tf.Tensor2D,
    leaf: Value | null = null,
  ): Generator<void, tf.Tensor2D | null> {
    const flowing = new Map<Value<tf.Tensor>, tf.Tensor>([[from, dy]]);
    try {
      while (this.#nodes.length > 0) {
        const node = this.#nodes[this.#nodes.length - 1] as Node;
        const dys = node.outputs.map((output) => flowing.get(output) as tf.Tensor2D | undefined);
        if (dys.every((d) => d !== undefined)) {
          for (const output of node.outputs) flowing.delete(output);
          const take = (i: number) => {
            const input = node.inputs[i] as Value;
            const before = flowing.get(input) as tf.Tensor2D | undefined;
            flowing.delete(input);
            return before ?? null;
          };
          const gradients = node.backward(dys as tf.Tensor2D[], { take });
          node.inputs.forEach((input, i) => {
            const gradient = gradients[i];
            if (!gradient) return;
            if (input.parameter !== null) this.#gradients.add(input.parameter, gradient);
            else if (input.needsGradient) addTo(flowing, input, gradient);
            else gradient.dispose();
          });
          tf.dispose(dys as tf.Tensor2D[]);
        } else if (dys.some((d) => d !== undefined)) {
          throw new Error('Only some outputs of an op were used: its gradient would be incomplete.');
        }
        this.#free(node);
        this.#nodes.pop();
        yield;
      }
      this.dispose();
      const result = leaf ? (flowing.get(leaf) as tf.Tensor2D | undefined) : undefined;
      if (leaf) flowing.delete(leaf);
      return result ?? null;
    } finally {
      for (const gradient of flowing.values()) gradient.dispose();
    }
  }

  /** Free what was recorded without walking back: after an error, or when nothing is to be learned. */
  dispose(): void {
    for (const node of this.#nodes) this.#free(node);
    this.#nodes.length = 0;
    for (const tensor of this.#owned) tensor.dispose();
    this.#owned.length = 0;
  }

  #free(node: Node): void {
    for (const tensor of node.saved) tensor.dispose();
    for (const output of node.outputs) output.tensor.dispose();
  }
}

function addTo<K>(sums: Map<K, tf.Tensor>, key: K, gradient: tf.Tensor): void {
  const before = sums.get(key);
  if (!before) {
    sums.set(key, gradient);
    return;
  }
  sums.set(key, tf.add(before, gradient));
  before.dispose();
  gradient.dispose();
}

/** Walks without pausing. */
export function toEnd<T>(walk: Generator<void, T>): T {
  for (;;) {
    const next = walk.next();
    if (next.done) return next.value;
  }
}
