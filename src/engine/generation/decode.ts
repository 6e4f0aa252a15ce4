// One step of generation with a key-value cache: op by op, or on WebGPU captured once and replayed for every token.
// Not here: how a token is drawn (sampling.ts), when to stop (generate.ts).
//
// How it works: the prompt runs as one pass, which fills the cache of keys and values of every layer; then each token is a pass of length 1 over
// the cache. On WebGPU the dispatches of such a pass are captured once and replayed, one submit a token; when the caches are full they are
// reallocated larger and the pass is captured again. Greedy: the device returns the argmax. Sampling from a large vocabulary: it returns the
// likeliest 64 tokens, and all logits are read only when those do not decide the draw.
// Memory: 2 · layers · kvHeads · headDim floats a token, in buffers that grow in steps; the logits of one position.

import * as tf from '@tensorflow/tfjs-core';
import type { GenerationSettings } from '../../generation';
import { capturable, type LayerCache, linearForward } from '../kernels';
import { argmaxFused } from '../kernels/argmax/argmax.wgsl';
import { readShortlist } from '../kernels/shortlist/shortlist';
import { shortlistFused } from '../kernels/shortlist/shortlist.wgsl';
import { upload, valuesLater } from '../kernels/webgpu/program';
import { GraphPool, StepGraph } from '../kernels/webgpu/stepGraph';
import type { Learner, Pass } from '../model/adapters';
import type { Model } from '../model/model';
import { assertFinite, likeliestOf, sample, sampleFromShortlist, temperatureOf } from './sampling';

export type DrawSettings = Pick<GenerationSettings, 'do_sample' | 'temperature' | 'top_k' | 'top_p'>;

/** The state of one generation. Every call appends tokens to its key-value cache. */
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

/** The decoder for the kernels in use; `learner` null for the base model. */
export function createDecoder(model: Model, learner: Learner | null, settings: DrawSettings): Decoder {
  return capturable()
    ? new CapturedDecoder(model, learner, settings)
    : new EagerDecoder(model, learner, settings);
}

const choose = (logits: Float32Array, settings: DrawSettings, point: number): number =>
  settings.do_sample ? sample(logits, settings, point) : likeliestOf(logits);

/** Key-value caches of all layers and how many tokens they hold. */
class KeyValueCaches {
  readonly #model: Model;
  readonly #pass: Pass;
  readonly layers: (LayerCache | null)[];
  past = 0;

  constructor(model: Model, learner: Learner | null) {
    this.#model = model;
    this.#pass = { weights: model.weights, learner, tape: null, noise: null };
    this.layers = Array.from({ length: model.architecture.layers }, () => null);
  }

  get hasPositionTable(): boolean {
    return this.#model.architecture.positions === 'learned';
  }

  /** Positions of the next `count` tokens. */
  positionIds(count: number): Int32Array {
    return Int32Array.from({ length: count }, (_, i) => this.past + i);
  }

  /** Appends the tokens to the caches and returns the logits after the last one, [1, V]. The caller advances `past`. */
  read(tokens: { ids: tf.Tensor1D; positionIds: tf.Tensor1D | null }): tf.Tensor2D {
    return tf.tidy(() => {
      const hidden = this.#model.decode(this.#pass, tokens, this.past, this.layers);
      const [time, width] = hidden.shape;
      const last = time === 1 ? hidden : tf.slice(hidden, [time - 1, 0], [1, width]);
      return linearForward(last as tf.Tensor2D, this.#model.head(this.#pass).tensor, null, 'out_in');
    });
  }

  /** As `read`, from numbers. */
  readIds(ids: readonly number[]): tf.Tensor2D {
    return tf.tidy(() => {
      const positionIds = this.hasPositionTable ? tf.tensor1d(this.positionIds(ids.length), 'int32') : null;
      return this.read({ ids: tf.tensor1d(Int32Array.from(ids), 'int32'), positionIds });
    });
  }

  dispose(): void {
    for (const cache of this.layers) {
      cache?.keys.dispose();
      cache?.values.dispose();
    }
    this.layers.fill(null);
  }
}

export class EagerDecoder implements Decoder {
  readonly #caches: KeyValueCaches;
  readonly #settings: DrawSettings;

  constructor(model: Model, learner: Learner | null, settings: DrawSettings) {
    this.#caches = new KeyValueCaches(model, learner);
    this.#settings = settings;
  }

