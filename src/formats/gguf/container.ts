// The GGUF container, version 3: metadata and the list of tensors, read from a Blob and written; a tensor's bytes are read when asked for.
// Not here: number formats (quants.ts), what metadata and tensor names mean (names.ts, ggufTokenizer.ts, ggufModel.ts).

import { PlaygroundError } from '../../errors';
import { bytesOfRow, GGML_TYPES, type GgmlType } from './quants';

/** Values of one kind; a number's kind is needed to write it, as readers ask for exactly that kind. */
export type MetadataValue =
  | { type: 'uint32' | 'int32' | 'float32'; value: number }
  | { type: 'bool'; value: boolean }
  | { type: 'string'; value: string }
  | { type: 'strings'; value: readonly string[] }
  | { type: 'int32s' | 'float32s'; value: readonly number[] };

export type Metadata = ReadonlyMap<string, MetadataValue>;

export interface GgufEntry {
  name: string;
  /** As in PyTorch: the last dimension is the innermost. */
  shape: number[];
  type: GgmlType;
  byteLength: number;
}

export interface GgufFile {
  metadata: ReadonlyMap<string, unknown>;
  entries: GgufEntry[];
  /** A tensor's bytes as stored. */
  readRaw(name: string): Promise<Uint8Array<ArrayBuffer>>;
}

const MAGIC = 0x46554747; // “GGUF”, little-endian
const VERSION = 3;
const DEFAULT_ALIGNMENT = 32;
/** Of metadata and tensor list. A vocabulary of 262,144 tokens with merges takes 20 MB. */
const MAX_HEADER_BYTES = 200_000_000;
const MAX_ENTRIES = 100_000;

export const badGguf = (file: string, message: string) =>
  new PlaygroundError({
    code: 'bad_gguf',
    message: `${file} is not a sound GGUF file: ${message}`,
    fix: 'Download or copy the file again; if a tool made it, make it again with a newer version.',
    where: file,
  });

class OutOfBytes extends Error {}

/** Reads values one after the other. */
class Reader {
  at = 0;
  readonly #view: DataView;
  readonly #text = new TextDecoder();

  constructor(private readonly bytes: Uint8Array<ArrayBuffer>) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #take(size: number): number {
    const from = this.at;
    if (from + size > this.bytes.byteLength) throw new OutOfBytes();
    this.at += size;
    return from;
  }
  uint32 = () => this.#view.getUint32(this.#take(4), true);
  uint64 = () => Number(this.#view.getBigUint64(this.#take(8), true));
  string(): string {
    const length = this.uint64();
    const from = this.#take(length);
    return this.#text.decode(this.bytes.subarray(from, from + length));
  }

  /** A value of a type number of the format. */
  value(type: number): unknown {
    const view = this.#view;
    const take = (size: number) => this.#take(size);
    switch (type) {
      case 0:
        return view.getUint8(take(1));
      case 1:
        return view.getInt8(take(1));
      case 2:
        return view.getUint16(take(2), true);
      case 3:
        return view.getInt16(take(2), true);
      case 4:
        return this.uint32();
      case 5:
        return view.getInt32(take(4), true);
      case 6:
        return view.getFloat32(take(4), true);
      case 7:
        return view.getUint8(take(1)) !== 0;
      case 8:
        return this.string();
      case 9: {
        const inner = this.uint32();
        const count = this.uint64();
        if (count > this.bytes.byteLength) throw new OutOfBytes();
        return Array.from({ length: count }, () => this.value(inner));
      }
      case 10:
        return this.uint64();
      case 11:
        return Number(view.getBigInt64(take(8), true));
      case 12:
        return view.getFloat64(take(8), true);
      default:
        throw new Error(`it holds a value of type ${type}, which is none of the format.`);
    }
  }
}

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const aligned = (at: number, alignment: number) => Math.ceil(at / alignment) * alignment;

interface Header {
  metadata: Map<string, unknown>;
  located: (GgufEntry & { offset: number })[];
  end: number;
}

