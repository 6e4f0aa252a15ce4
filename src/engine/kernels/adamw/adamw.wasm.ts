// AdamW and the global gradient norm on the wasm backend: parameters and moments are written in place.
// Not here: the plain reference (adamw.ts), the loops (wasm/assembly/adamw.ts).

import * as tf from '@tensorflow/tfjs-core';
import { at, isShared, runShares, shares, simd, touched } from '../wasm/memory.wasm';
import { type AdamWItem, type AdamWResult, type AdamWStep, adamwUpdate } from './adamw';

/** Cost of one element, in multiplications: a root, two divisions and seven memory accesses. */
const WORK = 16;

/** `globalNorm` of adamw.ts. */
export function globalNormSimd(gradients: readonly tf.Tensor[]): tf.Scalar {
  let sum = 0;
  for (const g of gradients) sum += simd().sumOfSquares(at(g), g.size);
  return tf.scalar(Math.sqrt(sum));
}

/** `adamwUpdate` of adamw.ts. An item whose memory another tensor shares gets new tensors, as in the reference. */
export function adamwUpdateSimd(items: readonly AdamWItem[], step: AdamWStep): AdamWResult[] {
  const { learningRate, beta1, beta2, epsilon, gradientScale, count } = step;
  const rate = learningRate / (1 - beta1 ** count);
  const root = Math.sqrt(1 - beta2 ** count);
  return items.map((item) => {
    const { parameter, gradient, m, v, weightDecay } = item;
    if (isShared(parameter) || isShared(m) || isShared(v)) return adamwUpdate([item], step)[0] as AdamWResult;
    const [p, g, first, second] = [at(parameter), at(gradient), at(m), at(v)];
    const keep = 1 - learningRate * weightDecay;
    runShares('adamwUpdate', shares(parameter.size, 4, parameter.size * WORK), ({ start, size }) => [
      p + 4 * start,
      g + 4 * start,
      first + 4 * start,
      second + 4 * start,
      size,
      gradientScale,
      beta1,
      1 - beta1,
      beta2,
      1 - beta2,
      root,
      epsilon,
      rate,
      keep,
    ]);
    for (const written of [parameter, m, v]) touched(written);
    return { parameter, m, v };
  });
}
