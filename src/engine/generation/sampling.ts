// Sampling of the next token: temperature, top-k and top-p over all logits, or over the likeliest few where those decide the draw.
// Not here: when to generate and when to stop (generate.ts), finding the likeliest few on a GPU (kernels/shortlist/shortlist.wgsl.ts).
//
// How it works: (1) one pass finds the largest and smallest logit; (2) one pass counts, or weighs, the tokens in up to 1024 buckets of equal
// width; (3) buckets are taken from the top until they hold what top-k, or top-p or the random number, can reach; (4) only the tokens
// of those buckets are sorted, and the draw goes through them by falling probability. Sums are float64.
// Memory: 4 bytes a token of the vocabulary for the ids, and the buckets.

import { PlaygroundError } from '../../errors';
import type { GenerationSettings } from '../../generation';
import type { Shortlist } from '../kernels/shortlist/shortlist';

type Settings = Pick<GenerationSettings, 'temperature' | 'top_k' | 'top_p'>;

/**
 * How far a list's mass can be from that of float64, as a share. WGSL allows exp(x) an error of 3 + 2|x| units in the last place; with
 * the roundings of x, where exp underflows (|x| = 87), that is 3e-5 for each of at most three factors, and the sums add less than 1e-5.
 */
const MASS_ERROR = 2e-4;
/** A small vocabulary has as many buckets as tokens. */
const MAX_BUCKETS = 1024;
/** A share by which sums over buckets may differ from sums one by one: V · 2⁻⁵³, with a margin. */
const SUM_ERROR = 1e-9;

/** The divisor of the logits. Below 1e-4 only the likeliest token would have any probability, and the others' logits would overflow. */
export const temperatureOf = (settings: Settings): number => Math.max(settings.temperature, 1e-4);

/** Of equal logits the first. @throws PlaygroundError `non_finite` when any logit is not a number */
export function likeliestOf(logits: Float32Array): number {
  return logits.indexOf(rangeOf(logits).top);
}

export function assertFinite(finite: boolean): void {
  if (finite) return;
  throw new PlaygroundError({
    code: 'non_finite',
    message: 'The model’s output is no longer a number.',
    fix: 'Go back to the best step, or train again with a lower learning rate.',
  });
}

/**
 * One id from softmax(logits / temperature), cut to the `top_k` most likely (0 = all) and then to the smallest set whose
 * probability reaches `top_p` (Holtzman et al. 2020), in Hugging Face's order. The tokens lie on [0, 1) by probability, likeliest first
 * and of equals the lower id first; the one over `point` is drawn. Only as many are sorted as the draw can reach.
 * @param point a random number of [0, 1)
 * @throws PlaygroundError `non_finite` when any logit is not a number
 */
export function sample(logits: Float32Array, settings: Settings, point: number): number {
  const { top, bottom } = rangeOf(logits);
  const temperature = temperatureOf(settings);
  const limit = limitOf(settings, logits.length);
  const cutsByCount = limit < logits.length;

  // Buckets of equal width from the largest logit down: how many are in each, and with what weight.
  const buckets = Math.min(MAX_BUCKETS, logits.length);
  const scale = top > bottom ? buckets / (top - bottom) : 0;
  const bucketOf = (logit: number) => Math.min(buckets - 1, Math.floor((top - logit) * scale));
  const amounts = new Float64Array(buckets);
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i] as number;
    const bucket = bucketOf(logit);
    amounts[bucket] = (amounts[bucket] as number) + (cutsByCount ? 1 : Math.exp((logit - top) / temperature));
  }
  let total = 0;
  for (let bucket = 0; bucket < buckets; bucket++) total += amounts[bucket] as number;
  const share = settings.top_p < 1 ? settings.top_p : point;
  const wanted = cutsByCount ? limit : share * total * (1 + SUM_ERROR);
  let last = 0;
  for (let reached = amounts[0] as number; reached < wanted && last < buckets - 1; )
    reached += amounts[++last] as number;

  const reachable = new Uint32Array(logits.length);
  let count = 0;
  for (let i = 0; i < logits.length; i++) if (bucketOf(logits[i] as number) <= last) reachable[count++] = i;
  const ids = likeliestFirst(logits, reachable.subarray(0, count)).subarray(0, limit);
  const odds = new Float64Array(ids.length);
  for (let i = 0; i < ids.length; i++)
    odds[i] = Math.exp(((logits[ids[i] as number] as number) - top) / temperature);
  if (cutsByCount) total = odds.reduce((a, b) => a + b, 0);
  const rank = rankAt(odds, limit, total, settings, point) ?? odds.length - 1;
  return ids[rank] as number;
}

