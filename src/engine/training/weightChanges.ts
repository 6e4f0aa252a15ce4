// How far the weights of a run have moved since its start: ‖W − W₀‖ / ‖W₀‖ of every module that learns.
// Not here: when it is measured (train.ts), tables and pictures of it (metrics/weightTable.ts, the page).
//
// How it works: two sums of squares a module, ‖W − W₀‖² and ‖W₀‖², on the device; all of them are read at once. ‖W₀‖² is computed at the first
// measurement and kept as a number. The product BA of an adapter is never formed: with G = AAᵀ [r, r],
//   LoRA: ‖s·BA‖² = s²·tr(BᵀB·G) = s²·Σ (BᵀB)∘G;
//   DoRA, by output o with c = m divided by ‖w + s·bA‖: ‖c·(w + s·bA) − w‖² = (c − 1)²‖w‖² + 2(c − 1)c·s·(w·bA) + c²s²‖bA‖²,
//   where w·bA = (W₀Aᵀ)∘B summed over r, and ‖bA‖² = (B·G)∘B summed over r.
// One pass over the weights that learn (DoRA: over the adapted weights of the base). Sums go by row first, and then over the rows: a sum of
// millions of float32 one after the other would lose its last terms.
// Memory: one copy of the largest weight, cut to pieces of at most 4 M numbers.

import * as tf from '@tensorflow/tfjs-core';
import { expectedTensors, tensorNames } from '../../formats/architecture';
import type { Architecture } from '../../modelArchitecture';
import type { WeightChanges } from '../../weightContract';
import { asFloat32 } from '../kernels';
import { type AdaptedLayer, adaptedLayers, type Learner, MIN_SQUARED_NORM } from '../model/adapters';
import type { Model } from '../model/model';

/** Numbers of a weight that are worked on at once. */
const PIECE = 1 << 22;

/** A module that learns: where it stands, and its two sums of squares as scalars, which the caller disposes. */
interface LearningModule {
  /** Null outside the layers. */
  layer: number | null;
  /** Below the layer; the whole name outside the layers. */
  name: string;
  /** ‖W − W₀‖² now. */
  changeSquared(): tf.Scalar;
  /** ‖W₀‖². */
  startSquared(): tf.Scalar;
}

export class WeightChangeMeter {
  readonly #layers: number;
  readonly #modules: LearningModule[];
  /** ‖W₀‖² of each module; null before the first measurement. */
  #start: Float32Array | null = null;

  constructor({ architecture, weights }: Model, learner: Learner) {
    this.#layers = architecture.layers;
    this.#modules = learner.adapters
      ? adapterModules(architecture, weights, learner)
      : tensorModules(architecture, weights, learner);
  }

  /** The weights as they are. Yields after each module; closed early, it frees what it allocated. No update may be pending. */
  async *measure(step: number): AsyncGenerator<void, WeightChanges> {
    const start = this.#start ?? (yield* this.#read((module) => module.startSquared()));
    this.#start = start;
    const changed = yield* this.#read((module) => module.changeSquared());
    const byName = new Map<string, (number | null)[]>();
    const outside: WeightChanges['outside'] = [];
    for (const [i, { layer, name }] of this.#modules.entries()) {
      const of = start[i] as number;
      // Rounding may leave a sum that should be zero just below it.
      const change = of > 0 ? Math.sqrt(Math.max(0, changed[i] as number) / of) : null;
      if (layer === null) outside.push({ module: name, change });
      else {
        const row = byName.get(name) ?? new Array<number | null>(this.#layers).fill(null);
        row[layer] = change;
        byName.set(name, row);
      }
    }
    const layers = [...byName].map(([module, changes]) => ({ module, changes }));
    return { step, layers, outside };
  }

  async *#read(of: (module: LearningModule) => tf.Scalar): AsyncGenerator<void, Float32Array> {
    const sums: tf.Scalar[] = [];
    try {
      for (const module of this.#modules) {
        sums.push(of(module));
        yield;
      }
      const all = tf.tidy(() => tf.stack(sums));
      try {
        return (await all.data()) as Float32Array;
      } finally {
        all.dispose();
      }
    } finally {
      tf.dispose(sums);
    }
  }
}

/** Where a module stands in the model. */
function placeOf(a: Architecture, module: string): Pick<LearningModule, 'layer' | 'name'> {
  // e.g. model.layers.0.input_layernorm
  const sample = tensorNames(a).layer(0).inputNorm;
  const before = sample.slice(0, sample.lastIndexOf('0.'));
  const [, layer, name] = module.startsWith(before)
    ? (/^(\d+)\.(.+)$/.exec(module.slice(before.length)) ?? [])
    : [];
  return layer === undefined ? { layer: null, name: module } : { layer: Number(layer), name: name as string };
}

