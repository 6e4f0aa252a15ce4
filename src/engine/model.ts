// One decoder; the Architecture record's switches make it a Llama, Qwen, GPT-2, GPT-NeoX or Gemma.
// Not here: what learns (adapters.ts), the loss (train.ts, evaluate.ts), reading files (formats/huggingface.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Architecture } from '../contract';
import { PlaygroundError } from '../errors';
import { applyLinears, type Pass, weight } from './adapters';
import * as kernels from './kernels';
import { type LayerNames, type TensorNames, tensorNames } from './names';
import * as ops from './ops';
import { constant, Tape, toEnd, type Value } from './tape';

/** What attention does with one layer's q, k and v: the whole batch in training, or new tokens over a cache. */
type Attend = (layer: number, q: Value, k: Value, v: Value) => Value;

export interface ForwardOptions {
  batch: number;
  time: number;
  /** Keep only each layer's input and compute the rest again on the way back. */
  checkpointing: boolean;
}

export class Model {
  readonly architecture: Architecture;
  /** By Hugging Face name, never written to after loading; a matrix may be in 16 bits (kernels/packing.ts). */
  readonly weights: ReadonlyMap<string, tf.Tensor>;
  readonly names: TensorNames;
  readonly layout: kernels.WeightLayout;
  readonly #norm: kernels.NormOptions;
  readonly #ropeTables = new Map<string, kernels.Rope>();
  readonly #masks = new Map<string, tf.Tensor3D>();
  readonly #placeTables = new Map<string, tf.Tensor1D>();

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

