// The forward pass of a decoder-only transformer; the switches of `Architecture` make it a Llama, Qwen, GPT-2, GPT-NeoX or Gemma.
// Not here: what learns (adapters.ts), the loss (training/train.ts, training/evaluate.ts), reading files (formats/huggingface.ts).

import * as tf from '@tensorflow/tfjs-core';
import { PlaygroundError } from '../../errors';
import { tensorNames } from '../../formats/architecture';
import type { LayerNames, TensorNames } from '../../formats/families/family';
import type { Architecture } from '../../modelArchitecture';
import * as kernels from '../kernels';
import { applyLinears, applyMlp, hasOwnHead, type Pass, weight } from './adapters';
import * as ops from './ops';
import { constant, runToEnd, Tape, type Value } from './tape';

/** What attention does with one layer's q, k and v: the whole batch in training, or new tokens over a cache. */
type Attend = (layer: number, q: Value, k: Value, v: Value) => Value;

/** What one layer passes to the next: the residual stream and, where the layer's last kernel has computed it too, its norm. */
interface Stream {
  x: Value;
  normed: Value | null;
}

export interface ForwardOptions {
  batch: number;
  time: number;
  /** Gradient checkpointing: keep only each layer's input and compute the rest again in the backward pass. */
  checkpointing: boolean;
  /** Return the hidden states before the final norm, for a loss that computes the norm itself (`headNorm`). */
  beforeNorm?: boolean;
}

/** Shape of the ids, tokens that are cached before them, and their positions where those are learned and do not start at 0. */
interface ShapeOfIds {
  batch: number;
  time: number;
  past: number;
  positionIds: tf.Tensor1D | null;
}

export class Model {
  readonly architecture: Architecture;
  /** By Hugging Face name, never written to after loading; a matrix may be in 16 bits (kernels/packing/packing.ts). */
  readonly weights: ReadonlyMap<string, tf.Tensor>;
  readonly names: TensorNames;
  readonly layout: kernels.WeightLayout;
  readonly #norm: kernels.NormOptions;
  readonly #ropeTables = new Map<string, kernels.Rope>();
  readonly #masks = new Map<string, tf.Tensor3D>();
  readonly #positionTables = new Map<string, tf.Tensor1D>();