/** Modules of a learner that holds the weights themselves, in the order of the forward pass. */
function tensorModules(
  a: Architecture,
  weights: ReadonlyMap<string, tf.Tensor>,
  learner: Learner,
): LearningModule[] {
  const byModule = new Map<string, string[]>();
  for (const { name } of expectedTensors(a)) {
    if (!learner.tensors.has(name)) continue;
    const module = name.replace(/\.(weight|bias)$/, '');
    byModule.set(module, [...(byModule.get(module) ?? []), name]);
  }
  const sum = (names: readonly string[], of: (name: string) => tf.Scalar) =>
    tf.tidy(() => names.map(of).reduce((all, one) => tf.add(all, one)));
  const base = (name: string) => weights.get(name) as tf.Tensor;
  return [...byModule].map(([module, names]) => ({
    ...placeOf(a, module),
    changeSquared: () =>
      sum(names, (name) => squaredNorm(base(name), learner.tensors.get(name) as tf.Tensor)),
    startSquared: () => sum(names, (name) => squaredNorm(base(name))),
  }));
}

/** ‖W₀‖², or with `w` ‖W − W₀‖², in pieces of whole rows. */
function squaredNorm(base: tf.Tensor, w: tf.Tensor | null = null): tf.Scalar {
  const [rows = 1, columns = 1] = base.rank === 2 ? base.shape : [1, base.size];
  const height = Math.max(1, Math.floor(PIECE / columns));
  return tf.tidy(() => {
    const sums: tf.Scalar[] = [];
    // Weights that are stored in 16 bits are unpacked as a whole.
    const from = tf.reshape(asFloat32(base), [rows, columns]);
    const now = w && tf.reshape(w, [rows, columns]);
    for (let row = 0; row < rows; row += height) {
      sums.push(
        tf.tidy(() => {
          const size = Math.min(height, rows - row);
          const part = (x: tf.Tensor) => (size === rows ? x : tf.slice(x, [row, 0], [size, columns]));
          const values = now ? tf.sub(part(now), part(from)) : part(from);
          return tf.sum(tf.sum(tf.square(values), 1)) as tf.Scalar;
        }),
      );
    }
    return sums.reduce((all, one) => tf.add(all, one));
  });
}

function adapterModules(
  a: Architecture,
  weights: ReadonlyMap<string, tf.Tensor>,
  learner: Learner,
): LearningModule[] {
  return adaptedLayers(a, weights, learner).map(({ module }, i) => {
    // The learner's tensors are replaced when a run is restored, so they are looked up at each measurement.
    const now = () => adaptedLayers(a, weights, learner)[i] as AdaptedLayer;
    const magnitude = () => learner.tensors.get(`${module}.lora_magnitude_vector`) as tf.Tensor1D | undefined;
    return {
      ...placeOf(a, module),
      changeSquared: () => {
        const m = magnitude();
        return m ? doraChange(now(), m) : loraChange(now());
      },
      startSquared: () => squaredNorm(now().w),
    };
  });
}

/** ‖s·BA‖². */
function loraChange({ loraA, loraB, scaling }: AdaptedLayer): tf.Scalar {
  return tf.tidy(() => {
    const inner = tf.matMul(loraB, loraB, true, false); // [r, r]
    const gram = tf.matMul(loraA, loraA, false, true); // [r, r]
    return tf.mul(tf.sum(tf.mul(inner, gram)), scaling * scaling) as tf.Scalar;
  });
}

/** ‖m·(W + s·BA)/‖W + s·BA‖ − W‖². */
function doraChange({ w, loraA, loraB, scaling, layout }: AdaptedLayer, m: tf.Tensor1D): tf.Scalar {
  return tf.tidy(() => {
    const base = asFloat32(w) as tf.Tensor2D;
    const baseSquared = tf.sum(tf.square(base), layout === 'out_in' ? 1 : 0); // [out]
    const onA = tf.matMul(base, loraA, layout === 'in_out', true); // [out, r]
    const along = tf.mul(tf.sum(tf.mul(onA, loraB), 1), scaling); // [out]: w·(s·bA)
    const gram = tf.matMul(loraA, loraA, false, true); // [r, r]
    const added = tf.mul(tf.sum(tf.mul(tf.matMul(loraB, gram), loraB), 1), scaling * scaling); // [out]: ‖s·bA‖²
    const merged = tf.add(tf.add(baseSquared, tf.mul(along, 2)), added);
    const c = tf.div(m, tf.sqrt(tf.maximum(merged, MIN_SQUARED_NORM)));
    const off = tf.sub(c, 1);
    const change = tf.addN([
      tf.mul(tf.square(off), baseSquared),
      tf.mul(tf.mul(tf.mul(off, c), along), 2),
      tf.mul(tf.square(c), added),
    ]);
    return tf.sum(change) as tf.Scalar;
  });
}
