// What comes after the tokens so far: one step of generation, op by op or, on WebGPU, captured once and replayed for every token.
// Not here: choosing among the candidates and when to stop (generate.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Learner, Pass } from './adapters';
import { capturable, type LayerCache, linearForward } from './kernels';
import { argmaxFused } from './kernels/argmax.wgsl';
import { upload, valuesLater } from './kernels/program';
import { GraphPool, StepGraph } from './kernels/stepGraph';
import type { Model } from './model';

/** The likeliest next token; `logit` is NaN when the model's output is not finite. */
export interface Likeliest {
  id: number;
  logit: number;
}

/** A conversation under way: every call reads more tokens and keeps them in its cache. */
export interface Decoder {
  /** Logits after the last of `ids`. [V] */
  logits(ids: readonly number[]): Promise<Float32Array>;
  likeliest(ids: readonly number[]): Promise<Likeliest>;
  dispose(): void;
}

/** The decoder for the kernels in use; `learner` null asks the base model. */
export function createDecoder(model: Model, learner: Learner | null): Decoder {
  return capturable() ? new CapturedDecoder(model, learner) : new EagerDecoder(model, learner);
}

/** Caches of all layers and how many tokens they hold. */
class Memory {
  readonly #model: Model;
  readonly #pass: Pass;
  readonly caches: (LayerCache | null)[];
  past = 0;

  constructor(model: Model, learner: Learner | null) {
    this.#model = model;
    this.#pass = { weights: model.weights, learner, tape: null, noise: null };
    this.caches = Array.from({ length: model.architecture.layers }, () => null);
  }

  get learnsPlaces(): boolean {
    return this.#model.architecture.positions === 'learned';
  }

  /** Positions of the next tokens. */
  places(count: number): Int32Array {
    return Int32Array.from({ length: count }, (_, i) => this.past + i);
  }

  /** Logits after the last of the tokens, which go into the caches. The caller moves `past` on. [1, V] */
  read(tokens: { ids: tf.Tensor1D; places: tf.Tensor1D | null }): tf.Tensor2D {
    return tf.tidy(() => {
      const hidden = this.#model.decode(this.#pass, tokens, this.past, this.caches);
      const [time, width] = hidden.shape;
      const last = time === 1 ? hidden : tf.slice(hidden, [time - 1, 0], [1, width]);
      return linearForward(last as tf.Tensor2D, this.#model.head(this.#pass).tensor, null, 'out_in');
    });
  }

  /** The same, from numbers. */
  readIds(ids: readonly number[]): tf.Tensor2D {
    return tf.tidy(() => {
      const places = this.learnsPlaces ? tf.tensor1d(this.places(ids.length), 'int32') : null;
      return this.read({ ids: tf.tensor1d(Int32Array.from(ids), 'int32'), places });
    });
  }

  dispose(): void {
    for (const cache of this.caches) {
      cache?.keys.dispose();
      cache?.values.dispose();
    }
    this.caches.fill(null);
  }
}

export class EagerDecoder implements Decoder {
  readonly #memory: Memory;

  constructor(model: Model, learner: Learner | null) {
    this.#memory = new Memory(model, learner);
  }

  async logits(ids: readonly number[]): Promise<Float32Array> {
    const logits = this.#memory.readIds(ids);
    this.#memory.past += ids.length;
    const values = (await logits.data()) as Float32Array;
    logits.dispose();
    return values;
  }

  async likeliest(ids: readonly number[]): Promise<Likeliest> {
    const logits = await this.logits(ids);
    let id = 0;
    for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[id] as number)) id = i;
    return { id, logit: logits[id] as number };
  }

  dispose(): void {
    this.#memory.dispose();
  }
}

interface Answer {
  logits: tf.Tensor2D;
  best: tf.Tensor1D;
}

/** A single token is one submit: its list of dispatches is captured when the caches have room, and again when they have grown. */
export class CapturedDecoder implements Decoder {
  readonly #model: Model;
  readonly #memory: Memory;
  readonly #pool = new GraphPool();
  #graph: StepGraph<Answer> | null = null;
  /** Of the last call that was not replayed. */
  #loose: Answer | null = null;

  constructor(model: Model, learner: Learner | null) {
    this.#model = model;
    this.#memory = new Memory(model, learner);
  }

  logits(ids: readonly number[]): Promise<Float32Array> {
    return valuesLater(this.#read(ids).logits);
  }

  async likeliest(ids: readonly number[]): Promise<Likeliest> {
    const [id, logit, odd] = (await valuesLater(this.#read(ids).best)) as unknown as [number, number, number];
    return { id, logit: odd === 0 ? logit : Number.NaN };
  }

  dispose(): void {
    this.#graph?.dispose();
    this.#graph = null;
    this.#drop();
    this.#pool.dispose();
    this.#memory.dispose();
  }

  #read(ids: readonly number[]): Answer {
    const memory = this.#memory;
    const fits = memory.past + 1 <= (memory.caches[0]?.keys.shape[1] ?? 0);
    if (ids.length > 1 || !fits) {
      // A prompt, or a token for which the caches must grow: the graph's buffers are no longer the right ones.
      this.#graph?.dispose();
      this.#graph = null;
      this.#drop();
      this.#loose = answer(memory.readIds(ids));
      memory.past += ids.length;
      return this.#loose;
    }
    const inputs = {
      ids: Int32Array.from(ids),
      ...(memory.learnsPlaces ? { places: memory.places(1) } : {}),
    };
    if (this.#graph) this.#graph.replay({ inputs, live: { past: memory.past } });
    else {
      this.#drop();
      this.#model.prepareDecoding(memory.past + 1);
      this.#graph = StepGraph.capture(this.#pool, () => {
        const given = upload<tf.Tensor1D>('ids', inputs.ids, [1]);
        const places = memory.learnsPlaces ? upload<tf.Tensor1D>('places', memory.places(1), [1]) : null;
        const result = answer(memory.read({ ids: given, places }));
        tf.dispose([given, ...(places ? [places] : [])]);
        return result;
      });
    }
    memory.past += 1;
    return this.#graph.result;
  }

  #drop(): void {
    if (this.#loose) tf.dispose([this.#loose.logits, this.#loose.best]);
    this.#loose = null;
  }
}

const answer = (logits: tf.Tensor2D): Answer => ({ logits, best: argmaxFused(logits) });
