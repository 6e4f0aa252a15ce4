// The safetensors container: strict reading from a Blob, tensor by tensor, and writing.
// Not here: what a tensor is called or means (huggingface.ts, peft.ts).

import { PlaygroundError } from '../errors';
import { plural } from '../wording';

/** The dtypes that small open models are stored in. */
export type SafetensorsDtype = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

const BYTES_PER_ELEMENT: Readonly<Record<string, number>> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** Of the JSON header. The format allows 100 MB; the largest models use a hundredth of that, and reading it takes time. */
const MAX_HEADER_BYTES = 20_000_000;

/** In one file. A model of a hundred layers has some thousand. */
export const MAX_TENSORS = 50_000;

export const tooManyTensors = (file: string, tensors: number) =>
  new PlaygroundError({
    code: 'bad_safetensors',
    message: `${file} names ${tensors.toLocaleString('en')} tensors, and ${MAX_TENSORS.toLocaleString('en')} is the limit.`,
    fix: 'Use the weights that belong to this config.json.',
    where: file,
  });

export interface SafetensorsEntry {
  name: string;
  dtype: string;
  shape: number[];
  byteLength: number;
}

/** Floating dtypes become Float32Array, integer and boolean ones Int32Array. */
export interface TensorData {
  shape: number[];
  dtype: string;
  data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
}

export interface SafetensorsFile {
  entries: SafetensorsEntry[];
  metadata: Record<string, string>;
  has(name: string): boolean;
  /** One tensor, converted; only its bytes are read. Throws `tensor_missing` or `unsupported_dtype`. */
  read(name: string): Promise<TensorData>;
  /** One tensor's bytes as stored (little-endian, row-major), in a buffer of its own. */
  readRaw(name: string): Promise<{ entry: SafetensorsEntry; bytes: Uint8Array<ArrayBuffer> }>;
}

export interface TensorToWrite {
  name: string;
  shape: readonly number[];
  data: Float32Array;
  dtype?: 'F32' | 'F16' | 'BF16';
}

/** A tensor that is written as it was stored (`readRaw`). */
export interface RawTensorToWrite {
  name: string;
  shape: readonly number[];
  dtype: string;
  bytes: Uint8Array;
}

interface Located extends SafetensorsEntry {
  begin: number;
  end: number;
}

function broken(file: string, message: string): PlaygroundError {
  return new PlaygroundError({
    code: 'bad_safetensors',
    message: `${file} is not a sound safetensors file: ${message}`,
    fix: 'Download or copy the file again; if it came from a tool, save it again with that tool.',
    where: file,
  });
}

function product(shape: readonly number[]): number {
  return shape.reduce((total, size) => total * size, 1);
}

function isWholeNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** JSON.parse keeps the last of two equal keys; the format forbids them, so the raw text is scanned at depth one. */
function firstDuplicateKey(json: string): string | null {
  const seen = new Set<string>();
  let depth = 0;
  for (let i = 0; i < json.length; i++) {
    const c = json[i];
    if (c === '{' || c === '[') depth++;
    else if (c === '}' || c === ']') depth--;
    else if (c === '"') {
      const start = i;
      for (i++; json[i] !== '"'; i++) if (json[i] === '\\') i++;
      if (depth !== 1) continue;
      let after = i + 1;
      while (/\s/.test(json[after] ?? '')) after++;
      if (json[after] !== ':') continue;
      const key = JSON.parse(json.slice(start, i + 1)) as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return null;
}

function parseHeader(
  text: string,
  dataBytes: number,
  file: string,
): { located: Located[]; metadata: Record<string, string> } {
  if (!text.startsWith('{')) throw broken(file, 'its header does not start with “{”.');
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw broken(
      file,
      `its header is not valid JSON (${cause instanceof Error ? cause.message : String(cause)}).`,
    );
  }
  const named = Object.keys(header as object).length;
  if (named > MAX_TENSORS) throw tooManyTensors(file, named);
  const duplicate = firstDuplicateKey(text);
  if (duplicate !== null) throw broken(file, `the name “${duplicate}” occurs twice in its header.`);

  const metadata: Record<string, string> = {};
  const located: Located[] = [];
  for (const [name, value] of Object.entries(header as Record<string, unknown>)) {
    if (typeof value !== 'object' || value === null)
      throw broken(file, `the header entry “${name}” is not an object.`);
    if (name === '__metadata__') {
      for (const [key, item] of Object.entries(value)) {
        if (typeof item !== 'string') throw broken(file, `its metadata “${key}” is not text.`);
        metadata[key] = item;
      }
      continue;
    }
    const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
    if (typeof dtype !== 'string') throw broken(file, `tensor “${name}” has no dtype.`);
    if (!Array.isArray(shape) || !shape.every(isWholeNumber)) {
      throw broken(file, `tensor “${name}” has a shape that is not a list of whole numbers.`);
    }
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isWholeNumber)) {
      throw broken(file, `tensor “${name}” has no two data offsets.`);
    }
    const [begin, end] = offsets as [number, number];
    if (end < begin) throw broken(file, `tensor “${name}” ends before it begins.`);
    if (end > dataBytes) {
      throw broken(
        file,
        `tensor “${name}” ends at byte ${end} of the data, but only ${dataBytes} are there. The file is cut short.`,
      );
    }
    const size = BYTES_PER_ELEMENT[dtype];
    if (size !== undefined && product(shape) * size !== end - begin) {
      throw broken(
        file,
        `tensor “${name}” is ${dtype} [${shape.join(', ')}] and needs ${plural(product(shape) * size, 'byte')}, but ${end - begin} are given.`,
      );
    }
    located.push({ name, dtype, shape, byteLength: end - begin, begin, end });
  }

  const inOrder = [...located].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = 0;
  for (const entry of inOrder) {
    if (entry.begin !== expected) {
      const what = entry.begin < expected ? 'overlaps the tensor before it' : 'leaves a gap before it';
      throw broken(file, `tensor “${entry.name}” ${what}.`);
    }
    expected = entry.end;
  }
  if (expected !== dataBytes)
    throw broken(
      file,
      `${plural(dataBytes - expected, 'byte')} after the last tensor ${dataBytes - expected === 1 ? 'belongs' : 'belong'} to nothing.`,
    );
  return { located, metadata };
}

/**
 * Opens a safetensors file. Reads the header only; tensors are sliced from the Blob when asked for.
 * Throws `bad_safetensors` with the place when the header is unsound (gaps, overlaps, sizes that do not fit, duplicate names).
 */
export async function readSafetensors(blob: Blob, file = 'The file'): Promise<SafetensorsFile> {
  if (blob.size < 8)
    throw broken(file, `it has ${plural(blob.size, 'byte')}, and even an empty one has more.`);
  const lengthBytes = await blob.slice(0, 8).arrayBuffer();
  const headerBytes = new DataView(lengthBytes).getBigUint64(0, true);
  if (headerBytes > BigInt(blob.size - 8)) {
    const head = new TextDecoder().decode(await blob.slice(0, 60).arrayBuffer());
    if (head.startsWith('version https://git-lfs')) {
      throw new PlaygroundError({
        code: 'git_lfs_pointer',
        message: `${file} is a Git LFS pointer: a note about where the weights are, not the weights.`,
        fix: 'Run “git lfs pull” in the model’s folder, or download the file from its page.',
        where: file,
      });
    }
    throw broken(file, `its header claims ${plural(Number(headerBytes), 'byte')}, more than the file has.`);
  }
  if (headerBytes > BigInt(MAX_HEADER_BYTES))
    throw broken(file, `its header claims ${headerBytes} bytes, over the limit of ${MAX_HEADER_BYTES}.`);

  const dataStart = 8 + Number(headerBytes);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await blob.slice(8, dataStart).arrayBuffer());
  } catch {
    throw broken(file, 'its header is not UTF-8 text.');
  }
  const { located, metadata } = parseHeader(text, blob.size - dataStart, file);
  const byName = new Map(located.map((entry) => [entry.name, entry]));

  const readRaw = async (name: string) => {
    const found = byName.get(name);
    if (!found) {
      throw new PlaygroundError({
        code: 'tensor_missing',
        message: `${file} has no tensor “${name}”.`,
        fix: 'Use the weights that belong to this config.json.',
        where: name,
      });
    }
    const buffer = await blob.slice(dataStart + found.begin, dataStart + found.end).arrayBuffer();
    if (buffer.byteLength !== found.byteLength) {
      throw broken(
        file,
        `tensor “${name}” could not be read whole (${buffer.byteLength} of ${found.byteLength} bytes).`,
      );
    }
    const { begin: _begin, end: _end, ...entry } = found;
    return { entry, bytes: new Uint8Array(buffer) };
  };

  return {
    entries: located.map(({ begin: _begin, end: _end, ...entry }) => entry),
    metadata,
    has: (name) => byName.has(name),
    readRaw,
    read: async (name) => {
      const { entry, bytes } = await readRaw(name);
      return { shape: entry.shape, dtype: entry.dtype, data: convert(bytes, entry, file) };
    },
  };
}

