// Tensors as numbers by name: read from the device, put back on it, compared with those that are there.
// Not here: the file that they are kept in (checkpoint.ts).

import * as tf from '@tensorflow/tfjs-core';

export type NamedTensors = Map<string, { shape: number[]; data: Float32Array }>;

export async function readAll(tensors: ReadonlyMap<string, tf.Tensor>): Promise<NamedTensors> {
  // Asked for together: a GPU then waits once, not once a tensor.
  const read = await Promise.all(
    [...tensors].map(async ([name, t]) => {
      const data = (await t.data()) as Float32Array;
      return [name, { shape: t.shape, data }] as const;
    }),
  );
  return new Map(read);
}

/** New tensors, which the caller disposes. */
export const toTensors = (named: NamedTensors): Map<string, tf.Tensor> =>
  new Map([...named].map(([name, { shape, data }]) => [name, tf.tensor(data, shape, 'float32')]));

/** The first tensor that one side has and the other lacks, or has in another shape; undefined when they are alike. */
export function otherTensor(own: ReadonlyMap<string, tf.Tensor>, given: NamedTensors): string | undefined {
  const named = (tensors: Iterable<[string, { shape: number[] }]>) =>
    [...tensors].map(([name, { shape }]) => `${name} [${shape.join()}]`).sort();
  const [a, b] = [named(own), named(given)];
  return b.find((name, i) => name !== a[i]) ?? a[b.length];
}

/** Puts numbers in the place of tensors, which are disposed. */
export function replaceTensors(tensors: Map<string, tf.Tensor>, named: NamedTensors): void {
  for (const [name, tensor] of toTensors(named)) {
    tensors.get(name)?.dispose();
    tensors.set(name, tensor);
  }
}