function readHeader(bytes: Uint8Array<ArrayBuffer>): Header {
  const reader = new Reader(bytes);
  if (reader.uint32() !== MAGIC) throw new Error('it does not start with “GGUF”.');
  const version = reader.uint32();
  if (version !== 2 && version !== VERSION)
    throw new Error(`it has version ${version}, and versions 2 and 3 are read here.`);
  const tensors = reader.uint64();
  const values = reader.uint64();
  if (tensors > MAX_ENTRIES || values > MAX_ENTRIES)
    throw new Error(`it claims ${tensors} tensors and ${values} values.`);
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < values; i++) {
    const key = reader.string();
    if (metadata.has(key)) throw new Error(`the key “${key}” occurs twice.`);
    metadata.set(key, reader.value(reader.uint32()));
  }
  const located: Header['located'] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensors; i++) {
    const name = reader.string();
    if (names.has(name)) throw new Error(`the tensor “${name}” occurs twice.`);
    names.add(name);
    const dimensions = reader.uint32();
    if (dimensions > 4) throw new Error(`the tensor “${name}” has ${dimensions} dimensions.`);
    const shape = Array.from({ length: dimensions }, () => reader.uint64()).reverse();
    const number = reader.uint32();
    const offset = reader.uint64();
    const type = (Object.keys(GGML_TYPES) as GgmlType[]).find((one) => GGML_TYPES[one].number === number);
    if (type === undefined) {
      throw new PlaygroundError({
        code: 'unsupported_dtype',
        message: `The tensor “${name}” has GGML type ${number}, and ${Object.keys(GGML_TYPES).join(', ')} are read here.`,
        fix: 'Use a file of the same model in one of these types, such as Q8_0.',
        where: name,
      });
    }
    const row = bytesOfRow(type, shape.at(-1) ?? 1);
    if (row === null)
      throw new Error(
        `the rows of “${name}” have ${shape.at(-1)} numbers, which are no whole blocks of ${type}.`,
      );
    located.push({ name, shape, type, offset, byteLength: row * product(shape.slice(0, -1)) });
  }
  return { metadata, located, end: reader.at };
}

/**
 * Opens a GGUF file: metadata and the list of tensors are read; tensors are sliced from the Blob when asked for.
 * @throws PlaygroundError `bad_gguf` with what is wrong, `unsupported_dtype` with the tensor
 */
export async function readGguf(blob: Blob, file = 'The file'): Promise<GgufFile> {
  let header: Header | null = null;
  // How long the header is stands nowhere: more is read until it fits.
  for (let size = Math.min(blob.size, 1 << 20); header === null; size = Math.min(blob.size, size * 8)) {
    try {
      header = readHeader(new Uint8Array(await blob.slice(0, size).arrayBuffer()));
    } catch (thrown) {
      if (thrown instanceof PlaygroundError) throw thrown;
      if (!(thrown instanceof OutOfBytes)) throw badGguf(file, (thrown as Error).message);
      if (size === blob.size) throw badGguf(file, 'it ends in the middle of its header.');
      if (size > MAX_HEADER_BYTES) throw badGguf(file, `its header has over ${MAX_HEADER_BYTES} bytes.`);
    }
  }
  const { metadata, located, end } = header;
  const stated = metadata.get('general.alignment');
  const alignment = typeof stated === 'number' && stated > 0 ? stated : DEFAULT_ALIGNMENT;
  const start = aligned(end, alignment);
  for (const { name, offset, byteLength } of located) {
    if (start + offset + byteLength > blob.size)
      throw badGguf(
        file,
        `the tensor “${name}” ends at byte ${start + offset + byteLength}, and the file has ${blob.size}. It is cut short.`,
      );
  }
  const byName = new Map(located.map((entry) => [entry.name, entry]));
  return {
    metadata,
    entries: located.map(({ offset: _, ...entry }) => entry),
    readRaw: async (name) => {
      const found = byName.get(name);
      if (!found) throw badGguf(file, `it has no tensor “${name}”.`);
      const from = start + found.offset;
      return new Uint8Array(await blob.slice(from, from + found.byteLength).arrayBuffer());
    },
  };
}