  async logits(ids: readonly number[]): Promise<Float32Array> {
    const logits = this.#caches.readIds(ids);
    this.#caches.past += ids.length;
    const values = (await logits.data()) as Float32Array;
    logits.dispose();
    return values;
  }

  async next(ids: readonly number[], point: number): Promise<number> {
    return choose(await this.logits(ids), this.#settings, point);
  }

  dispose(): void {
    this.#caches.dispose();
  }
}

/**
 * Size of vocabulary from which on the device lists the likeliest 64 tokens, which are read instead of all logits. At 32,768 both take
 * the same processor time, at 50,257 the list takes three quarters, at 151,936 a third (LOG.md); below, two more dispatches save nothing.
 */
const MIN_LISTED_VOCAB = 40_000;
/** The list is switched off when the draws it did not decide outnumber those it did by this many: each of them reads twice. */
const MAX_MISSES = 4;

interface StepOutput {
  logits: tf.Tensor2D;
  /** Greedy: the result of `argmaxFused`. */
  best: tf.Tensor1D | null;
  /** Sampled, large vocabulary: the result of `shortlistFused`. */
  list: tf.Tensor1D | null;
}

/** One submit a token. The dispatches are captured at the first token for which the caches have room, and again after they have grown. */
export class CapturedDecoder implements Decoder {
  readonly #model: Model;
  readonly #caches: KeyValueCaches;
  readonly #settings: DrawSettings;
  readonly #pool = new GraphPool();
  #graph: StepGraph<StepOutput> | null = null;
  /** Output of the last call that was not replayed; freed by the next one. */
  #eagerOutput: StepOutput | null = null;
  #lists: boolean;
  /** Draws that the list did not decide minus those that it did. */
  #missed = 0;

  /** @param minListedVocab the size of vocabulary from which on the likeliest tokens are listed on the device */
  constructor(
    model: Model,
    learner: Learner | null,
    settings: DrawSettings,
    minListedVocab = MIN_LISTED_VOCAB,
  ) {
    this.#model = model;
    this.#caches = new KeyValueCaches(model, learner);
    this.#settings = settings;
    this.#lists = settings.do_sample && model.architecture.vocabSize >= minListedVocab;
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
    if (this.#lists && this.#missed > MAX_MISSES) {
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
    this.#caches.dispose();
  }

  #read(ids: readonly number[]): StepOutput {
    const caches = this.#caches;
    const fits = caches.past + 1 <= (caches.layers[0]?.keys.shape[1] ?? 0);
    if (ids.length > 1 || !fits) {
      // A prompt, or a token for which the caches must grow: the captured buffers are replaced.
      this.#graph?.dispose();
      this.#graph = null;
      this.#drop();
      this.#eagerOutput = this.#outputOf(caches.readIds(ids));
      caches.past += ids.length;
      return this.#eagerOutput;
    }
    const inputs = {
      ids: Int32Array.from(ids),
      ...(caches.hasPositionTable ? { positionIds: caches.positionIds(1) } : {}),
    };
    if (this.#graph) this.#graph.replay({ inputs, live: { past: caches.past } });
    else {
      this.#drop();
      this.#model.prepareDecoding(caches.past + 1);
      this.#graph = StepGraph.capture(this.#pool, () => {
        const given = upload<tf.Tensor1D>('ids', inputs.ids, [1]);
        const positionIds = caches.hasPositionTable
          ? upload<tf.Tensor1D>('positionIds', caches.positionIds(1), [1])
          : null;
        const result = this.#outputOf(caches.read({ ids: given, positionIds }));
        tf.dispose([given, ...(positionIds ? [positionIds] : [])]);
        return result;
      });
    }
    caches.past += 1;
    return this.#graph.result;
  }

  #outputOf(logits: tf.Tensor2D): StepOutput {
    const { do_sample } = this.#settings;
    const list = this.#lists ? shortlistFused(logits, temperatureOf(this.#settings)) : null;
    return { logits, best: do_sample ? null : argmaxFused(logits), list };
  }

  #drop(): void {
    const { logits, best, list } = this.#eagerOutput ?? { logits: null, best: null, list: null };
    for (const tensor of [logits, best, list]) tensor?.dispose();
    this.#eagerOutput = null;
  }
}
