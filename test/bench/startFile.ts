// Start weights and batches in one file, so that PyTorch starts where ours does: a line of JSON, then the numbers, little-endian.
// Not here: reading it (torch_step.py).

import { closeSync, openSync, writeSync } from 'node:fs';
import { BATCHES, batchOf, llamaOf, type Shape, startWeights } from './shapes';

export async function writeStart(shape: Shape, file: string): Promise<{ file: string }> {
  const arrays = [...startWeights(llamaOf(shape))];
  const parts = arrays.map(({ name, shape, data }) => ({
    name,
    shape,
    type: 'float32',
    data: data as ArrayBufferView,
  }));
  for (let i = 0; i < BATCHES; i++) {
    const { ids, targets } = batchOf(shape, i);
    // No target at the end of a row.
    for (let end = shape.time - 1; end < targets.length; end += shape.time) targets[end] = -100;
    const size = [shape.batch, shape.time];
    parts.push({ name: `ids.${i}`, shape: size, type: 'int32', data: ids });
    parts.push({ name: `targets.${i}`, shape: size, type: 'int32', data: targets });
  }
  const out = openSync(file, 'w');
  writeSync(out, `${JSON.stringify({ shape, arrays: parts.map(({ data: _data, ...rest }) => rest) })}\n`);
  for (const { data } of parts) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    for (let at = 0; at < bytes.length; )
      at += writeSync(out, bytes, at, Math.min(bytes.length - at, 2 ** 26));
  }
  closeSync(out);
  return { file };
}
