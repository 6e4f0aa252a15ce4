// tfjs's Softmax kernel for webgpu, replaced: its own program overwrites the last element when there are more than 65,535 rows.
// Not here: the softmax inside attention and cross-entropy, which never stands in memory.

import * as tf from '@tensorflow/tfjs-core';
import { dispatch, type TensorLike, variants, webgpuBackend } from './program';
import { reduction, threadsForRow } from './reduce.wgsl';

const rows = variants((threads: number) => ({
  name: `softmax_${threads}`,
  inputs: { x: 'f32' },
  outputs: { y: 'f32' },
  uniforms: { columns: 'u32' },
  workgroup: threads,
  declare: reduction('total', threads) + reduction('largest', threads, { combine: 'max(a, b)' }),
  body: `
  let start = group * u.columns;
  var top = -3.4e38;
  for (var c = thread; c < u.columns; c += ${threads}u) { top = max(top, x[start + c]); }
  top = largest(top, thread);
  var sum = 0.0;
  for (var c = thread; c < u.columns; c += ${threads}u) { sum += exp(x[start + c] - top); }
  sum = total(sum, thread);
  for (var c = thread; c < u.columns; c += ${threads}u) { y[start + c] = exp(x[start + c] - top) / sum; }`,
}));

function softmax(x: TensorLike): tf.TensorInfo {
  const columns = x.shape.at(-1) ?? 1;
  const count = x.shape.reduce((a, b) => a * b, 1) / Math.max(1, columns);
  const y = webgpuBackend().makeTensorInfo([...x.shape], 'float32');
  dispatch(rows(threadsForRow(columns)), { x, y }, { columns }, count);
  return y;
}

/** Puts it in the place of tfjs's own, over the last dimension as tf.softmax demands. Once, after the backend is imported. */
export function installSoftmax(): void {
  const place = { kernelName: 'Softmax', backendName: 'webgpu' };
  if (tf.getKernel(place.kernelName, place.backendName)) {
    tf.unregisterKernel(place.kernelName, place.backendName);
  }
  tf.registerKernel({ ...place, kernelFunc: ({ inputs }) => softmax(inputs.logits as tf.TensorInfo) });
}