  /** Takes over `weights`; `dispose` frees them. */
  constructor(architecture: Architecture, weights: ReadonlyMap<string, tf.Tensor>) {
    this.architecture = architecture;
    this.weights = weights;
    this.names = tensorNames(architecture);
    this.layout = architecture.conv1d ? 'in_out' : 'out_in';
    this.#norm = {
      kind: architecture.norm,
      epsilon: architecture.normEpsilon,
      addOne: architecture.normAddsOne,
    };
  }

  get parameters(): number {
    let count = 0;
    for (const t of this.weights.values()) count += t.size;
    return count;
  }

  dispose(): void {
    for (const t of this.weights.values()) t.dispose();
    this.disposeConstants();
  }

  /** Frees cached tables and masks; they are created again when needed. */
  disposeConstants(): void {
    for (const { cos, sin } of this.#ropeTables.values()) {
      cos.dispose();
      sin.dispose();
    }
    for (const m of this.#masks.values()) m.dispose();
    for (const p of this.#positionTables.values()) p.dispose();
    this.#positionTables.clear();
    this.#ropeTables.clear();
    this.#masks.clear();
  }

  /** Creates the tables that a forward pass of this shape reads and caches. */
  prepare(batch: number, time: number): void {
    if (this.architecture.positions === 'learned') this.#positionIds(batch, time);
    for (const window of new Set(this.architecture.slidingWindows)) {
      this.#rope(window !== null, time);
      this.#mask(time, window);
    }
  }

  /** The output head: [V, D]; the embedding table where they are tied, unless the learner has an adapter and one of the two of its own. */
  head(pass: Pass): Value {
    const { learner } = pass;
    const { head, embedding } = this.names;
    if (!this.architecture.tiedHead || learner?.tensors.has(head)) return weight(pass, head);
    if (learner && hasOwnHead(this.architecture, learner))
      return weight({ ...pass, learner: null }, embedding);
    return weight(pass, embedding);
  }

  /** The norm before the head. */
  headNorm(pass: Pass): {
    weight: Value<tf.Tensor1D>;
    bias: Value<tf.Tensor1D> | null;
    options: kernels.NormOptions;
  } {
    return { ...this.#parametersOf(pass, this.names.finalNorm), options: this.#norm };
  }

  /** Last hidden states after the final norm. ids [batch·time] int32 (the caller's) → [batch·time, D]. */
  forward(pass: Pass, ids: tf.Tensor1D, options: ForwardOptions): Value {
    return runToEnd(this.forwardByLayer(pass, ids, options));
  }

  /** As `forward`, with a pause after each layer. If the generator is closed early, tensors that are not on a tape are freed. */
  *forwardByLayer(pass: Pass, ids: tf.Tensor1D, options: ForwardOptions): Generator<void, Value> {
    const { batch, time } = options;
    const attend =
      (inner: Pass): Attend =>
      (layer, q, k, v) => {
        const shape = this.#attentionShape(layer, batch, time);
        const rope = this.#rope(shape.window !== null, time);
        return ops.attention(inner.tape, q, k, v, shape, rope, this.#mask(time, shape.window));
      };
    // Layers below the first trainable one need no gradient: they run without a tape.
    const frozenBelow = pass.tape ? (pass.learner?.firstLayer ?? 0) : 0;
    const untaped: Pass = { ...pass, tape: null };
    const shape = { batch, time, past: 0, positionIds: null };
    let stream: Stream = {
      x:
        pass.tape && frozenBelow === 0
          ? this.#embed(pass, ids, shape)
          : constant(tf.tidy(() => this.#embed(untaped, ids, shape).tensor)),
      normed: null,
    };
    // Whether the tensors of `stream` are on no tape, so that closing the generator early must free them.
    let untracked = !pass.tape || frozenBelow > 0;
    let ended = false;
    try {
      for (let i = 0; i < this.architecture.layers; i++) {
        const p = i < frozenBelow ? untaped : pass;
        if (pass.tape && i === frozenBelow && untracked) {
          stream = { x: pass.tape.record([], stream.x.tensor, [], () => []), normed: null };
          untracked = false;
        }
        // The layer's last kernel also computes the next layer's first norm, unless one of the two is checkpointed or the tape starts between them.
        const fusesNorm = !(p.tape && options.checkpointing) && !(pass.tape && i + 1 === frozenBelow);
        const next = fusesNorm ? this.#normBefore(i + 1) : null;
        stream = p.tape
          ? options.checkpointing
            ? { x: this.#checkpointed(p, i, stream.x, attend), normed: null }
            : this.#layer(p, i, stream, attend(p), next)
          : this.#tidyLayer(p, i, stream, attend(p), next);
        yield;
      }
      ended = true;
      const { x } = stream;
      if (options.beforeNorm) return x;
      return pass.tape ? this.#finalNorm(pass, x) : constant(tf.tidy(() => this.#finalNorm(pass, x).tensor));
    } finally {
      if (!ended && untracked) for (const value of [stream.x, stream.normed]) value?.tensor.dispose();
    }
  }

  /**
   * Hidden states of new tokens over a key-value cache, batch 1. Replaces `caches` in place. `past` tokens are already cached.
   * @param ids [time] int32
   * @param positionIds [time] int32, where positions are learned
   * @returns [time, D]
   */
  decode(
    pass: Pass,
    { ids, positionIds }: { ids: tf.Tensor1D; positionIds: tf.Tensor1D | null },
    past: number,
    caches: (kernels.LayerCache | null)[],
  ): tf.Tensor2D {
    const time = ids.shape[0];
    const attend: Attend = (layer, q, k, v) => {
      const shape = this.#attentionShape(layer, 1, time);
      const rope = this.#rope(shape.window !== null, tableLength(past + time));
      const before = caches[layer] ?? null;
      const result = kernels.attentionCached(q.tensor, k.tensor, v.tensor, before, shape, rope, past);
      before?.keys.dispose();
      before?.values.dispose();
      caches[layer] = { keys: tf.keep(result.cache.keys), values: tf.keep(result.cache.values) };
      return constant(result.out);
    };
    return tf.tidy(() => {
      let stream: Stream = { x: this.#embed(pass, ids, { batch: 1, time, past, positionIds }), normed: null };
      for (let i = 0; i < this.architecture.layers; i++) {
        stream = this.#tidyLayer(pass, i, stream, attend, this.#normBefore(i + 1));
      }
      return this.#finalNorm(pass, stream.x).tensor;
    });
  }

  /** Creates the tables that decoding up to this many tokens reads. */
  prepareDecoding(length: number): void {
    for (const window of new Set(this.architecture.slidingWindows)) {
      this.#rope(window !== null, tableLength(length));
    }
  }

  #embed(pass: Pass, ids: tf.Tensor1D, { batch, time, past, positionIds }: ShapeOfIds): Value {
    const a = this.architecture;
    if (past + time > a.contextLength) {
      throw new PlaygroundError({
        code: 'context_exceeded',
        message: `The text has ${past + time} tokens, and this model reads at most ${a.contextLength}.`,
        fix: 'Shorten the text, or choose a model with a longer context.',
      });
    }
    const positions =
      a.positions === 'learned'
        ? {
            table: weight(pass, this.names.positions),
            positionIds: positionIds ?? this.#positionIds(batch, time),
            time,
          }
        : null;
    const table = weight(pass, this.names.embedding);
    const x = ops.embedding(pass.tape, table, ids, a.embeddingScale, positions);
    if (pass.noise && pass.noise.neftuneAlpha > 0) {
      // NEFTune (Jain et al. 2023): uniform noise of size alpha / √(length · dimension).
      const size = pass.noise.neftuneAlpha / Math.sqrt(time * a.hiddenSize);
      return ops.addNoise(pass.tape, x, size, { key: pass.noise.key, place: 0x4e455446 });
    }
    return x;
  }

  /** @param next the gain of the next layer's first norm, computed with this layer's last one where the layer has norms after its branches */
  #layer(pass: Pass, i: number, stream: Stream, attend: Attend, next: string | null = null): Stream {
    const a = this.architecture;
    const n = this.names.layer(i);
    const { x } = stream;
    const normed = stream.normed ?? this.#normOf(pass, n.inputNorm, x);
    if (a.postNorms) {
      const mixed = this.#attention(pass, n, i, normed, attend, null);
      const middle = this.#postNorm(pass, n.postAttentionNorm, mixed, x, n.mlpNorm);
      const out = this.#mlp(pass, n, middle.normed as Value, null);
      return this.#postNorm(pass, n.postMlpNorm, out, middle.x, next);
    }
    // Recorded before attention where it reads the same x: its backward comes last, and adds the gradient of the residual in its kernel.
    const early = a.parallelResidual ? this.#normOf(pass, n.mlpNorm, x) : null;
    const middle = this.#attention(pass, n, i, normed, attend, x);
    const mlpInput = early ?? this.#normOf(pass, n.mlpNorm, middle);
    return { x: this.#mlp(pass, n, mlpInput, middle), normed: null };
  }

  /** The first norm of layer `i`; null after the last layer. */
  #normBefore(i: number): string | null {
    return i < this.architecture.layers ? this.names.layer(i).inputNorm : null;
  }

  /** residual + norm(branch), and of that sum the norm `next`. */
  #postNorm(pass: Pass, module: string, branch: Value, residual: Value, next: string | null): Stream {
    const gain = (name: string) => weight<tf.Tensor1D>(pass, `${name}.weight`);
    const nextGain = next === null ? null : gain(next);
    const { sum, normed } = ops.postNorm(pass.tape, branch, residual, gain(module), nextGain, this.#norm);
    return { x: sum, normed };
  }

  /** A layer without a tape: its intermediates and its input are freed at once. */
  #tidyLayer(pass: Pass, i: number, before: Stream, attend: Attend, next: string | null): Stream {
    const made = tf.tidy(() => {
      const { x, normed } = this.#layer(pass, i, before, attend, next);
      return normed ? [x.tensor, normed.tensor] : [x.tensor];
    });
    for (const value of [before.x, before.normed]) value?.tensor.dispose();
    const [x, normed] = made.map(constant);
    return { x: x as Value, normed: normed ?? null };
  }

  /** A layer whose node on the tape keeps only x; its backward runs the layer again on a tape of its own. */
  #checkpointed(pass: Pass, i: number, x: Value, attend: (inner: Pass) => Attend): Value {
    const tape = pass.tape as Tape;
    const untaped: Pass = { ...pass, tape: null };
    const y = tf.tidy(() => {
      const input = { x: constant(x.tensor), normed: null };
      return this.#layer(untaped, i, input, attend(untaped)).x.tensor;
    });
    // The node's backward must run even when x itself needs no gradient: the layer's weights do.
    const input = x.needsGradient ? x : tape.leaf(x.tensor, true);
    return tape.record([input], y, [], (dy) => {
      const inner = new Tape(tape.gradients);
      const innerPass: Pass = { ...pass, tape: inner };
      const leaf = inner.leaf(x.tensor, x.needsGradient);
      const { x: again } = this.#layer(innerPass, i, { x: leaf, normed: null }, attend(innerPass));
      return [inner.backward(again, tf.clone(dy), leaf)];
    });
  }

  /** Attention with its output projection, added to `residual`. */
  #attention(pass: Pass, n: LayerNames, i: number, x: Value, attend: Attend, residual: Value | null): Value {
    const a = this.architecture;
    let [q, k, v] = this.#projections(pass, n, x);
    if (a.qkNorm) {
      [q, k] = this.#headNorms(pass, n, q, k);
    }
    return this.#linear(pass, n.output, attend(i, q, k, v), a.outputBias, residual);
  }

  #projections(pass: Pass, n: LayerNames, x: Value): [Value, Value, Value] {
    const a = this.architecture;
    if (a.qkvLayout === 'separate') {
      const values = applyLinears(pass, [n.q, n.k, n.v], x, a.qkvBias, this.layout);
      return values as [Value, Value, Value];
    }
    const fused = this.#linear(pass, n.qkv, x, a.qkvBias, null);
    return ops.qkvSplit(pass.tape, fused, a.heads, a.headDim, a.qkvLayout);
  }

  /** The MLP, added to `residual`. */
  #mlp(pass: Pass, n: LayerNames, x: Value, residual: Value | null): Value {
    const a = this.architecture;
    const modules = { ups: a.gated ? [n.gate, n.up] : [n.up], down: n.down };
    const { layout } = this;
    return applyMlp(pass, modules, x, { hasBias: a.mlpBias, layout, activation: a.activation }, residual);
  }

  #linear(pass: Pass, module: string, x: Value, hasBias: boolean, residual: Value | null): Value {
    return applyLinears(pass, [module], x, hasBias, this.layout, residual)[0] as Value;
  }

  #normOf(pass: Pass, module: string, x: Value): Value {
    const { weight: gain, bias } = this.#parametersOf(pass, module);
    return ops.norm(pass.tape, x, gain, bias, this.#norm);
  }

  #parametersOf(pass: Pass, norm: string) {
    return {
      weight: weight<tf.Tensor1D>(pass, `${norm}.weight`),
      bias: this.#norm.kind === 'layer' ? weight<tf.Tensor1D>(pass, `${norm}.bias`) : null,
    };
  }

  /** RMSNorm of each head by itself (Qwen3, Gemma3). */
  #headNorms(pass: Pass, n: LayerNames, q: Value, k: Value): [Value, Value] {
    const { heads, kvHeads, headDim } = this.architecture;
    const { tape } = pass;
    const rows = q.tensor.shape[0];
    const apart = (x: Value, count: number) => ops.reshape(tape, x, [rows * count, headDim]);
    const gain = (module: string) => weight<tf.Tensor1D>(pass, `${module}.weight`);
    const sides = [apart(q, heads), apart(k, kvHeads)] as const;
    const [a, b] = ops.normPair(tape, sides, [gain(n.qNorm), gain(n.kNorm)], this.#norm);
    return [ops.reshape(tape, a, [rows, heads * headDim]), ops.reshape(tape, b, [rows, kvHeads * headDim])];
  }

  #finalNorm(pass: Pass, x: Value): Value {
    const y = this.#normOf(pass, this.names.finalNorm, x);
    if (!pass.tape) x.tensor.dispose();
    return y;
  }

  #attentionShape(layer: number, batch: number, time: number): kernels.AttentionShape {
    const a = this.architecture;
    const window = a.slidingWindows[layer] ?? null;
    return {
      batch,
      time,
      heads: a.heads,
      kvHeads: a.kvHeads,
      headDim: a.headDim,
      scale: a.attentionScale,
      window,
    };
  }

  /** 0 … time − 1 for each row of a batch. [batch·time] int32 */
  #positionIds(batch: number, time: number): tf.Tensor1D {
    const key = `${batch}/${time}`;
    let positionIds = this.#positionTables.get(key);
    if (!positionIds) {
      positionIds = tf.keep(
        tf.tensor1d(
          Int32Array.from({ length: batch * time }, (_, i) => i % time),
          'int32',
        ),
      );
      this.#positionTables.set(key, positionIds);
    }
    return positionIds;
  }

  #mask(time: number, window: number | null): tf.Tensor3D {
    const key = `${time}/${window}`;
    let mask = this.#masks.get(key);
    if (!mask) {
      mask = tf.keep(kernels.causalMask(time, 0, window));
      this.#masks.set(key, mask);
    }
    return mask;
  }

  /** Tables for positions [0, count); null where positions are learned. `local`: Gemma's other base for sliding layers. */
  #rope(local: boolean, count: number): kernels.Rope | null {
    const a = this.architecture;
    if (a.positions !== 'rope') return null;
    const key = `${local}/${count}`;
    let rope = this.#ropeTables.get(key);
    if (!rope) {
      rope = ropeTables(a, local, count);
      this.#ropeTables.set(key, rope);
    }
    return rope;
  }
}

