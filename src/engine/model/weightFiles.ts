// The weights of a whole model as safetensors files, written tensor by tensor; several files and their index when they are large.
// Not here: what is merged into a tensor (adapters.ts), the other files of a folder (artifacts.ts), where files are kept (session/ and its platforms).

import type * as tf from '@tensorflow/tfjs-core';
import { PlaygroundError } from '../../errors';
import { bytesOfTensor, layoutSafetensors, storedFloats } from '../../formats/safetensors';
import { INDEX_FILE, SINGLE_FILE } from '../../formats/weightFiles';
import { asFloat32 } from '../kernels';
import type { TunedTensor } from './adapters';

export interface OutFile {
  path: string;
  bytes: Uint8Array | string | Blob;
}

/** Keeps a file whose bytes come piece by piece: on disk where there is one, so that a large model is never in memory whole. */
export type KeepFile = (
  path: string,
  size: number,
  pieces: AsyncIterable<Uint8Array<ArrayBuffer>>,
) => Promise<Uint8Array | Blob>;

/** In memory, whole. */
export const keepInMemory: KeepFile = async (_path, size, pieces) => {
  const bytes = new Uint8Array(size);
  let at = 0;
  for await (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
};

export type StoredType = 'F32' | 'F16' | 'BF16';

/** As large as a browser can still read and write in one piece, and small enough to be sent again. */
export const SHARD_BYTES = 1_000_000_000;

/** A tensor's numbers. @throws PlaygroundError `non_finite` rather than writing weights that are not numbers */
export async function readNumbers(name: string, tensor: tf.Tensor): Promise<Float32Array> {
  const floats = asFloat32(tensor);
  const data = (await floats.data()) as Float32Array;
  if (floats !== tensor) floats.dispose();
  const largest = data.reduce(
    (most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : Number.NaN),
    0,
  );
  if (Number.isFinite(largest)) return data;
  throw new PlaygroundError({
    code: 'non_finite',
    message: `The weight ${name} is no longer a number, so nothing was written.`,
    fix: 'Go back to the best step, or train again with a lower learning rate.',
    where: name,
  });
}

/** A tuned tensor's numbers; what was computed for it is freed. @throws as `readNumbers` */
export async function readTuned(tuned: TunedTensor): Promise<Float32Array> {
  const { tensor, fresh } = tuned.read();
  try {
    return await readNumbers(tuned.name, tensor);
  } finally {
    if (fresh) tensor.dispose();
  }
}

const LARGEST_F16 = 65_504;

/** @throws PlaygroundError `too_large_for_f16` where a number would become infinite */
export function assertFitsF16(name: string, data: Float32Array): void {
  const at = data.findIndex((x) => Math.abs(x) >= LARGEST_F16 + 16);
  if (at < 0) return;
  throw new PlaygroundError({
    code: 'too_large_for_f16',
    message: `The weight ${name} holds ${data[at]}, and the largest number in F16 is ${LARGEST_F16.toLocaleString('en')}.`,
    fix: 'Export it as BF16 or F32.',
    where: name,
  });
}

export interface WritingHooks {
  /** @param share of the bytes that are written, 0 to 1 */
  onProgress?: (share: number) => void;
  /** Called before each tensor; throws to end it. */
  check?: () => void;
}

/** The tensors in their order, cut where a file would become too large. */
function shardsOf<T extends { dtype: string; shape: readonly number[] }>(
  tensors: readonly (T & { name: string })[],
  maxBytes: number,
): (T & { name: string })[][] {
  const shards: (T & { name: string })[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const size = bytesOfTensor(tensor);
    if (bytes > 0 && bytes + size > maxBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)?.push(tensor);
    bytes += size;
  }
  return shards;
}

/**
 * model.safetensors, or model-00001-of-0000N.safetensors … with their index, named and indexed as transformers does.
 * Memory: the largest tensor, and what `keep` holds.
 * @throws PlaygroundError `non_finite`, `too_large_for_f16`
 */
export async function safetensorsFiles(
  tensors: readonly TunedTensor[],
  stored: StoredType,
  keep: KeepFile = keepInMemory,
  { onProgress = () => {}, check = () => {} }: WritingHooks = {},
  maxShardBytes = SHARD_BYTES,
): Promise<OutFile[]> {
  const planned = tensors.map((tuned) => ({ name: tuned.name, shape: tuned.shape, dtype: stored, tuned }));
  const shards = shardsOf(planned, maxShardBytes);
  const total = planned.reduce((sum, tensor) => sum + bytesOfTensor(tensor), 0);
  let done = 0;
  async function* piecesOf(start: Uint8Array<ArrayBuffer>, ordered: typeof planned) {
    yield start;
    for (const tensor of ordered) {
      check();
      const data = await readTuned(tensor.tuned);
      if (stored === 'F16') assertFitsF16(tensor.name, data);
      yield storedFloats(data, stored);
      done += bytesOfTensor(tensor);
      onProgress(done / total);
    }
  }
  const files: OutFile[] = [];
  const map: Record<string, string> = {};
  const number = (i: number) => String(i).padStart(5, '0');
  for (const [i, shard] of shards.entries()) {
    const path =
      shards.length === 1 ? SINGLE_FILE : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    const { start, ordered, size } = layoutSafetensors(shard, { format: 'pt' });
    files.push({ path, bytes: await keep(path, size, piecesOf(start, ordered)) });
    for (const { name } of ordered) map[name] = path;
  }
  if (shards.length > 1) {
    const index = { metadata: { total_size: total }, weight_map: map };
    files.push({ path: INDEX_FILE, bytes: `${JSON.stringify(index, null, 2)}\n` });
  }
  return files;
}