/** Slicing the Blob gave the bytes a buffer of their own, so byte offset 0 suits every element size. */
function convert(bytes: Uint8Array<ArrayBuffer>, entry: SafetensorsEntry, file: string): TensorData['data'] {
  const { buffer } = bytes;
  switch (entry.dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F16':
      return float16ToFloat32(new Uint16Array(buffer));
    case 'BF16':
      return bfloat16ToFloat32(new Uint16Array(buffer));
    case 'F64':
      return Float32Array.from(new Float64Array(buffer));
    case 'I32':
      return new Int32Array(buffer);
    case 'I16':
      return Int32Array.from(new Int16Array(buffer));
    case 'I8':
      return Int32Array.from(new Int8Array(buffer));
    case 'U8':
    case 'BOOL':
      return Int32Array.from(bytes);
    case 'I64': {
      const wide = new BigInt64Array(buffer);
      const narrow = new Int32Array(wide.length);
      for (let i = 0; i < wide.length; i++) {
        const value = Number(wide[i]);
        if (value !== (value | 0))
          throw broken(file, `tensor “${entry.name}” holds ${value}, which does not fit in 32 bits.`);
        narrow[i] = value;
      }
      return narrow;
    }
    default:
      throw new PlaygroundError({
        code: 'unsupported_dtype',
        message: `Tensor “${entry.name}” in ${file} is stored as ${entry.dtype}, which this page does not read.`,
        fix: 'Use a version of the model stored as F32, F16 or BF16 (not quantised).',
        where: entry.name,
      });
  }
}

/** IEEE 754 binary16 to binary32; exact for every value, subnormals and NaN included. */
export function float16ToFloat32(half: Uint16Array): Float32Array<ArrayBuffer> {
  const table = float16Table();
  const out = new Float32Array(half.length);
  const outBits = new Uint32Array(out.buffer);
  for (let i = 0; i < half.length; i++) outBits[i] = table[half[i] as number] as number;
  return out;
}

let float16Bits: Uint32Array | null = null;

/** All 65,536 halves as float bits: 256 kB once, and reading a model becomes one lookup a number. */
function float16Table(): Uint32Array {
  if (float16Bits) return float16Bits;
  const table = new Uint32Array(65536);
  for (let h = 0; h < 65536; h++) {
    const sign = (h & 0x8000) << 16;
    const exponent = (h >> 10) & 31;
    let fraction = h & 0x3ff;
    if (exponent === 31) table[h] = sign | 0x7f800000 | (fraction << 13);
    else if (exponent > 0) table[h] = sign | ((exponent + 112) << 23) | (fraction << 13);
    else if (fraction === 0) table[h] = sign;
    else {
      let shift = 0;
      for (; (fraction & 0x400) === 0; shift++) fraction <<= 1;
      table[h] = sign | ((113 - shift) << 23) | ((fraction & 0x3ff) << 13);
    }
  }
  float16Bits = table;
  return table;
}

/** The upper 16 bits of a float are its bfloat16; the rest is zero. */
export function bfloat16ToFloat32(brain: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(brain.length);
  const outBits = new Uint32Array(out.buffer);
  for (let i = 0; i < brain.length; i++) outBits[i] = (brain[i] as number) << 16;
  return out;
}

/** Float to binary16, round to nearest, ties to even; too large becomes infinity, NaN stays NaN. */
export function float32ToFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i] as number;
    const sign = (x >>> 16) & 0x8000;
    const magnitude = x & 0x7fffffff;
    if (magnitude > 0x7f800000) out[i] = sign | 0x7e00 | ((magnitude >> 13) & 0x3ff);
    else if (magnitude >= 0x477ff000) out[i] = sign | 0x7c00;
    else if (magnitude >= 0x38800000) {
      const rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
      out[i] = sign | ((rounded - 0x38000000) >> 13);
    } else if (magnitude >= 0x33000000) {
      // A subnormal half counts in units of 2^-24: shift the 24-bit significand there and round what falls off.
      const shift = 126 - (magnitude >> 23);
      const significand = (magnitude & 0x7fffff) | 0x800000;
      const half = 1 << (shift - 1);
      const kept = significand >> shift;
      const rest = significand & ((1 << shift) - 1);
      out[i] = sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
    } else out[i] = sign;
  }
  return out;
}

