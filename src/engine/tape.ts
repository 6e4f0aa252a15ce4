// Reverse-mode differentiation over our own ops: records a step, walks back, frees every tensor the moment it is done with.
// Not here: the ops themselves (ops.ts). tfjs's own tape keeps everything alive until the end and differentiates `tile` by a loop.

import * as tf from '@tensorflow/tfjs-core';

/** A tensor in the computation. `parameter` names a leaf whose gradient is wanted. */
export interface Value<T extends tf.Tensor = tf.Tensor2D> {
  readonly tensor: T;
  readonly needsGradient: boolean;
  readonly parameter: string | null;
}

/** Gradients of a node's inputs, in their order; null where none was asked for. The tape takes ownership. */
export type Backward = (dy: tf.Tensor2D) => (tf.Tensor | null)[];

interface Node {
  inputs: readonly Value<tf.Tensor>[];
  output: Value;
  /** What only this node's backward reads. */
  saved: readonly tf.Tensor[];
  backward: Backward;
}

/** A leaf or an intermediate without a history: evaluation, generation, frozen weights. */
export function constant<T extends tf.Tensor>(tensor: T): Value<T> {
  return { tensor, needsGradient: false, parameter: null };
}

export class Tape {
  readonly #nodes: Node[] = [];
  readonly #owned: tf.Tensor[] = [];
  readonly #gradients: Map<string, tf.Tensor>;

  /** `gradients` collects by parameter name; a micro-batch adds to what an earlier one left there. */
  constructor(gradients: Map<string, tf.Tensor>) {
    this.#gradients = gradients;
  }

  get gradients(): Map<string, tf.Tensor> {
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

  /** Add to a parameter's gradient from outside the tape (the output head's, whose loss is no recorded op). */
  addParameterGradient(parameter: Value<tf.Tensor>, gradient: tf.Tensor): void {
    addTo(this.#gradients, parameter.parameter as string, gradient);
  }

  /** Remember one op. The tape owns `output` and `saved` from now on. */
  record(
    inputs: readonly Value<tf.Tensor>[],
    output: tf.Tensor2D,
    saved: readonly tf.Tensor[],
    backward: Backward,
  ): Value {
    const needsGradient = inputs.some((i) => i.needsGradient);
    const value: Value = { tensor: output, needsGradient, parameter: null };
    this.#nodes.push({ inputs, output: value, saved, backward });
    return value;
  }

  /**
   * Walk back from `from`, whose gradient is `dy` (taken over). Frees all recorded tensors on the way.
   * @returns the gradient of `leaf`, when one is given and it needs one; the caller disposes it.
   */
  backward(from: Value, dy: tf.Tensor2D, leaf: Value | null = null): tf.Tensor2D | null {
    const flowing = new Map<Value<tf.Tensor>, tf.Tensor>([[from, dy]]);
    while (this.#nodes.length > 0) {
      const node = this.#nodes[this.#nodes.length - 1] as Node;
      const arrived = flowing.get(node.output);
      if (arrived) {
        flowing.delete(node.output);
        const gradients = node.backward(arrived as tf.Tensor2D);
        node.inputs.forEach((input, i) => {
          const gradient = gradients[i];
          if (!gradient) return;
          if (input.parameter !== null) addTo(this.#gradients, input.parameter, gradient);
          else if (input.needsGradient) addTo(flowing, input, gradient);
          else gradient.dispose();
        });
        arrived.dispose();
      }
      this.#free(node);
      this.#nodes.pop();
    }
    this.dispose();
    const result = leaf ? (flowing.get(leaf) as tf.Tensor2D | undefined) : undefined;
    return result ?? null;
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
    node.output.tensor.dispose();
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
