// Reverse-mode automatic differentiation: a tape of the ops of one forward pass, and the backward pass over it.
// Not here: the ops (ops.ts), where parameter gradients are kept (kernels/webgpu/gradientBank.wgsl.ts, `GradientMap`).
//
// How it works: `record` appends one node per op. `backward` visits the nodes in reverse order of recording, which is a topological
// order, calls each node's gradient function once and adds the results to the gradients of its inputs.
// Memory: outputs and saved tensors of a node are freed as soon as its gradient function has returned, so the peak is that of the
// forward pass plus one layer. (tfjs's own tape keeps everything until the end and differentiates `tile` by a loop.)
// Gradients of activations are written, those of parameters are added: an activation belongs to one micro-batch, a parameter's
// gradient is a sum over uses and micro-batches. `destination` lets a kernel add to that sum in place, without a tensor of its own.

import * as tf from '@tensorflow/tfjs-core';
import type { Destination } from '../kernels';

/** A tensor in the computation. `parameter` names a leaf whose gradient is wanted. */
export interface Value<T extends tf.Tensor = tf.Tensor2D> {
  readonly tensor: T;
  readonly needsGradient: boolean;
  readonly parameter: string | null;
}

/** The gradient that an input of a node has collected so far from its other uses. */
export interface Arrived {
  /** Removes it, so that this node's kernel can add it to its own result; the caller disposes it. Null when there is none. */
  take(input: number): tf.Tensor2D | null;
}

/** Gradients of a node's inputs, in their order; null where none was asked for. The tape takes ownership. */
export type Backward = (dy: tf.Tensor2D, arrived: Arrived) => (tf.Tensor | null)[];
/** The same for a node of several outputs, when the gradients of all are known. */
export type BackwardOfMany = (dys: tf.Tensor2D[], arrived: Arrived) => (tf.Tensor | null)[];

interface Node {
  inputs: readonly Value<tf.Tensor>[];
  outputs: readonly Value[];
  /** Read by this node's backward only. */
  saved: readonly tf.Tensor[];
  backward: BackwardOfMany;
}

/** Where the gradients of parameters go. */
export interface GradientSink {
  /** The tensor to add this gradient to in place; null when there is none. */
  destination(name: string): Destination | null;
  /** Adds a gradient to the sum over uses and micro-batches, and owns it from now on. */
  add(name: string, gradient: tf.Tensor): void;
}

/** Gradients as separate tensors, by parameter name. */
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

/** A value without a gradient: in evaluation and generation, and frozen weights in training. */
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

  /** Frees this tensor, too, after the backward pass. */
  own(tensor: tf.Tensor): void {
    this.#owned.push(tensor);
  }

  /** Where an op may add the gradient of this value in place; null when it is no parameter or the sink has no tensor for it. */
  destination(value: Value<tf.Tensor> | null): Destination | null {
    return value && value.parameter !== null ? this.#gradients.destination(value.parameter) : null;
  }

  /** Adds to a parameter's gradient from outside the tape (that of the output head, whose loss is not a recorded op). */
  addParameterGradient(parameter: Value<tf.Tensor>, gradient: tf.Tensor): void {
    this.#gradients.add(parameter.parameter as string, gradient);
  }

  /** Appends one op. The tape owns `output` and `saved` from now on. */
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

  /** Appends one op with several outputs, every one of which must be used. */
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
   * The backward pass from `from`, whose gradient is `dy` (owned from now on). Frees all recorded tensors.
   * @returns the gradient of `leaf`, when one is given and it needs one; the caller disposes it.
   */
  backward(from: Value, dy: tf.Tensor2D, leaf: Value | null = null): tf.Tensor2D | null {
    return runToEnd(this.backwardByNode(from, dy, leaf));
  }

  /** The same as a generator that yields after each node. If it is closed early, it frees the gradients it holds; `dispose` frees the rest. */
  *backwardByNode(
    from: Value,
    dy: tf.Tensor2D,
    leaf: Value | null = null,
  ): Generator<void, tf.Tensor2D | null> {
    const pending = new Map<Value<tf.Tensor>, tf.Tensor>([[from, dy]]);
    try {
      while (this.#nodes.length > 0) {
        const node = this.#nodes[this.#nodes.length - 1] as Node;
        const dys = node.outputs.map((output) => pending.get(output) as tf.Tensor2D | undefined);
        if (dys.every((d) => d !== undefined)) {
          for (const output of node.outputs) pending.delete(output);
          const take = (i: number) => {
            const input = node.inputs[i] as Value;
            const before = pending.get(input) as tf.Tensor2D | undefined;
            pending.delete(input);
            return before ?? null;
          };
          const gradients = node.backward(dys as tf.Tensor2D[], { take });
          node.inputs.forEach((input, i) => {
            const gradient = gradients[i];
            if (!gradient) return;
            if (input.parameter !== null) this.#gradients.add(input.parameter, gradient);
            else if (input.needsGradient) addTo(pending, input, gradient);
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
      const result = leaf ? (pending.get(leaf) as tf.Tensor2D | undefined) : undefined;
      if (leaf) pending.delete(leaf);
      return result ?? null;
    } finally {
      for (const gradient of pending.values()) gradient.dispose();
    }
  }

  /** Frees what was recorded without a backward pass: after an error, or when nothing is trained. */
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

/** Runs a generator to its end and gives what it returns. */
export function runToEnd<T>(generator: Generator<void, T>): T {
  for (;;) {
    const next = generator.next();
    if (next.done) return next.value;
  }
}
