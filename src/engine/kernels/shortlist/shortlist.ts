// The 64 likeliest next tokens and the sum of all unnormalised probabilities: the reference in plain tfjs, and the layout of the result.
// Not here: drawing from them (engine/generation/sampling.ts).

import * as tf from '@tensorflow/tfjs-core';

/** Tokens in a list; for a smaller vocabulary the rest is filled with ids past its end. */
export const LISTED = 64;
/** Numbers in a list: ids [64] | logits [64] | mass | how many logits are not finite. */
export const LIST_SIZE = 2 * LISTED + 2;

export interface Shortlist {
  /** Likeliest first; of equals the lower id. */
  ids: Float32Array;
  logits: Float32Array;
  /** Σ exp((logit − largest) / temperature) over the whole vocabulary. */
  mass: number;
  /** Whether all logits of the vocabulary are finite. */
  finite: boolean;
}

/** The list of logits x [V], as [130]. */
export function shortlist(x: tf.Tensor, temperature: number): tf.Tensor1D {
  return tf.tidy(() => {
    const flat = tf.reshape(x, [-1]); // [V]
    const { values, indices } = tf.topk(flat, Math.min(LISTED, x.size));
    const top = tf.slice(values, [0], [1]);
    const mass = tf.sum(tf.exp(tf.div(tf.sub(flat, top), temperature)), 0, true);
    const finite = tf.cast(tf.isFinite(flat), 'float32');
    const notFinite = tf.sub(x.size, tf.sum(finite, 0, true));
    const room: [number, number][] = [[0, LISTED - values.size]];
    const ids = tf.cast(indices, 'float32');
    return tf.concat([tf.pad(ids, room, x.size), tf.pad(values, room), mass, notFinite] as tf.Tensor1D[]);
  });
}

/** Reads what `shortlist` wrote, for a vocabulary of this size. */
export function readShortlist(values: Float32Array, vocabSize: number): Shortlist {
  const count = Math.min(LISTED, vocabSize);
  return {
    ids: values.subarray(0, count),
    logits: values.subarray(LISTED, LISTED + count),
    mass: values[2 * LISTED] as number,
    finite: values[2 * LISTED + 1] === 0,
  };
}
