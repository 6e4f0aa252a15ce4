// The only file that uses internals of tfjs-backend-wasm: our SIMD module in tfjs's memory, addresses of tensors, scratch, shares of work.
// Not here: arithmetic (assembly/), the ops (the other *.wasm.ts), the threads (threads.wasm.ts).

import * as tf from '@tensorflow/tfjs-core';
import relaxedUrl from './assembly/kernels.relaxed.wasm?url&inline';
import plainUrl from './assembly/kernels.wasm?url&inline';
import { CALLS_PER_THREAD, KernelThreads, type ThreadHost } from './threads.wasm';

type Address = number;

/** What the entries of assembly/asconfig.json export. Addresses in bytes, counts in elements. */
interface Exports {
  gemmScratch(): number;
  gemm(
    m: number,
    n: number,
    k: number,
    a: Address,
    rowA: number,
    columnA: number,
    b: Address,
    rowB: number,
    columnB: number,
    c: Address,
    rowC: number,
    add: boolean,
    scratch: Address,
  ): void;
  addToRows(y: Address, bias: Address, rows: number, columns: number): void;
  addUpRows(y: Address, x: Address, rows: number, columns: number): void;
  gatherRows(y: Address, x: Address, ids: Address, rows: number, columns: number, height: number): void;
  scatterAddRows(y: Address, x: Address, ids: Address, rows: number, columns: number, height: number): void;
  fillZero(x: Address, count: number): void;
  sumOfSquares(x: Address, count: number): number;
  activationForward(kind: number, gate: Address, up: Address, y: Address, count: number): void;
  activationBackward(
    kind: number,
    dy: Address,
    gate: Address,
    up: Address,
    dgate: Address,
    dup: Address,
    count: number,
  ): void;
  normForward(
    x: Address,
    weight: Address,
    bias: Address,
    y: Address,
    rstds: Address,
    means: Address,
    rows: number,
    size: number,
    epsilon: number,
    addOne: boolean,
  ): void;
  normBackward(
    dy: Address,
    x: Address,
    weight: Address,
    rstds: Address,
    means: Address,
    dx: Address,
    dweight: Address,
    dbias: Address,
    rows: number,
    size: number,
    addOne: boolean,
  ): void;
  attentionForwardScratch(keys: number, headDim: number): number;
  attentionForward(
    q: Address,
    k: Address,
    v: Address,
    keyBatch: number,
    keyHead: number,
    keyStep: number,
    out: Address,
    logSums: Address,
    time: number,
    past: number,
    heads: number,
    kvHeads: number,
    headDim: number,
    scale: number,
    window: number,
    cos: Address,
    sin: Address,
    half: number,
    turnKeys: boolean,
    first: number,
    end: number,
    scratch: Address,
  ): void;
  attentionBackwardScratch(time: number, headDim: number): number;
  attentionBackward(
    dout: Address,
    q: Address,
    k: Address,
    v: Address,
    logSums: Address,
    dq: Address,
    dk: Address,
    dv: Address,
    time: number,
    heads: number,
    kvHeads: number,
    headDim: number,
    scale: number,
    window: number,
    cos: Address,
    sin: Address,
    half: number,
    first: number,
    end: number,
    scratch: Address,
  ): void;
  appendToCache(
    to: Address,
    cached: Address,
    x: Address,
    past: number,
    time: number,
    kvHeads: number,
    headDim: number,
    cos: Address,
    sin: Address,
    half: number,
  ): void;
  crossEntropyRows(
    logits: Address,
    ids: Address,
    weights: Address,
    losses: Address,
    hits: Address,
    rows: number,
    vocab: number,
    smoothing: number,
    gradients: boolean,
  ): void;
  adamwUpdate(
    p: Address,
    g: Address,
    m: Address,
    v: Address,
    count: number,
    scale: number,
    beta1: number,
    rest1: number,
    beta2: number,
    rest2: number,
    root: number,
    epsilon: number,
    rate: number,
    keep: number,
  ): void;
}

/** Private members of tfjs-backend-wasm 4.22 that this file relies on. */
interface WasmBackend {
  wasm: {
    _malloc(bytes: number): number;
    _free(address: Address): void;
    asm?: { memory?: WebAssembly.Memory };
    tfjs: { registerTensor(id: number, size: number, offset: Address): void; disposeData(id: number): void };
  };
  dataIdMap: { get(dataId: object): { id: number; memoryOffset: Address } };
  makeOutput(shape: number[], dtype: string): tf.TensorInfo;
  refCount(dataId: object): number;
}

interface Machine {
  backend: WasmBackend;
  relaxed: boolean;
  exports: Exports;
  kernels: Map<string, number>;
  threads: KernelThreads;
  scratch: { address: Address; bytes: number };
}

let machine: Machine | null = null;

/** The import of a shared memory, as asc writes it; the byte after it holds the limits' flags. */
const SHARED_IMPORT = [...'\x03env\x06memory\x02\x03'].map((c) => c.charCodeAt(0));

/** Multiplications of the smallest share: with less, the other threads are done before one wakes up. */
const MIN_SHARE = 2 ** 17;

