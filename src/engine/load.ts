// A model's files into tensors: reads one weight at a time, so the worker never holds the file twice.
// Not here: file formats (formats/huggingface.ts), where files come from (worker/session.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { Architecture, LoadProgress } from '../contract';
import { PlaygroundError } from '../errors';
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
  };
}

/** @throws PlaygroundError naming the tensor when a weight holds numbers that are not finite. */
export async function loadModel(files: WeightFiles, onProgress: (p: LoadProgress) => void): Promise<Model> {
  const weights = new Map<string, tf.Tensor>();
  const { totalBytes, parameters } = files.weights;
  let loaded = 0;
  try {
    for (const name of files.weights.names) {
      const { shape, data } = await files.weights.read(name);
      const values = data instanceof Float32Array ? data : Float32Array.from(data);
      assertFinite(name, values);
      weights.set(name, tf.tensor(values, shape, 'float32'));
      loaded += values.length;
      onProgress({
        stage: 'upload',
        file: name,
        loadedBytes: Math.round((totalBytes * loaded) / parameters),
        totalBytes,
      });
    }
  } catch (error) {
    for (const t of weights.values()) t.dispose();
    throw error;
  }
  return new Model(files.architecture, weights);
}

function assertFinite(name: string, values: Float32Array): void {
  const at = values.findIndex((v) => !Number.isFinite(v));
  if (at < 0) return;
  throw new PlaygroundError({
    code: 'bad_weights',
    message: `The weight ${name} holds a number that is not finite (element ${at}).`,
    fix: 'Download the model again; its file is damaged or was saved from a run that had diverged.',
    where: name,
  });
}