/** Rows of a rotary table for decoding, rounded up, so that few sizes occur. */
const tableLength = (tokens: number) => Math.ceil(tokens / 256) * 256;

/** Rotation frequencies, scaled as the checkpoint says ("linear": Chen et al. 2023; "llama3": Meta 2024). [rotaryDim / 2] */
export function ropeFrequencies(a: Architecture, local: boolean): Float64Array {
  const half = a.rotaryDim / 2;
  const theta = local && a.ropeLocalTheta !== null ? a.ropeLocalTheta : a.ropeTheta;
  const scaling = local ? null : a.ropeScaling;
  return Float64Array.from({ length: half }, (_, i) => {
    const f = theta ** (-i / half);
    if (!scaling) return f;
    if (scaling.type === 'linear') return f / scaling.factor;
    const { factor, lowFrequencyFactor, highFrequencyFactor, originalContextLength } = scaling;
    const wavelength = (2 * Math.PI) / f;
    if (wavelength > originalContextLength / lowFrequencyFactor) return f / factor;
    if (wavelength < originalContextLength / highFrequencyFactor) return f;
    const smooth =
      (originalContextLength / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
    return ((1 - smooth) * f) / factor + smooth * f;
  });
}

function ropeTables(a: Architecture, local: boolean, count: number): kernels.Rope {
  const frequencies = ropeFrequencies(a, local);
  const half = frequencies.length;
  const cos = new Float32Array(count * half);
  const sin = new Float32Array(count * half);
  for (let t = 0; t < count; t++) {
    for (let i = 0; i < half; i++) {
      const angle = t * (frequencies[i] as number);
      cos[t * half + i] = Math.cos(angle);
      sin[t * half + i] = Math.sin(angle);
    }
  }
  return { cos: tf.keep(tf.tensor2d(cos, [count, half])), sin: tf.keep(tf.tensor2d(sin, [count, half])) };
}