/** Float to bfloat16, round to nearest, ties to even; NaN stays NaN. */
export function float32ToBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i] as number;
    if ((x & 0x7fffffff) > 0x7f800000) out[i] = (x >>> 16) | 0x40;
    else out[i] = (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return out;
}

/** A tensor that will be written: everything but its numbers. */
export interface PlannedTensor {
  name: string;
  shape: readonly number[];
  dtype: string;
}

/** Bytes of a tensor as stored. */
export const bytesOfTensor = ({ shape, dtype }: Omit<PlannedTensor, 'name'>): number =>
  product(shape) * (BYTES_PER_ELEMENT[dtype] as number);

const cannotSave = (name: string, problem: string) =>
  new PlaygroundError({
    code: 'bad_tensor',
    message: `Tensor “${name}” ${problem}, so it cannot be saved.`,
    fix: 'This is a fault of the program that saves; report it.',
    where: name,
  });

/**
 * The start of a safetensors file and the order of its tensors: by element size (largest first), then name; header padded to 8 bytes.
 * @returns `start` is everything before the first tensor; `size` the whole file's bytes
 * @throws PlaygroundError `bad_tensor` when a name occurs twice
 */
export function layoutSafetensors<T extends PlannedTensor>(
  tensors: readonly T[],
  metadata: Record<string, string> = { format: 'pt' },
): { start: Uint8Array<ArrayBuffer>; ordered: T[]; size: number } {
  const names = new Set<string>(['__metadata__']);
  for (const { name } of tensors) {
    if (names.has(name)) throw cannotSave(name, 'has a name that is already taken');
    names.add(name);
  }
  const sizeOf = ({ dtype }: T) => BYTES_PER_ELEMENT[dtype] as number;
  const ordered = [...tensors].sort((a, b) => sizeOf(b) - sizeOf(a) || (a.name < b.name ? -1 : 1));
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let offset = 0;
  for (const tensor of ordered) {
    const end = offset + bytesOfTensor(tensor);
    header[tensor.name] = { dtype: tensor.dtype, shape: [...tensor.shape], data_offsets: [offset, end] };
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const start = new Uint8Array(8 + headerBytes);
  new DataView(start.buffer).setBigUint64(0, BigInt(headerBytes), true);
  start.set(json, 8);
  start.fill(0x20, 8 + json.length);
  return { start, ordered, size: start.length + offset };
}

/**
 * A safetensors file as bytes, laid out by `layoutSafetensors`.
 * Throws `bad_tensor` when a shape does not fit its data or a name occurs twice.
 */
export function writeSafetensors(
  tensors: readonly (TensorToWrite | RawTensorToWrite)[],
  metadata: Record<string, string> = { format: 'pt' },
): Uint8Array<ArrayBuffer> {
  const planned = tensors.map((tensor) => {
    const dtype = tensor.dtype ?? 'F32';
    const count =
      'bytes' in tensor ? tensor.bytes.length / (BYTES_PER_ELEMENT[dtype] as number) : tensor.data.length;
    if (product(tensor.shape) !== count)
      throw cannotSave(tensor.name, `has shape [${tensor.shape.join(', ')}] but ${count} numbers`);
    return { name: tensor.name, shape: tensor.shape, dtype, tensor };
  });
  const { start, ordered, size } = layoutSafetensors(planned, metadata);
  const bytes = new Uint8Array(size);
  bytes.set(start);
  let at = start.length;
  for (const { tensor } of ordered) {
    const stored = 'bytes' in tensor ? tensor.bytes : storedFloats(tensor.data, tensor.dtype);
    bytes.set(stored, at);
    at += stored.length;
  }
  return bytes;
}

/** Floats as the bytes of this dtype; of F32 the same memory. */
export function storedFloats(
  data: Float32Array,
  dtype: TensorToWrite['dtype'] = 'F32',
): Uint8Array<ArrayBuffer> {
  const stored = dtype === 'F16' ? float32ToFloat16(data) : dtype === 'BF16' ? float32ToBfloat16(data) : data;
  return new Uint8Array(stored.buffer as ArrayBuffer, stored.byteOffset, stored.byteLength);
}