/**
 * The id that `sample` would draw from all logits, or null where the list does not decide it: the draw goes beyond the list,
 * or depends on digits that its mass does not have.
 * @throws PlaygroundError `non_finite` when any logit of the vocabulary is not a number
 */
export function sampleFromShortlist(
  list: Shortlist,
  vocabSize: number,
  settings: Settings,
  point: number,
): number | null {
  assertFinite(list.finite);
  const temperature = temperatureOf(settings);
  const limit = limitOf(settings, vocabSize);
  const count = Math.min(limit, list.logits.length);
  const top = list.logits[0] as number;
  const odds = Float64Array.from(list.logits.subarray(0, count), (logit) =>
    Math.exp((logit - top) / temperature),
  );
  const own = odds.reduce((a, b) => a + b, 0);
  let minTotal = own;
  let maxTotal = own;
  if (limit === vocabSize && count < limit) {
    minTotal = Math.max(own, list.mass * (1 - MASS_ERROR));
    maxTotal = Math.max(own, list.mass * (1 + MASS_ERROR));
  } else if (count < limit) {
    maxTotal = own + (limit - count) * (odds[count - 1] as number);
  }
  // The rank only grows with the total. So where both bounds of the total give the same rank, the true total gives it too.
  const rank = rankAt(odds, limit, minTotal, settings, point);
  if (rank === null || (maxTotal > minTotal && rankAt(odds, limit, maxTotal, settings, point) !== rank))
    return null;
  return list.ids[rank] as number;
}

// ───────────────────────────── inside ─────────────────────────────

const limitOf = ({ top_k }: Settings, vocabSize: number) =>
  top_k > 0 ? Math.min(top_k, vocabSize) : vocabSize;

function rangeOf(logits: Float32Array): { top: number; bottom: number } {
  let top = Number.NEGATIVE_INFINITY;
  let bottom = Number.POSITIVE_INFINITY;
  let odd = 0;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i] as number;
    if (logit > top) top = logit;
    if (logit < bottom) bottom = logit;
    odd += logit - logit; // NaN where a logit is infinite or NaN
  }
  assertFinite(odd === 0 && logits.length > 0);
  return { top, bottom };
}

/** An id below this and a float32 fit in the 53 bits of a sort key. */
const MAX_IDS = 2 ** 21;

/** Ids by falling logit, of equals the lower first. A typed array sorts numbers natively, some ten times as fast as with a comparison function. */
function likeliestFirst(logits: Float32Array, ids: Uint32Array): Uint32Array {
  const bits = new Uint32Array(logits.buffer, logits.byteOffset, logits.length);
  const keys = new Float64Array(ids.length);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as number;
    const b = logits[id] === 0 ? 0 : (bits[id] as number); // −0 is 0
    // As integers, the bits of a float32 rise with a positive number and fall with a negative one.
    keys[i] = (b < 0x80000000 ? 0x7fffffff - b : b) * MAX_IDS + id;
  }
  keys.sort();
  const sorted = new Uint32Array(ids.length);
  for (let i = 0; i < ids.length; i++) sorted[i] = (keys[i] as number) % MAX_IDS;
  return sorted;
}

/**
 * The rank that is drawn among `limit` tokens, of which the likeliest have these odds; null when it lies beyond them.
 * @param total of the odds of all `limit`
 */
function rankAt(
  odds: Float64Array,
  limit: number,
  total: number,
  { top_p }: Settings,
  point: number,
): number | null {
  const complete = odds.length === limit;
  let size = odds.length;
  if (top_p < 1) {
    const wanted = top_p * total;
    let mass = 0;
    for (size = 0; size < odds.length && (size === 0 || mass < wanted); size++) mass += odds[size] as number;
    if (mass < wanted && !complete) return null;
    total = mass;
  }
  let left = point * total;
  for (let rank = 0; rank < size; rank++) {
    left -= odds[rank] as number;
    if (left < 0) return rank;
  }
  return complete || top_p < 1 ? size - 1 : null;
}
