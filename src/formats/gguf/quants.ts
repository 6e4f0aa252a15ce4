// Number formats of GGML: blocks of quantised numbers to floats, and floats to F16, BF16 and Q8_0.
// Not here: the container (container.ts).
//
// Layouts are those of ggml-common.h (block_q4_0 … block_q6_K) and ggml-quants.c of llama.cpp, described in their comments:
//   Q8_0  32 numbers: scale d (f16), 32 × int8                      x = d·q
//   Q4_0  32 numbers: d (f16), 16 bytes: low nibbles first          x = d·(q − 8)
//   Q4_1  32 numbers: d, m (f16), 16 bytes                          x = d·q + m
//   Q4_K  256 numbers: d, dmin (f16), 12 bytes with 8 scales and 8 minima of 6 bits, 128 bytes     x = d·s·q − dmin·m
//   Q6_K  256 numbers: 128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 × int8 scales, d (f16)  x = d·s·(q − 32)

import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from '../safetensors';

export type GgmlType = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0' | 'Q4_1' | 'Q4_K' | 'Q6_K';

/** Number in the file, numbers of a block, and its bytes. */
export const GGML_TYPES: Readonly<Record<GgmlType, { number: number; block: number; bytes: number }>> = {
  F32: { number: 0, block: 1, bytes: 4 },
  F16: { number: 1, block: 1, bytes: 2 },
  Q4_0: { number: 2, block: 32, bytes: 18 },
  Q4_1: { number: 3, block: 32, bytes: 20 },
  Q8_0: { number: 8, block: 32, bytes: 34 },
  Q4_K: { number: 12, block: 256, bytes: 144 },
  Q6_K: { number: 14, block: 256, bytes: 210 },
  BF16: { number: 30, block: 1, bytes: 2 },
};

/** Bytes of a row of so many numbers; null where they are no whole blocks. */
export function bytesOfRow(type: GgmlType, numbers: number): number | null {
  const { block, bytes } = GGML_TYPES[type];
  return numbers % block === 0 ? (numbers / block) * bytes : null;
}

const halves = new Uint16Array(1);
/** The f16 at a byte. */
function halfAt(bytes: Uint8Array, at: number): number {
  halves[0] = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  return float16ToFloat32(halves)[0] as number;
}

/** Writes the numbers of the block at `at` to `out` from `to` on. */
type Unpack = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

const signed = (byte: number) => (byte << 24) >> 24;

const UNPACK: Partial<Record<GgmlType, Unpack>> = {
  Q8_0: (bytes, at, out, to) => {
    const d = halfAt(bytes, at);
    for (let i = 0; i < 32; i++) out[to + i] = d * signed(bytes[at + 2 + i] as number);
  },
  Q4_0: (bytes, at, out, to) => {
    const d = halfAt(bytes, at);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 2 + i] as number;
      out[to + i] = d * ((q & 15) - 8);
      out[to + 16 + i] = d * ((q >> 4) - 8);
    }
  },
  Q4_1: (bytes, at, out, to) => {
    const d = halfAt(bytes, at);
    const m = halfAt(bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 4 + i] as number;
      out[to + i] = d * (q & 15) + m;
      out[to + 16 + i] = d * (q >> 4) + m;
    }
  },
  Q4_K: (bytes, at, out, to) => {
    const d = halfAt(bytes, at);
    const dmin = halfAt(bytes, at + 2);
    const packed = (i: number) => bytes[at + 4 + i] as number;
    // Eight scales and eight minima of 6 bits: the first four of each whole, the upper bits of the others in the top bits of those.
    const scale = (j: number) =>
      j < 4 ? packed(j) & 63 : (packed(j + 4) & 15) | ((packed(j - 4) >> 6) << 4);
    const minimum = (j: number) =>
      j < 4 ? packed(j + 4) & 63 : (packed(j + 4) >> 4) | ((packed(j) >> 6) << 4);
    for (let part = 0; part < 8; part++) {
      const step = d * scale(part);
      const least = dmin * minimum(part);
      const from = at + 16 + (part >> 1) * 32;
      for (let i = 0; i < 32; i++) {
        const byte = bytes[from + i] as number;
        out[to + part * 32 + i] = step * (part & 1 ? byte >> 4 : byte & 15) - least;
      }
    }
  },
  Q6_K: (bytes, at, out, to) => {
    const d = halfAt(bytes, at + 208);
    for (let half = 0; half < 2; half++) {
      const low = at + half * 64;
      const high = at + 128 + half * 32;
      const scales = at + 192 + half * 8;
      for (let quarter = 0; quarter < 4; quarter++) {
        for (let i = 0; i < 32; i++) {
          const byte = bytes[low + (quarter & 1) * 32 + i] as number;
          const four = quarter < 2 ? byte & 15 : byte >> 4;
          const two = ((bytes[high + i] as number) >> (2 * quarter)) & 3;
          const s = signed(bytes[scales + quarter * 2 + (i >> 4)] as number);
          out[to + half * 128 + quarter * 32 + i] = d * s * ((four | (two << 4)) - 32);
        }
      }
    }
  },
};

/** Stored numbers as floats. @param bytes a buffer of their own, whole blocks */
export function dequantize(type: GgmlType, bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const { buffer } = bytes;
  if (type === 'F32') return new Float32Array(buffer);
  if (type === 'F16') return float16ToFloat32(new Uint16Array(buffer));
  if (type === 'BF16') return bfloat16ToFloat32(new Uint16Array(buffer));
  const { block, bytes: size } = GGML_TYPES[type];
  const unpack = UNPACK[type] as Unpack;
  const blocks = bytes.length / size;
  const out = new Float32Array(blocks * block);
  for (let i = 0; i < blocks; i++) unpack(bytes, i * size, out, i * block);
  return out;
}

/** Types that are written. */
export type WrittenType = Extract<GgmlType, 'F32' | 'F16' | 'BF16' | 'Q8_0'>;

/** Q8_0: d = largest / 127 as f16, q = x / d rounded. @param data whole blocks of 32 */
function toQ8_0(data: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks = data.length / 32;
  const bytes = new Uint8Array(blocks * 34);
  for (let b = 0; b < blocks; b++) {
    const from = b * 32;
    let largest = 0;
    for (let i = 0; i < 32; i++) largest = Math.max(largest, Math.abs(data[from + i] as number));
    const step = largest / 127;
    const [half] = float32ToFloat16(Float32Array.of(step));
    const at = b * 34;
    bytes[at] = (half as number) & 255;
    bytes[at + 1] = (half as number) >> 8;
    for (let i = 0; i < 32; i++)
      bytes[at + 2 + i] = step === 0 ? 0 : Math.round((data[from + i] as number) / step);
  }
  return bytes;
}

/** Floats as bytes of this type. */
export function quantize(type: WrittenType, data: Float32Array): Uint8Array<ArrayBuffer> {
  if (type === 'Q8_0') return toQ8_0(data);
  const stored = type === 'F16' ? float32ToFloat16(data) : type === 'BF16' ? float32ToBfloat16(data) : data;
  return new Uint8Array(stored.buffer as ArrayBuffer, stored.byteOffset, stored.byteLength);
}
