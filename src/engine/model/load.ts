// A model's files → tensors, one weight at a time, so that the file is never in memory twice; in 16 bits where the backend has kernels for them.
// Not here: file formats (formats/huggingface.ts), where files come from (worker/, cli/).

import * as tf from '@tensorflow/tfjs-core';
import { PlaygroundError } from '../../errors';
import type { Architecture } from '../../modelArchitecture';
import type { LoadProgress } from '../../modelContract';
import { freeUnused, holdOnDevice } from '../device/device';
import { capturable, type Packing, packWeight } from '../kernels';
import { isOutOfMemory } from '../training/memory';
import { Model } from './model';

/** The part of formats/huggingface.ts's `ModelFiles` that loading needs. */
export interface WeightFiles {
  architecture: Architecture;
  weights: {
    names: readonly string[];
    totalBytes: number;
    /** Number of weights in all. */
    parameters: number;
    read(name: string): Promise<{ shape: number[]; data: Float32Array | Int32Array }>;
    /** How most of the bytes are stored. With `readRaw`: weights need not be widened to 32 bits. */
    dtype?: string;
    readRaw?(name: string): Promise<{ shape: number[]; dtype: string; bytes: Uint8Array<ArrayBuffer> }>;
  };
}

/** @throws PlaygroundError `out_of_memory`; naming the tensor when a weight holds numbers that are not finite. */
export async function loadModel(files: WeightFiles, onProgress: (p: LoadProgress) => void): Promise<Model> {
  const weights = new Map<string, tf.Tensor>();
  const { totalBytes, parameters } = files.weights;
  let loaded = 0;
  try {
    for (const name of files.weights.names) {
      const tensor = (await readPacked(files.weights, name)) ?? (await readFloats(files.weights, name));
      weights.set(name, tensor);
      loaded += tensor.size;
      onProgress({
        stage: 'upload',
        file: name,
        loadedBytes: Math.round((totalBytes * loaded) / parameters),
        totalBytes,
      });
    }
    await holdOnDevice(weights.values());
  } catch (error) {
    for (const t of weights.values()) t.dispose();
    if (!isOutOfMemory(error)) throw error;
    await freeUnused();
    throw new PlaygroundError({
      code: 'out_of_memory',
      message: `This model has ${parameters.toLocaleString('en')} weights, and the device has no memory left for all of them.`,
      fix: 'Choose a smaller model, or close other pages and programs that use the same memory.',
    });
  }
  return new Model(files.architecture, weights);
}

async function readFloats(weights: WeightFiles['weights'], name: string): Promise<tf.Tensor> {
  const { shape, data } = await weights.read(name);
  const values = data instanceof Float32Array ? data : Float32Array.from(data);
  const at = values.findIndex((v) => !Number.isFinite(v));
  if (at >= 0) throw notFinite(name, at);
  return tf.tensor(values, shape, 'float32');
}

const PACKINGS: Readonly<Record<string, Packing>> = { F16: 'f16', BF16: 'bf16' };
/** The bits of the exponent, all set where a number is infinite or NaN. */
const EXPONENT: Record<Packing, number> = { f16: 0x7c00, bf16: 0x7f80 };

/** The weight as a tensor of 16-bit numbers, where the file has them and the backend has kernels for them; else null. */
async function readPacked(weights: WeightFiles['weights'], name: string): Promise<tf.Tensor | null> {
  // A file of floats would be read twice.
  if (!weights.readRaw || PACKINGS[weights.dtype ?? ''] === undefined || !capturable()) return null;
  const { shape, dtype, bytes } = await weights.readRaw(name);
  const packing = PACKINGS[dtype];
  if (packing === undefined) return null;
  const bits = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  const exponent = EXPONENT[packing];
  const at = bits.findIndex((b) => (b & exponent) === exponent);
  if (at >= 0) throw notFinite(name, at);
  return packWeight(bits, packing, shape);
}

function notFinite(name: string, at: number): PlaygroundError {
  return new PlaygroundError({
    code: 'bad_weights',
    message: `The weight ${name} holds a number that is not finite (element ${at}).`,
    fix: 'Download the model again; its file is damaged or was saved from a run that had diverged.',
    where: name,
  });
}
