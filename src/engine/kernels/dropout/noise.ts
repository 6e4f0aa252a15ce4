// Counter-based random numbers: the value at an index depends on the key and the index alone, never on the order of calls.
// Not here: the shuffling of rows (data/batches.ts).

/** A 32-bit integer hash ("lowbias32", C. Wellons 2018). dropout.wgsl.ts uses the same steps. */
export function hash32(x: number): number {
  let h = x | 0;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 0;
}

/** One 32-bit key from several numbers, in order. */
export function keyOf(...parts: number[]): number {
  return parts.reduce((key, part) => hash32(key ^ hash32(part + 0x9e3779b9)), 0x243f6a88);
}

/** A key from a name: FNV-1a. */
export function keyOfName(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/** `count` numbers in [low, high), the i-th from hash(key, i). */
export function uniform(key: number, count: number, low: number, high: number): Float32Array {
  const values = new Float32Array(count);
  const width = (high - low) / 2 ** 32;
  for (let i = 0; i < count; i++) values[i] = low + hash32(key ^ Math.imul(i, 0x9e3779b1)) * width;
  return values;
}

/** Inverted dropout: 0 with probability p, 1 / (1 − p) otherwise. */
export function dropoutMask(key: number, count: number, p: number): Float32Array {
  const mask = new Float32Array(count);
  const threshold = p * 2 ** 32;
  const kept = 1 / (1 - p);
  for (let i = 0; i < count; i++) mask[i] = hash32(key ^ Math.imul(i, 0x9e3779b1)) < threshold ? 0 : kept;
  return mask;
}
