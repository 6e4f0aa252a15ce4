// Frozen weights in 16 bits on WebGPU: making them, and the WGSL with which kernels read them. Storage only: the arithmetic stays float32.
// Not here: who reads them (matmul/matmul.wgsl.ts, embedding/embedding.wgsl.ts), keeping tfjs off them (webgpu/program.ts).

import type * as tf from '@tensorflow/tfjs-core';
import { type KernelSource, programName, variants } from '../webgpu/kernel';
import { dispatch, empty, uploadPacked, valuesLater } from '../webgpu/program';
import { type Packing, packingOf } from './packing';

/**
 * How WGSL reads a packing. `float16` is the built-in unpack2x16float, which a device may let flush subnormal halves (below 2⁻¹⁴: a quarter
 * of a percent of a model's usual weights) to zero; `float16Exact` uses integer arithmetic and flushes nothing.
 */
export type Reading = 'float16' | 'float16Exact' | 'bfloat16';

/** Until `chooseHalfReading` has tested the device: slower on some devices, right on all. */
let halfReading: 'float16' | 'float16Exact' = 'float16Exact';

/** How the numbers of this tensor are read in a kernel; null for plain float32. */
export function readingOf(tensor: Pick<tf.TensorInfo, 'dataId'>): Reading | null {
  const packing = packingOf(tensor);
  return packing === 'f16' ? halfReading : packing && 'bfloat16';
}

/** A subnormal half (below 2⁻¹⁴) gets the exponent of 2⁻¹⁴, and 2⁻¹⁴ is subtracted: no step meets a subnormal float. */
const exact = (floats: string, words: string) => `
  let magnitude = (bits & ${words}(0x7fffu)) << ${words}(13u);
  let small = bitcast<${floats}>(magnitude + ${words}(0x38800000u)) - ${floats}(6.103515625e-5);
  let value = select(bitcast<${floats}>(magnitude + ${words}(0x38000000u)), small, magnitude < ${words}(0x800000u));
  return bitcast<${floats}>(bitcast<${words}>(value) | ((bits & ${words}(0x8000u)) << ${words}(16u)));`;

/** WGSL bodies: `four` returns the four numbers in `v`, `one` the number in the lower half of `bits`. */
const UNPACK: Record<Reading, { four: string; one: string }> = {
  float16: {
    four: 'return vec4f(unpack2x16float(v.x), unpack2x16float(v.y));',
    one: 'return unpack2x16float(bits).x;',
  },
  float16Exact: {
    four: `let bits = vec4u(v.x, v.x >> 16u, v.y, v.y >> 16u); ${exact('vec4f', 'vec4u')}`,
    one: exact('f32', 'u32'),
  },
  bfloat16: {
    four: 'return bitcast<vec4f>(vec4u(v.x << 16u, v.x & 0xffff0000u, v.y << 16u, v.y & 0xffff0000u));',
    one: 'return bitcast<f32>(bits << 16u);',
  },
};

/**
 * WGSL functions for a reading: `READING_four(v: vec2u) -> vec4f` for four neighbours, `READING_one(word: u32, index: u32) -> f32` for
 * element `index` of a tensor, given its word.
 */
export function unpackText(reading: Reading): string {
  const { four, one } = UNPACK[reading];
  return `
fn ${reading}_four(v: vec2u) -> vec4f { ${four} }
fn ${reading}_one(word: u32, index: u32) -> f32 {
  let bits = word >> (16u * (index & 1u));
  ${one}
}`;
}

const unpack = variants(
  ({ reading }: { reading: Reading }) =>
    ({
      name: programName('unpack', { reading }),
      inputs: { x: 'vec2u' },
      outputs: { y: 'vec4f' },
      uniforms: { fours: 'u32' },
      workgroup: 256,
      declare: unpackText(reading),
      body: `
  let i = group * 256u + thread;
  if (i < u.fours) { y[i] = ${reading}_four(x[i]); }`,
    }) as const satisfies KernelSource,
);

function unpacked<T extends tf.Tensor>(x: T, reading: Reading): T {
  const y = empty<T>(x.shape);
  const fours = x.size / 4;
  dispatch(unpack({ reading }), { x, y }, { fours }, Math.ceil(fours / 256));
  return y;
}

/** `packWeight` for matrices whose rows are multiples of four. */
export function packWeightPacked(bits: Uint16Array, packing: Packing, shape: number[]): tf.Tensor2D | null {
  if (shape.length !== 2 || bits.length === 0 || (shape[1] as number) % 4 !== 0) return null;
  return uploadPacked<tf.Tensor2D>(bits, packing, shape);
}

/** `asFloat32` in one dispatch. */
export function asFloat32Unpacked<T extends tf.Tensor>(x: T): T {
  const reading = readingOf(x);
  return reading === null ? x : unpacked(x, reading);
}

/** Sets how f16 is read from now on; returns the reading before. */
export function readHalvesAs(reading: 'float16' | 'float16Exact'): typeof reading {
  const before = halfReading;
  halfReading = reading;
  return before;
}

/** Tests whether this device's unpack2x16float keeps subnormal halves, and uses it from then on if it does. */
export async function chooseHalfReading(): Promise<void> {
  const bits = Uint16Array.of(1, 0x03ff, 0x8001, 0x0400);
  const expected = [2 ** -24, 1023 * 2 ** -24, -(2 ** -24), 2 ** -14];
  const x = uploadPacked(bits, 'f16', [1, 4]);
  const y = unpacked(x, 'float16');
  const found = await valuesLater(y);
  readHalvesAs(expected.every((value, i) => value === found[i]) ? 'float16' : 'float16Exact');
  x.dispose();
  y.dispose();
}
