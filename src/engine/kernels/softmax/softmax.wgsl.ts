// tfjs's Softmax kernel for webgpu, replaced: its own program overwrites the last element when there are more than 65,535 rows.
// Not here: the softmax inside attention and cross-entropy (attention/attention.wgsl.ts, crossEntropy/crossEntropy.wgsl.ts).

import * as tf from '@tensorflow/tfjs-core';
import { kernel, programName, variants } from '../webgpu/kernel';
import { dispatch, type TensorLike, webgpuBackend } from '../webgpu/program';
import { reduction, threadsForRow } from '../webgpu/reduce.wgsl';

// Three passes over a row: maximum, sum of exp(x − maximum), division. Memory: nothing beside the result.

/** A workgroup a row. */
const wide = variants(({ threads }: { threads: number }) => ({
  name: programName('softmax', { threads }),
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

/** A thread a row. */
const narrow = kernel({
  name: 'softmax_narrow',
  inputs: { x: 'f32' },
  outputs: { y: 'f32' },
  uniforms: { rows: 'u32', columns: 'u32' },
  workgroup: 64,
  body: `
  let row = group * 64u + thread;
  if (row >= u.rows) { return; }
  let start = row * u.columns;
  var top = -3.4e38;
  for (var c = 0u; c < u.columns; c++) { top = max(top, x[start + c]); }
  var sum = 0.0;
  for (var c = 0u; c < u.columns; c++) { sum += exp(x[start + c] - top); }
  for (var c = 0u; c < u.columns; c++) { y[start + c] = exp(x[start + c] - top) / sum; }`,
});

function softmax(x: TensorLike): tf.TensorInfo {
  const columns = x.shape.at(-1) ?? 1;
  const count = x.shape.reduce((a, b) => a * b, 1) / Math.max(1, columns);
  const y = webgpuBackend().makeTensorInfo([...x.shape], 'float32');
  if (columns <= 32) dispatch(narrow, { x, y }, { rows: count, columns }, Math.ceil(count / 64));
  else dispatch(wide({ threads: threadsForRow(columns) }), { x, y }, { columns }, count);
  return y;
}

/** Registers it in place of tfjs's own, over the last dimension as tf.softmax calls it. Once, after the backend is imported. */
export function installSoftmax(): void {
  const place = { kernelName: 'Softmax', backendName: 'webgpu' };
  if (tf.getKernel(place.kernelName, place.backendName)) {
    tf.unregisterKernel(place.kernelName, place.backendName);
  }
  tf.registerKernel({ ...place, kernelFunc: ({ inputs }) => softmax(inputs.logits as tf.TensorInfo) });
}