  /** Free cached tables and masks; they are made again when needed. */
  disposeConstants(): void {
    for (const { cos, sin } of this.#ropeTables.values()) {
      cos.dispose();
      sin.dispose();
    }
    for (const m of this.#masks.values()) m.dispose();
    for (const p of this.#placeTables.values()) p.dispose();
    this.#placeTables.clear();
    this.#ropeTables.clear();
    this.#masks.clear();
  }

  /** Makes the tables that a forward pass of this shape reads and that are kept for the next one. */
  prepare(batch: number, time: number): void {
    if (this.architecture.positions === 'learned') this.#places(batch, time);
    for (const window of new Set(this.architecture.slidingWindows)) {
      this.#rope(window !== null, time);
      this.#mask(time, window);
    }
  }

  /** The output head: [V, D]; the embedding table where they are tied. */
  head(pass: Pass): Value {
    return weight(pass, this.architecture.tiedHead ? this.names.embedding : this.names.head);
  }

  /** Last hidden states after the final norm. ids [batch·time] int32 (the caller's) → [batch·time, D]. */
  forward(pass: Pass, ids: tf.Tensor1D, options: ForwardOptions): Value {
    return toEnd(this.forwardByLayer(pass, ids, options));
  }

  /** The same, with a pause after each layer. Given up in between (`return`), it frees what no tape holds. */
  *forwardByLayer(pass: Pass, ids: tf.Tensor1D, options: ForwardOptions): Generator<void, Value> {
    const { batch, time } = options;
    const attend =
      (inner: Pass): Attend =>
      (layer, q, k, v) => {
        const shape = this.#attentionShape(layer, batch, time);
        const rope = this.#rope(shape.window !== null, time);
        return ops.attention(inner.tape, q, k, v, shape, rope, this.#mask(time, shape.window));
      };
    // Everything below the first layer that learns runs unrecorded.
    const frozenBelow = pass.tape ? (pass.learner?.firstLayer ?? 0) : 0;
    const silent: Pass = { ...pass, tape: null };
    const place = { batch, time, past: 0, places: null };
    let x =
      pass.tape && frozenBelow === 0
        ? this.#embed(pass, ids, place)
        : constant(tf.tidy(() => this.#embed(silent, ids, place).tensor));
    // What no tape has recorded is this walk's own to free when it is given up.
    let loose = !pass.tape || frozenBelow > 0;
    let ended = false;
    try {
      for (let i = 0; i < this.architecture.layers; i++) {
        const p = i < frozenBelow ? silent : pass;
        if (pass.tape && i === frozenBelow && loose) {
          x = pass.tape.record([], x.tensor, [], () => []);
          loose = false;
        }
        x = p.tape
          ? options.checkpointing
            ? this.#checkpointed(p, i, x, attend)
            : this.#layer(p, i, x, attend(p))
          : this.#tidyLayer(p, i, x, attend(p));
        yield;
      }
      ended = true;
      return pass.tape ? this.#finalNorm(pass, x) : constant(tf.tidy(() => this.#finalNorm(pass, x).tensor));
    } finally {
      if (!ended && loose) x.tensor.dispose();
    }
  }

  /**
   * Hidden states of new tokens over a key-value cache, batch 1. Replaces `caches` in place. `past` tokens are already cached.
   * @param ids [time] int32
   * @param places their positions, [time] int32, where those are learned
   * @returns [time, D]
   */
  decode(
    pass: Pass,
    { ids, places }: { ids: tf.Tensor1D; places: tf.Tensor1D | null },
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
      let x = this.#embed(pass, ids, { batch: 1, time, past, places });
      for (let i = 0; i < this.architecture.layers; i++) x = this.#tidyLayer(pass, i, x, attend);
      return this.#finalNorm(pass, x).tensor;
    });
  }

  /** Makes the tables that decoding reads up to this many tokens. */
  prepareDecoding(length: number): void {
    for (const window of new Set(this.architecture.slidingWindows)) {
      this.#rope(window !== null, tableLength(length));
    }
  }

  #embed(
    pass: Pass,
    ids: tf.Tensor1D,
    place: { batch: number; time: number; past: number; places: tf.Tensor1D | null },
  ): Value {
    const a = this.architecture;
    const { batch, time, past } = place;
    if (past + time > a.contextLength) {
      throw new PlaygroundError({
        code: 'context_exceeded',
        message: `The text has ${past + time} tokens, and this model reads at most ${a.contextLength}.`,
        fix: 'Shorten the text, or choose a model with a longer context.',
      });
    }
    let x = ops.scale(
      pass.tape,
      ops.embedding(pass.tape, weight(pass, this.names.embedding), ids),
      a.embeddingScale,
    );
    if (a.positions === 'learned') {
      const places = place.places ?? this.#places(batch, time);
      const rows = ops.embedding(pass.tape, weight(pass, this.names.positions), places);
      x = ops.add(pass.tape, x, rows);
    }
    if (pass.noise && pass.noise.neftuneAlpha > 0) {
      // NEFTune (Jain et al. 2023): uniform noise of size alpha / √(length · dimension).
      const size = pass.noise.neftuneAlpha / Math.sqrt(time * a.hiddenSize);
      x = ops.addNoise(pass.tape, x, size, { key: pass.noise.key, place: 0x4e455446 });
    }
    return x;
  }

  #layer(pass: Pass, i: number, x: Value, attend: Attend): Value {
    const a = this.architecture;
    const n = this.names.layer(i);
    const { tape } = pass;
    const normed = this.#normOf(pass, n.inputNorm, x);
    if (a.postNorms) {
      const mixed = this.#normOf(
        pass,
        n.postAttentionNorm,
        this.#attention(pass, n, i, normed, attend, null),
      );
      const middle = ops.add(tape, x, mixed);
      const out = this.#mlp(pass, n, this.#normOf(pass, n.mlpNorm, middle), null);
      return ops.add(tape, middle, this.#normOf(pass, n.postMlpNorm, out));
    }
    const middle = this.#attention(pass, n, i, normed, attend, x);
    const mlpInput = this.#normOf(pass, n.mlpNorm, a.parallelResidual ? x : middle);
    return this.#mlp(pass, n, mlpInput, middle);
  }

  /** A layer without a tape: its intermediates, and its input, are freed at once. */
  #tidyLayer(pass: Pass, i: number, x: Value, attend: Attend): Value {
    const y = tf.tidy(() => this.#layer(pass, i, x, attend).tensor);
    x.tensor.dispose();
    return constant(y);
  }

  #checkpointed(pass: Pass, i: number, x: Value, attend: (inner: Pass) => Attend): Value {
    const tape = pass.tape as Tape;
    const silent: Pass = { ...pass, tape: null };
    const y = tf.tidy(() => this.#layer(silent, i, constant(x.tensor), attend(silent)).tensor);
    // The node must be walked even when x itself needs no gradient: the layer's weights do.
    const input = x.needsGradient ? x : tape.leaf(x.tensor, true);
    return tape.record([input], y, [], (dy) => {
      const inner = new Tape(tape.gradients);
      const innerPass: Pass = { ...pass, tape: inner };
      const leaf = inner.leaf(x.tensor, x.needsGradient);
      const again = this.#layer(innerPass, i, leaf, attend(innerPass));
      return [inner.backward(again, tf.clone(dy), leaf)];
    });
  }

  /** Attention with its output projection, added to `residual`. */
  #attention(pass: Pass, n: LayerNames, i: number, x: Value, attend: Attend, residual: Value | null): Value {
    const a = this.architecture;
    let [q, k, v] = this.#projections(pass, n, x);
    if (a.qkNorm) {
      q = this.#headNorm(pass, n.qNorm, q, a.heads);
      k = this.#headNorm(pass, n.kNorm, k, a.kvHeads);
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
    const modules = a.gated ? [n.gate, n.up] : [n.up];
    const [first, second] = applyLinears(pass, modules, x, a.mlpBias, this.layout);
    const active = ops.activation(pass.tape, first as Value, second ?? null, a.activation);
    return this.#linear(pass, n.down, active, a.mlpBias, residual);
  }

  #linear(pass: Pass, module: string, x: Value, hasBias: boolean, residual: Value | null): Value {
    return applyLinears(pass, [module], x, hasBias, this.layout, residual)[0] as Value;
  }

  #normOf(pass: Pass, module: string, x: Value): Value {
    const gain = weight<tf.Tensor1D>(pass, `${module}.weight`);
    const bias = this.#norm.kind === 'layer' ? weight<tf.Tensor1D>(pass, `${module}.bias`) : null;
    return ops.norm(pass.tape, x, gain, bias, this.#norm);
  }

  /** RMSNorm of each head by itself (Qwen3, Gemma3). */
  #headNorm(pass: Pass, module: string, x: Value, heads: number): Value {
    const rows = x.tensor.shape[0];
    const { headDim } = this.architecture;
    const apart = ops.reshape(pass.tape, x, [rows * heads, headDim]);
    return ops.reshape(pass.tape, this.#normOf(pass, module, apart), [rows, heads * headDim]);
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
  #places(batch: number, time: number): tf.Tensor1D {
    const key = `${batch}/${time}`;
    let places = this.#placeTables.get(key);
    if (!places) {
      places = tf.keep(
        tf.tensor1d(
          Int32Array.from({ length: batch * time }, (_, i) => i % time),
          'int32',
        ),
      );
      this.#placeTables.set(key, places);
    }
    return places;
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

/** Rows of a rotary table for decoding: rounded up, so that few are ever made. */
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
