// The most likely token on WebGPU, so that greedy decoding reads three numbers back instead of all logits.
// Not here: sampling (engine/generation/sampling.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { kernel } from '../webgpu/kernel';
import { dispatch, empty } from '../webgpu/program';
import { reduction } from '../webgpu/reduce.wgsl';

const THREADS = 256;

const program = kernel({
  name: 'argmax',
  inputs: { x: 'f32' },
  outputs: { best: 'f32' },
  uniforms: { count: 'u32' },
  workgroup: THREADS,
  declare: `
// (value, its index, 1 when one was not finite); of equal values the lowest index.
fn better(a: vec4f, b: vec4f) -> vec4f {
  let not_finite = max(a.z, b.z);
  if (a.x > b.x || (a.x == b.x && a.y < b.y)) { return vec4f(a.x, a.y, not_finite, 0.0); }
  return vec4f(b.x, b.y, not_finite, 0.0);
}
${reduction('best_of', THREADS, { type: 'vec4f', combine: 'better(a, b)' })}`,
  body: `
  var own = vec4f(-3.4e38, 3.4e38, 0.0, 0.0);
  for (var i = thread; i < u.count; i += ${THREADS}u) {
    let value = x[i];
    // Bits are compared: compilers may assume that there are no NaN.
    let not_finite = select(0.0, 1.0, (bitcast<u32>(value) & 0x7f800000u) == 0x7f800000u);
    own = better(own, vec4f(value, f32(i), not_finite, 0.0));
  }
  let all = best_of(own, thread);
  if (thread == 0u) {
    best[0] = all.y;
    best[1] = all.x;
    best[2] = all.z;
  }`,
});

/** Index of the largest of x, its value, and 1 when any of x is not finite: [3]. */
export function argmaxFused(x: tf.Tensor): tf.Tensor1D {
  const best = empty<tf.Tensor1D>([3]);
  dispatch(program, { x, best }, { count: x.size }, 1);
  return best;
}
