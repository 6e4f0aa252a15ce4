// Which tensors hold 16-bit numbers, two in each 32-bit word: a register by data id, and the ops of a backend that keeps no such tensors.
// Not here: making and unpacking them on WebGPU (packed.wgsl.ts), the files they come from (formats/safetensors.ts).

import type * as tf from '@tensorflow/tfjs-core';

/** IEEE binary16, or the upper half of a float32. */
export type Packing = 'f16' | 'bf16';

const packings = new WeakMap<object, Packing>();

/** Registers this data id as packed. For webgpu/program.ts alone. */
export function markPacked(dataId: object, packing: Packing): void {
  packings.set(dataId, packing);
}

/** How a tensor's numbers are packed; null for the plain float32 of every tensor that tfjs makes. */
export function packingOf(tensor: Pick<tf.TensorInfo, 'dataId'>): Packing | null {
  return packings.get(tensor.dataId) ?? null;
}

/** Bytes that a tensor's numbers take on the device. */
export function storedBytes(tensor: tf.Tensor): number {
  return tensor.size * (packingOf(tensor) === null ? 4 : 2);
}

/**
 * A weight as its file stores it, kept in 16 bits: a tensor of dtype float32 whose numbers only our own kernels can read. `bits` in
 * row-major order. Null where this backend, or a matrix of this shape, is kept in float32: always, in the reference.
 */
export function packWeight(_bits: Uint16Array, _packing: Packing, _shape: number[]): tf.Tensor2D | null {
  return null;
}

/** The same numbers as float32: a new tensor where they are packed, else `x` itself. */
export function asFloat32<T extends tf.Tensor>(x: T): T {
  return x;
}