const VALUE_TYPES = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;

/** Grows as values are added. */
class Writer {
  #bytes = new Uint8Array(1 << 16);
  #length = 0;
  readonly #text = new TextEncoder();

  #room(size: number): DataView {
    if (this.#length + size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + size));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    const view = new DataView(this.#bytes.buffer, this.#length, size);
    this.#length += size;
    return view;
  }
  uint32 = (value: number) => this.#room(4).setUint32(0, value, true);
  int32 = (value: number) => this.#room(4).setInt32(0, value, true);
  float32 = (value: number) => this.#room(4).setFloat32(0, value, true);
  bool = (value: boolean) => this.#room(1).setUint8(0, value ? 1 : 0);
  uint64 = (value: number) => this.#room(8).setBigUint64(0, BigInt(value), true);
  string(value: string): void {
    const bytes = this.#text.encode(value);
    this.uint64(bytes.length);
    const room = this.#room(bytes.length);
    new Uint8Array(room.buffer, room.byteOffset, bytes.length).set(bytes);
  }
  pad(alignment: number): void {
    this.#room(aligned(this.#length, alignment) - this.#length);
  }
  done = () => this.#bytes.slice(0, this.#length);

  value(entry: MetadataValue): void {
    const list = <T>(type: number, values: readonly T[], write: (value: T) => void) => {
      this.uint32(VALUE_TYPES.array);
      this.uint32(type);
      this.uint64(values.length);
      for (const value of values) write(value);
    };
    if (entry.type === 'strings') list(VALUE_TYPES.string, entry.value, (text) => this.string(text));
    else if (entry.type === 'int32s') list(VALUE_TYPES.int32, entry.value, this.int32);
    else if (entry.type === 'float32s') list(VALUE_TYPES.float32, entry.value, this.float32);
    else {
      this.uint32(VALUE_TYPES[entry.type]);
      if (entry.type === 'string') this.string(entry.value);
      else if (entry.type === 'bool') this.bool(entry.value);
      else this[entry.type as 'uint32' | 'int32' | 'float32'](entry.value as number);
    }
  }
}

export interface TensorPlan {
  name: string;
  /** As in PyTorch. */
  shape: readonly number[];
  type: GgmlType;
}

/**
 * The start of a GGUF file up to its first tensor, and where each tensor lies behind it, in the given order.
 * @returns `paddedBytes` of each tensor: its own and zeros up to the alignment; `size` of the whole file
 */
export function layoutGguf(
  metadata: Metadata,
  tensors: readonly TensorPlan[],
): { start: Uint8Array<ArrayBuffer>; paddedBytes: number[]; size: number } {
  const writer = new Writer();
  writer.uint32(MAGIC);
  writer.uint32(VERSION);
  writer.uint64(tensors.length);
  writer.uint64(metadata.size);
  for (const [key, value] of metadata) {
    writer.string(key);
    writer.value(value);
  }
  let offset = 0;
  const paddedBytes: number[] = [];
  for (const { name, shape, type } of tensors) {
    writer.string(name);
    writer.uint32(shape.length);
    for (const size of [...shape].reverse()) writer.uint64(size);
    writer.uint32(GGML_TYPES[type].number);
    writer.uint64(offset);
    const row = bytesOfRow(type, shape.at(-1) ?? 1);
    if (row === null) throw badGguf(name, `its rows are no whole blocks of ${type}.`);
    const padded = aligned(row * product(shape.slice(0, -1)), DEFAULT_ALIGNMENT);
    paddedBytes.push(padded);
    offset += padded;
  }
  writer.pad(DEFAULT_ALIGNMENT);
  const start = writer.done();
  return { start, paddedBytes, size: start.length + offset };
}
