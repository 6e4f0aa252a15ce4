// What comes after the tokens so far: one step of generation, op by op or, on WebGPU, captured once and replayed for every token.
// Not here: how a token is drawn (sampling.ts), when to stop (generate.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { GenerationSettings } from '../generation';
import type { Learner, Pass } from './adapters';
import { capturable, type LayerCache, linearForward } from './kernels';
import { argmaxFused } from './kernels/argmax.wgsl';
import { upload, valuesLater } from './kernels/program';
import { readShortlist } from './kernels/shortlist';
import { shortlistFused } from './kernels/shortlist.wgsl';
import { GraphPool, StepGraph } from './kernels/stepGraph';
import type { Model } from './model';
import { assertFinite, likeliestOf, sample, sampleFromShortlist, temperatureOf } from './sampling';

export type DrawSettings = Pick<GenerationSettings, 'do_sample' | 'temperature' | 'top_k' | 'top_p'>;

/** A conversation under way: every call reads more tokens and keeps them in its cache. */
export interface Decoder {
  /** Logits after the last of `ids`. [V] */
  logits(ids: readonly number[]): Promise<Float32Array>;
  /**
   * The token after `ids`: the likeliest, or the one that is drawn at `point` of [0, 1).
   * @throws PlaygroundError `non_finite` when the logits are not numbers
   */
  next(ids: readonly number[], point: number): Promise<number>;
  dispose(): void;
}

/** The decoder for the kernels in use; `learner` null asks the base model. */
export function createDecoder(model: Model, learner: Learner | null, settings: DrawSettings): Decoder {
  return capturable()
    ? new CapturedDecoder(model, learner, settings)
    : new EagerDecoder(model, learner, settings);
}

const choose = (logits: Float32Array, settings: DrawSettings, point: number): number =>
  settings.do_sample ? sample(logits, settings, point) : likeliestOf(logits);

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
  readonly #settings: DrawSettings;

  constructor(model: Model, learner: Learner | null, settings: DrawSettings) {
    this.#memory = new Memory(model, learner);
    this.#settings = settings;
  }

  async logits(ids: readonly number[]): Promise<Float32Array> {
    const logits = this.#memory.readIds(ids);
    this.#memory.past += ids.length;
    const values = (await logits.data()) as Float32Array;
    logits.dispose();
    return values;
  }

  async next(ids: readonly number[], point: number): Promise<number> {
    return choose(await this.logits(ids), this.#settings, point);
  }

  dispose(): void {
    this.#memory.dispose();
  }
}

/**
 * Vocabularies from here on are drawn from by a list of the likeliest 64, which is read instead of all logits. At 32,768 both take
 * the processor the same time, at 50,257 the list three quarters, at 151,936 a third (LOG.md); below, two more dispatches buy nothing.
 */
const LISTED_FROM = 40_000;
/** Lists that may settle less than every second draw before a generation goes without: a miss reads twice. */
const PATIENCE = 4;

interface Answer {
  logits: tf.Tensor2D;
  /** Greedy: what `argmaxFused` says. */
  best: tf.Tensor1D | null;
  /** Sampled, large vocabulary: what `shortlistFused` says. */
  list: tf.Tensor1D | null;
}

/** A single token is one submit: its list of dispatches is captured when the caches have room, and again when they have grown. */
export class CapturedDecoder implements Decoder {
  readonly #model: Model;
  readonly #memory: Memory;
  readonly #settings: DrawSettings;
  readonly #pool = new GraphPool();
  #graph: StepGraph<Answer> | null = null;
  /** Of the last call that was not replayed. */
  #loose: Answer | null = null;
  #lists: boolean;
  /** Draws that the list did not settle, less those that it did. */
  #missed = 0;

  /** @param listedFrom the size of vocabulary from which the likeliest are listed on the device */
  constructor(model: Model, learner: Learner | null, settings: DrawSettings, listedFrom = LISTED_FROM) {
    this.#model = model;
    this.#memory = new Memory(model, learner);
    this.#settings = settings;
    this.#lists = settings.do_sample && model.architecture.vocabSize >= listedFrom;
  }

  logits(ids: readonly number[]): Promise<Float32Array> {
    return valuesLater(this.#read(ids).logits);
  }

  async next(ids: readonly number[], point: number): Promise<number> {
    const { logits, best, list } = this.#read(ids);
    if (best) {
      const [id, , odd] = await valuesLater(best);
      assertFinite(odd === 0);
      return id as number;
    }
    if (list) {
      const vocab = this.#model.architecture.vocabSize;
      const likeliest = readShortlist(await valuesLater(list), vocab);
      const id = sampleFromShortlist(likeliest, vocab, this.#settings, point);
      this.#missed += id === null ? 1 : -1;
      if (id !== null) return id;
    }
    const all = await valuesLater(logits);
    if (this.#lists && this.#missed > PATIENCE) {
      this.#lists = false;
      this.#graph?.dispose();
      this.#graph = null;
    }
    return sample(all, this.#settings, point);
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
      this.#loose = this.#answer(memory.readIds(ids));
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
        const result = this.#answer(memory.read({ ids: given, places }));
        tf.dispose([given, ...(places ? [places] : [])]);
        return result;
      });
    }
    memory.past += 1;
    return this.#graph.result;
  }

  #answer(logits: tf.Tensor2D): Answer {
    const { do_sample } = this.#settings;
    const list = this.#lists ? shortlistFused(logits, temperatureOf(this.#settings)) : null;
    return { logits, best: do_sample ? null : argmaxFused(logits), list };
  }

  #drop(): void {
    const { logits, best, list } = this.#loose ?? { logits: null, best: null, list: null };
    for (const tensor of [logits, best, list]) tensor?.dispose();
    this.#loose = null;
  }
}