/** The files of tfjs: no SIMD, SIMD, and SIMD with threads of its own, which we do not use. */
const TFJS_FILES = [
  'tfjs-backend-wasm.wasm',
  'tfjs-backend-wasm-simd.wasm',
  'tfjs-backend-wasm-threaded-simd.wasm',
] as const;

/**
 * tfjs's SIMD module with a shared memory, as a file map for `setWasmPaths`. tfjs offers shared memory only together with its own threads;
 * but it is one bit of the memory's limits, and the code is the same, so the bit is set here.
 * @throws Error when the file is not there or holds no such memory; RangeError when the machine cannot reserve a shared one
 */
export async function shareableModule(
  host: ThreadHost,
  folder: string,
): Promise<Record<(typeof TFJS_FILES)[number], string>> {
  const binary = await host.read(folder + TFJS_FILES[1]);
  shareMemory(binary);
  let text = '';
  for (let i = 0; i < binary.length; i += 8192) text += String.fromCharCode(...binary.subarray(i, i + 8192));
  const url = `data:application/wasm;base64,${btoa(text)}`;
  return { [TFJS_FILES[0]]: folder + TFJS_FILES[0], [TFJS_FILES[1]]: url, [TFJS_FILES[2]]: url } as Record<
    (typeof TFJS_FILES)[number],
    string
  >;
}

/** Finds the memory section and makes the memory shared: its limits say 1 (has a maximum) or 3 (and is shared). */
function shareMemory(binary: Uint8Array): void {
  let at = 8; // behind magic number and version
  const next = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = binary[at++] ?? 0;
      value |= (byte & 127) << shift;
      if (byte < 128) return value >>> 0;
    }
  };
  while (at < binary.length) {
    const section = next();
    const end = next() + at;
    if (section === 5) {
      const count = next();
      const limits = at;
      if (count !== 1 || next() !== 1) break;
      const [initial, maximum] = [next(), next()];
      new WebAssembly.Memory({ initial, maximum, shared: true }); // throws where there is no room for one
      binary[limits] = 3;
      return;
    }
    at = end;
  }
  throw new Error('tfjs has changed: its wasm module has no memory of its own that could be shared.');
}

/**
 * Instantiates our module on the memory of the wasm backend in use, and opens threads where that memory is shared and `host` is given. Of its
 * two builds the one with relaxed SIMD is taken where this engine has that: a·b + c is then one instruction in products and exponentials.
 * @returns false when this engine has no SIMD
 * @throws Error when tfjs's memory cannot be reached, or what the host throws when a thread does not start
 */
export async function loadModule(host: ThreadHost | null): Promise<boolean> {
  machine?.threads.end();
  machine = null;
  const backend = tf.backend() as unknown as WasmBackend;
  const memory = backend.wasm.asm?.memory;
  if (!(memory instanceof WebAssembly.Memory))
    throw new Error('tfjs has changed: its wasm memory is out of reach.');
  throwWhenFull(backend.wasm);
  const shared = typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer;
  const [relaxed, plain] = [relaxedUrl, plainUrl].map((url) => binaryOf(url, shared));
  const binary = [relaxed, plain].find((bytes) => bytes && WebAssembly.validate(bytes));
  if (!binary) return false;
  const module = await WebAssembly.compile(binary);
  const { exports } = await WebAssembly.instantiate(module, { env: { memory, log: Math.log } });
  const threads =
    shared && host ? await KernelThreads.open(host, module, memory, exports) : KernelThreads.alone(exports);
  machine = {
    backend,
    relaxed: binary === relaxed,
    exports: exports as unknown as Exports,
    kernels: new Map(Object.keys(exports).map((name, i) => [name, i])),
    threads,
    scratch: { address: 0, bytes: 0 },
  };
  return true;
}

/** The bytes of a `data:` address, for a memory that is shared or is not. */
function binaryOf(url: string, shared: boolean): Uint8Array<ArrayBuffer> {
  const text = atob(url.slice(url.indexOf(',') + 1));
  const binary = Uint8Array.from(text, (c) => c.charCodeAt(0));
  if (!shared) importPlainMemory(binary);
  return binary;
}

const throwing = new WeakSet<object>();

/** When memory is used up, tfjs's malloc returns 0, and tfjs writes there without an error, over its own constants. This makes malloc throw. */
function throwWhenFull(wasm: WasmBackend['wasm']): void {
  if (throwing.has(wasm)) return;
  throwing.add(wasm);
  // Emscripten replaces these with the real functions when they are first called.
  wasm._free(wasm._malloc(4));
  const allocate = wasm._malloc.bind(wasm);
  wasm._malloc = (bytes) => {
    const address = allocate(bytes);
    if (address === 0 && bytes > 0) throw new Error(`Out of memory: no room for ${bytes} bytes.`);
    return address;
  };
}

/** How many threads compute, the calling one included. */
export function threadCount(): number {
  return machine?.threads.count ?? 1;
}

/** Whether the build with relaxed SIMD runs: where it does not, last bits differ. */
export function isRelaxed(): boolean {
  return machine?.relaxed ?? false;
}

