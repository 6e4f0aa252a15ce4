// The bridge to the wasm backend: our SIMD module inside tfjs's own memory, where tensors lie, new ones, scratch, in-place writes.
// Not here: arithmetic (assembly/), the ops (the other *.wasm.ts).

import * as tf from '@tensorflow/tfjs-core';
import binaryUrl from './assembly/kernels.wasm?url&inline';

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
    batch: number,
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
    batch: number,
    time: number,
    heads: number,
    kvHeads: number,
    headDim: number,
    scale: number,
    window: number,
    cos: Address,
    sin: Address,
    half: number,
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

/** The part of tfjs-backend-wasm 4.22's inside that this file stands on. */
interface WasmBackend {
  wasm: {
    _malloc(bytes: number): number;
    _free(address: Address): void;
    /** The plain build exports its memory… */
    asm?: { memory?: WebAssembly.Memory };
    /** …the threaded one imports a shared memory and keeps it here. */
    wasmMemory?: WebAssembly.Memory;
    tfjs: { registerTensor(id: number, size: number, offset: Address): void; disposeData(id: number): void };
  };
  dataIdMap: { get(dataId: object): { id: number; memoryOffset: Address } };
  makeOutput(shape: number[], dtype: string): tf.TensorInfo;
  refCount(dataId: object): number;
}

interface Machine {
  backend: WasmBackend;
  exports: Exports;
  scratch: { address: Address; bytes: number };
}

let machine: Machine | null = null;

/** asc compiles for shared memory; this is where it says so. */
const SHARED_IMPORT = [...'\x03env\x06memory\x02\x03'].map((c) => c.charCodeAt(0));

/**
 * Puts the module into the memory of the wasm backend that is in use. False when this engine knows no SIMD.
 * @throws Error when tfjs no longer shows its memory
 */
export async function loadModule(): Promise<boolean> {
  machine = null;
  const backend = tf.backend() as unknown as WasmBackend;
  const memory = backend.wasm.wasmMemory ?? backend.wasm.asm?.memory;
  if (!(memory instanceof WebAssembly.Memory))
    throw new Error('tfjs has changed: its wasm memory is out of reach.');
  const text = atob(binaryUrl.slice(binaryUrl.indexOf(',') + 1));
  const binary = Uint8Array.from(text, (c) => c.charCodeAt(0));
  const shared = typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer;
  if (!shared) importPlainMemory(binary);
  if (!WebAssembly.validate(binary)) return false;
  const { instance } = await WebAssembly.instantiate(binary, { env: { memory, log: Math.log } });
  machine = { backend, exports: instance.exports as unknown as Exports, scratch: { address: 0, bytes: 0 } };
  return true;
}

/** Shared or not is one bit of the import's limits (1 = has a maximum, 2 = shared); the code is the same. */
function importPlainMemory(binary: Uint8Array): void {
  const at = binary.findIndex((_, i) => SHARED_IMPORT.every((byte, j) => binary[i + j] === byte));
  if (at < 0) throw new Error('The kernels were not compiled for shared memory.');
  binary[at + SHARED_IMPORT.length - 1] = 1;
}

function running(): Machine {
  if (machine === null) throw new Error('The wasm kernels are not loaded.');
  return machine;
}

/** The kernels themselves. */
export function simd(): Exports {
  return running().exports;
}

/** Where a tensor's numbers lie; 0 for none. */
export function at(tensor: tf.Tensor | null | undefined): Address {
  return tensor ? running().backend.dataIdMap.get(tensor.dataId).memoryOffset : 0;
}

/**
 * A new tensor of undefined contents. Tidied like any other.
 * @throws Error when the memory is used up: tfjs would hand out the address 0
 */
export function empty<T extends tf.Tensor = tf.Tensor>(
  shape: number[],
  dtype: 'float32' | 'int32' = 'float32',
): T {
  const { backend } = running();
  const info = backend.makeOutput(shape, dtype);
  if (backend.dataIdMap.get(info.dataId).memoryOffset === 0) {
    throw new Error(`Out of memory: no room for a tensor of the shape [${shape.join(', ')}].`);
  }
  return tf.engine().makeTensorFromTensorInfo(info) as T;
}

/** A new tensor full of zeros. */
export function zeros<T extends tf.Tensor = tf.Tensor>(shape: number[]): T {
  const tensor = empty<T>(shape);
  simd().fillZero(at(tensor), tensor.size);
  return tensor;
}

/** Room to work in, valid until the next call. */
export function scratch(bytes: number): Address {
  const { backend, scratch: room } = running();
  if (room.bytes < bytes) {
    if (room.address !== 0) backend.wasm._free(room.address);
    room.bytes = 0;
    room.address = backend.wasm._malloc(bytes) >>> 0;
    if (room.address === 0) throw new Error(`Out of memory: no room for ${bytes} bytes to work in.`);
    room.bytes = bytes;
  }
  return room.address;
}

/** Whether another tensor (a clone, a reshaped view) shows the same numbers. */
export function isShared(tensor: tf.Tensor): boolean {
  return running().backend.refCount(tensor.dataId) > 1;
}

/**
 * Says that a tensor was written in place. XNNPACK keeps weights in its own order by tensor id, and would go on multiplying by the old
 * numbers; registering the same id anew makes it forget them.
 */
export function touched(tensor: tf.Tensor): void {
  const { backend } = running();
  const { id, memoryOffset } = backend.dataIdMap.get(tensor.dataId);
  backend.wasm.tfjs.disposeData(id);
  backend.wasm.tfjs.registerTensor(id, tensor.size, memoryOffset);
}
