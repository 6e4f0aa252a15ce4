// The likeliest few of the next tokens, and what the probabilities of all add up to: the reference in plain tfjs, and the form of the answer.
// Not here: drawing from them (engine/generation/sampling.ts).

import * as tf from '@tensorflow/tfjs-core';

/** So many stand in a list; a vocabulary with fewer fills it up with ids beyond its own. */
export const LISTED = 64;
/** A list as numbers: ids [64] | logits [64] | mass | how many of the logits are no numbers. */
export const LIST_SIZE = 2 * LISTED + 2;

export interface Shortlist {
  /** Likeliest first; of equals the lower id. */
  ids: Float32Array;
  logits: Float32Array;
  /** Σ exp((logit − largest) / temperature) over the whole vocabulary. */
  mass: number;
  /** Whether all logits of the vocabulary are numbers. */
  finite: boolean;
}

/** A list of logits [V], as [130]. */
export function shortlist(x: tf.Tensor, temperature: number): tf.Tensor1D {
  return tf.tidy(() => {
    const flat = tf.reshape(x, [-1]); // [V]
    const { values, indices } = tf.topk(flat, Math.min(LISTED, x.size));
    const top = tf.slice(values, [0], [1]);
    const mass = tf.sum(tf.exp(tf.div(tf.sub(flat, top), temperature)), 0, true);
    const finite = tf.cast(tf.isFinite(flat), 'float32');
    const odd = tf.sub(x.size, tf.sum(finite, 0, true));
    const room: [number, number][] = [[0, LISTED - values.size]];
    const ids = tf.cast(indices, 'float32');
    return tf.concat([tf.pad(ids, room, x.size), tf.pad(values, room), mass, odd] as tf.Tensor1D[]);
  });
}

/** What `shortlist` wrote, for a vocabulary of this size. */
export function readShortlist(values: Float32Array, vocabSize: number): Shortlist {
  const count = Math.min(LISTED, vocabSize);
  return {
    ids: values.subarray(0, count),
    logits: values.subarray(LISTED, LISTED + count),
    mass: values[2 * LISTED] as number,
    finite: values[2 * LISTED + 1] === 0,
  };
}