/** Makes our module import an unshared memory: clears the bit that `shareMemory` sets. */
function importPlainMemory(binary: Uint8Array): void {
  const at = binary.findIndex((_, i) => SHARED_IMPORT.every((byte, j) => binary[i + j] === byte));
  if (at < 0) throw new Error('The kernels were not compiled for shared memory.');
  binary[at + SHARED_IMPORT.length - 1] = 1;
}

function running(): Machine {
  if (machine === null) throw new Error('The wasm kernels are not loaded.');
  return machine;
}

/** The module's exports. */
export function simd(): Exports {
  return running().exports;
}

/** One part of an op: its first row (element, head), and how many. */
export interface Share {
  start: number;
  size: number;
}

/**
 * Cuts `count` rows (elements, heads) into shares for the threads: multiples of `unit`, the last with the rest; one share when `work`, the
 * multiplications of all, is small. Up to CALLS_PER_THREAD shares a thread, but not below `fine` rows each, where a share has costs of its
 * own. The numbers computed must not depend on where the cuts are.
 */
export function shares(count: number, unit: number, work: number, fine = unit): Share[] {
  const { threads } = running();
  const units = Math.floor(count / unit);
  const wanted =
    threads.count === 1
      ? 1
      : Math.max(threads.count, Math.min(CALLS_PER_THREAD * threads.count, Math.floor(count / fine)));
  const parts = Math.max(1, Math.min(wanted, units, Math.floor(work / MIN_SHARE)));
  return Array.from({ length: parts }, (_, i) => {
    const start = unit * Math.floor((i * units) / parts);
    const end = i === parts - 1 ? count : unit * Math.floor(((i + 1) * units) / parts);
    return { start, size: end - start };
  });
}

/** Runs a kernel once a share, on the threads, with the arguments that `valuesOf` returns. Shares must write to different addresses. */
export function runShares<K extends keyof Exports>(
  name: K,
  parts: readonly Share[],
  valuesOf: (share: Share, index: number) => Parameters<Exports[K]>,
): void {
  const { kernels, threads } = running();
  const kernel = kernels.get(name) as number;
  threads.run(
    parts.map((share, i) => ({ kernel, values: valuesOf(share, i) })),
    null,
  );
}

type WithoutLast<T> = T extends [...infer Rest, unknown] ? Rest : never;

/** The same for a kernel whose last argument is the address of `bytes` of scratch, which `valuesOf` leaves out. */
export function runSharesWithScratch<K extends 'gemm' | 'attentionForward' | 'attentionBackward'>(
  name: K,
  parts: readonly Share[],
  bytes: number,
  valuesOf: (share: Share) => WithoutLast<Parameters<Exports[K]>>,
): void {
  const { kernels, threads } = running();
  const kernel = kernels.get(name) as number;
  const apart = Math.ceil(bytes / 64) * 64; // so that no two threads write one cache line
  const address = scratch(apart * (parts.length > 1 ? threads.count : 1));
  threads.run(
    parts.map((share) => ({ kernel, values: valuesOf(share) as (number | boolean)[] })),
    { address, bytes: apart },
  );
}

/** The address of a tensor's numbers; 0 for no tensor. */
export function at(tensor: tf.Tensor | null | undefined): Address {
  return tensor ? running().backend.dataIdMap.get(tensor.dataId).memoryOffset : 0;
}

/**
 * A new tensor of undefined contents. Tidied like any other.
 * @throws Error when the memory is used up
 */
export function empty<T extends tf.Tensor = tf.Tensor>(
  shape: number[],
  dtype: 'float32' | 'int32' = 'float32',
): T {
  const { backend } = running();
  return tf.engine().makeTensorFromTensorInfo(backend.makeOutput(shape, dtype)) as T;
}

/** A new tensor full of zeros. */
export function zeros<T extends tf.Tensor = tf.Tensor>(shape: number[]): T {
  const tensor = empty<T>(shape);
  simd().fillZero(at(tensor), tensor.size);
  return tensor;
}

/** The address of scratch memory, valid until the next call. */
function scratch(bytes: number): Address {
  const { backend, scratch: room } = running();
  if (room.bytes < bytes) {
    if (room.address !== 0) backend.wasm._free(room.address);
    room.bytes = 0;
    room.address = 0;
    room.address = backend.wasm._malloc(bytes) >>> 0;
    room.bytes = bytes;
  }
  return room.address;
}

/** Whether another tensor (a clone, a reshaped view) has the same memory. */
export function isShared(tensor: tf.Tensor): boolean {
  return running().backend.refCount(tensor.dataId) > 1;
}

/**
 * To be called after a tensor was written in place. XNNPACK caches weights in its own layout by tensor id, and would go on multiplying by
 * the old numbers; registering the same id again discards the cache.
 */
export function touched(tensor: tf.Tensor): void {
  const { backend } = running();
  const { id, memoryOffset } = backend.dataIdMap.get(tensor.dataId);
  backend.wasm.tfjs.disposeData(id);
  backend.wasm.tfjs.registerTensor(id, tensor.size, memoryOffset);
}
