// The only file that uses internals of tfjs-backend-webgpu: records our WGSL programs in the backend's compute pass, on its tensors.
// Not here: any arithmetic (the *.wgsl.ts files), the capture of a whole step (stepGraph.ts), counting for benchmarks (workCount.ts).

import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import { markPacked, type Packing, packingOf } from '../packing/packing';
import { compile, compileSoon, isCompiled } from './compile';
import { GROUP_COUNT, type Kernel, type KernelSource, type Scalar } from './kernel';

/** What the bridge needs to know of a tensor: tf.Tensor and the backend's own TensorInfo both have it. */
export type TensorLike = Pick<tf.TensorInfo, 'dataId' | 'shape' | 'dtype'>;

type Names<T> = T extends Readonly<Record<infer K, unknown>> ? Extract<K, string> : never;
export type Tensors<S extends KernelSource> = Record<Names<S['inputs']> | Names<S['outputs']>, TensorLike>;
export type Numbers<S extends KernelSource> = Record<Names<S['uniforms']> | Names<S['live']>, number>;

/** A plain number is folded over two dimensions when it is more than one holds. */
export type Groups = number | readonly [number, number, number];

/** Private members of the backend that this folder relies on (4.22.0, pinned). */
export interface BackendInternals {
  device: GPUDevice;
  queue: GPUQueue;
  bufferManager: BufferPool;
  tensorMap: { get(dataId: object): TensorData; has(dataId: object): boolean };
  commandEncoder: GPUCommandEncoder | null;
  computePassEncoder: GPUComputePassEncoder | null;
  commandQueueOwnedIds: WeakSet<object>;
  dispatchCountInPass: number;
  uniformPendingDisposal: GPUBuffer[];
  stagingPendingDisposal: GPUBuffer[];
  uploadToGPU(dataId: object): void;
  disposeData(dataId: object): boolean;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  makeTensorInfo(shape: number[], dtype: tf.DataType): tf.TensorInfo;
}

interface TensorData {
  values: unknown;
  resource?: unknown;
  /** The buffer does not belong to the backend, which then never frees it. */
  external?: boolean;
}

export interface BufferPool {
  freeBuffers: Map<string, GPUBuffer[]>;
  usedBuffers: Map<string, GPUBuffer[]>;
  numFreeBuffers: number;
  numBytesUsed: number;
  numBytesAllocated: number;
  acquireBuffer(size: number, usage: number, mappedAtCreation?: boolean, reuse?: boolean): GPUBuffer;
  releaseBuffer(buffer: GPUBuffer, reuse?: boolean): void;
}

/** Set while a step is captured (stepGraph.ts): provides the buffers whose values change between replays. */
export interface Recorder {
  liveBuffer(fields: readonly [string, Scalar][], values: ArrayBuffer): GPUBuffer;
  /** The buffer of an `upload` of this name: written before each replay. */
  input(name: string, byteLength: number): GPUBuffer;
  /** Called for each tensor that a dispatch writes. */
  wrote(tensor: TensorLike): void;
}

/** What is kept for one device; collected with it. */
interface DeviceState {
  uniforms: Map<string, GPUBuffer>;
  /** Free buffers for reading back, by size. */
  staging: Map<number, GPUBuffer[]>;
}

/** The part of its buffer that a view covers, in bytes. */
interface Range {
  offset: number;
  size: number;
}

const states = new WeakMap<GPUDevice, DeviceState>();
const views = new WeakMap<object, Range>();
/** Set by `compileAhead`: dispatches are not recorded, only their programs collected here, by name. */
let collecting: Map<string, Kernel> | null = null;
let recorder: Recorder | null = null;

/** With more different uniform values than this (a length that grows token by token, say) further buffers come from the backend's pool. */
const UNIFORM_CACHE_ENTRIES = 4096;

/** The running WebGPU backend, its private fields in view. @throws Error when another backend runs */
export function webgpuBackend(): BackendInternals {
  if (tf.getBackend() !== 'webgpu') {
    throw new Error(`A fused kernel was called on the ${tf.getBackend()} backend; it runs on webgpu only.`);
  }
  return tf.backend() as unknown as WebGPUBackend & BackendInternals;
}

/**
 * Records one dispatch in the backend's own pass, in order with tfjs ops, and discards CPU copies of the outputs.
 * Outputs are tensors from `empty`, or any tensor that is to be updated in place.
 * @throws Error when a tensor is both read and written, or the grid is larger than WebGPU allows
 */
export function dispatch<S extends KernelSource>(
  program: Kernel<S>,
  tensors: Tensors<S>,
  numbers: Numbers<S>,
  groups: Groups,
): void {
  const backend = webgpuBackend();
  const { source } = program;
  const { device } = backend;
  if (collecting) {
    if (!isCompiled(device, program)) collecting.set(source.name, program);
    return;
  }
  const compiled = compile(device, program);
  const grid = foldGroups(groups, device.limits.maxComputeWorkgroupsPerDimension, source.name);
  const entries: GPUBindGroupEntry[] = [];
  const byName = tensors as Record<string, TensorLike>;
  const written = new Set<GPUBuffer>();
  const bufferOf = (tensor: TensorLike) => {
    if (packingOf(tensor) === null) backend.uploadToGPU(tensor.dataId);
    return backend.tensorMap.get(tensor.dataId).resource as GPUBuffer;
  };
  for (const name in source.outputs) written.add(bufferOf(byName[name]!));
  const bind = (tensor: TensorLike) => {
    const buffer = bufferOf(tensor);
    backend.commandQueueOwnedIds.add(tensor.dataId);
    entries.push({ binding: entries.length, resource: { buffer, ...views.get(tensor.dataId) } });
  };
  for (const name in source.inputs) {
    const tensor = byName[name]!;
    assertReadable(source, name, tensor);
    if (written.has(bufferOf(tensor))) {
      throw new Error(`${source.name}: "${name}" is read and written in one dispatch; WebGPU would drop it.`);
    }
    bind(tensor);
  }
  for (const name in source.outputs) {
    assertReadable(source, name, byName[name]!);
    bind(byName[name]!);
    touch(byName[name]!);
    recorder?.wrote(byName[name]!);
  }
  const values = {
    ...(numbers as Record<string, number>),
    [GROUP_COUNT]: typeof groups === 'number' ? groups : 0,
  };
  const fixed: [string, Scalar][] = [[GROUP_COUNT, 'u32'], ...Object.entries(source.uniforms ?? {})];
  const uniform = uniformBuffer(backend, pack(fixed, values));
  entries.push({ binding: entries.length, resource: { buffer: uniform } });
  if (source.live !== undefined) {
    const fields = Object.entries(source.live);
    const packed = pack(fields, values);
    const buffer = recorder ? recorder.liveBuffer(fields, packed) : pooledUniform(backend, packed);
    entries.push({ binding: entries.length, resource: { buffer } });
  }
  const bindGroup = device.createBindGroup({ layout: compiled.layout, entries });

  backend.ensureCommandEncoderReady();
  backend.computePassEncoder ??= backend.commandEncoder!.beginComputePass();
  backend.computePassEncoder.setPipeline(compiled.pipeline);
  backend.computePassEncoder.setBindGroup(0, bindGroup);
  backend.computePassEncoder.dispatchWorkgroups(...grid);
  backend.dispatchCountInPass++;
  if (backend.dispatchCountInPass >= tf.env().getNumber('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE')) flush(backend);
}

/** A new tensor of undefined contents, for a dispatch to write. Tidied like any other. */
export function empty<T extends tf.Tensor = tf.Tensor>(
  shape: number[],
  dtype: 'float32' | 'int32' = 'float32',
): T {
  return tf.engine().makeTensorFromTensorInfo(webgpuBackend().makeTensorInfo(shape, dtype)) as T;
}

/**
 * A new tensor with these values, written through the queue: no staging buffer, and the compute pass is not split, both of which
 * tf.tensor costs. `name` lets a captured step be replayed with other values of the same length.
 */
export function upload<T extends tf.Tensor = tf.Tensor>(
  name: string,
  values: Float32Array | Int32Array,
  shape: number[],
): T {
  const backend = webgpuBackend();
  const tensor = empty<T>(shape, values instanceof Float32Array ? 'float32' : 'int32');
  if (values.length !== tensor.size) {
    throw new Error(`${name}: ${values.length} values for the shape [${shape.join(', ')}].`);
  }
  if (collecting) return tensor;
  const data = backend.tensorMap.get(tensor.dataId);
  const before = backend.bufferManager.numBytesAllocated;
  if (recorder) data.resource = recorder.input(name, values.byteLength);
  else backend.uploadToGPU(tensor.dataId);
  // A reused buffer may be read by commands not yet submitted; the write would take effect before them.
  if (backend.bufferManager.numBytesAllocated === before) flush(backend);
  backend.queue.writeBuffer(data.resource as GPUBuffer, 0, values as BufferSource);
  return tensor;
}

/**
 * A new tensor of this shape whose numbers stay in 16 bits, two to a word, in row-major order. Only kernels that bind it as `u32` or `vec2u`
 * can read it: everything else throws. `tf.memory` counts the bytes that it takes.
 * @throws Error when the bits do not fill the shape with whole words
 */
export function uploadPacked<T extends tf.Tensor = tf.Tensor>(
  bits: Uint16Array,
  packing: Packing,
  shape: number[],
): T {
  const backend = webgpuBackend();
  guardPacked(Object.getPrototypeOf(backend) as BackendInternals);
  const info = backend.makeTensorInfo(shape, 'float32');
  const size = tf.util.sizeFromShape(shape);
  if (bits.length !== size || size % 2 !== 0) {
    throw new Error(`${bits.length} packed numbers for the shape [${shape.join(', ')}].`);
  }
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const before = backend.bufferManager.numBytesAllocated;
  const buffer = backend.bufferManager.acquireBuffer(bits.byteLength, usage);
  backend.tensorMap.get(info.dataId).resource = buffer;
  // As in `upload`: a buffer from the pool may still be read.
  if (backend.bufferManager.numBytesAllocated === before) flush(backend);
  backend.queue.writeBuffer(buffer, 0, bits as BufferSource);
  markPacked(info.dataId, packing);
  const tensor = tf.engine().makeTensorFromTensorInfo(info) as T;
  // tfjs counts every float32 tensor with four bytes an element, when it is made and when it is disposed.
  const { state } = tf.engine();
  state.numBytes -= bits.byteLength;
  const dispose = tensor.dispose.bind(tensor);
  tensor.dispose = () => {
    if (!tensor.isDisposed) state.numBytes += bits.byteLength;
    dispose();
  };
  return tensor;
}

/**
 * A tensor over part of a buffer that the caller owns. For our own kernels only, which bind it with its offset: tfjs ops would read the
 * buffer from its start. Not tidied; disposing it frees nothing.
 * @param offset in bytes, a multiple of the device's minStorageBufferOffsetAlignment
 */
export function viewOf<T extends tf.Tensor = tf.Tensor>(
  buffer: GPUBuffer,
  offset: number,
  shape: number[],
): T {
  const backend = webgpuBackend();
  const info = backend.makeTensorInfo(shape, 'float32');
  const data = backend.tensorMap.get(info.dataId);
  data.resource = buffer;
  data.external = true;
  views.set(info.dataId, { offset, size: 4 * tf.util.sizeFromShape(shape) });
  return tf.keep(tf.engine().makeTensorFromTensorInfo(info)) as T;
}

/**
 * Bytes [offset, offset + size) of a buffer as they are after everything recorded so far; resolves when the GPU has done that. Later
 * dispatches may write the buffer, since the copy is recorded in order. Staging buffers are kept and reused.
 */
export async function readLater(buffer: GPUBuffer, offset: number, size: number): Promise<ArrayBuffer> {
  const backend = webgpuBackend();
  const { staging } = stateOf(backend.device);
  const free = staging.get(size) ?? [];
  staging.set(size, free);
  const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
  const target = free.pop() ?? backend.device.createBuffer({ size, usage });
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.commandEncoder!.copyBufferToBuffer(buffer, offset, target, 0, size);
  backend.submitQueue();
  await target.mapAsync(GPUMapMode.READ);
  const values = target.getMappedRange().slice(0);
  target.unmap();
  free.push(target);
  return values;
}

/** `readLater` of a whole tensor. Unlike `data()` it keeps no copy on the CPU, so it may be called after every replay. */
export async function valuesLater(tensor: TensorLike): Promise<Float32Array> {
  const backend = webgpuBackend();
  backend.uploadToGPU(tensor.dataId);
  const buffer = backend.tensorMap.get(tensor.dataId).resource as GPUBuffer;
  const { offset, size } = views.get(tensor.dataId) ?? {
    offset: 0,
    size: 4 * tf.util.sizeFromShape(tensor.shape),
  };
  return new Float32Array(await readLater(buffer, offset, size));
}

/** Storage buffers one program may bind on this device: 8 at least, 10 or 16 on most. */
export function storageBufferLimit(): number {
  return webgpuBackend().device.limits.maxStorageBuffersPerShaderStage;
}

/** Discards the copy that an earlier `data()` left on the CPU, which `data()` would otherwise return from then on. */
export function touch(tensor: TensorLike): void {
  webgpuBackend().tensorMap.get(tensor.dataId).values = null;
}

/**
 * Makes the buffer of a disposed tensor available at once. By default the backend waits for the next submit, so that a chain of temporaries
 * holds as many buffers as a submit has dispatches; commands run in the order of recording, so the wait is not needed.
 * Queue writes do not keep that order: uniforms still wait, and `upload` submits first.
 */
export function releaseAtOnce(backend: BackendInternals): void {
  const submit = backend.submitQueue.bind(backend);
  backend.commandQueueOwnedIds = NOTHING_OWNED;
  backend.submitQueue = () => {
    submit();
    backend.commandQueueOwnedIds = NOTHING_OWNED;
  };
}

const NOTHING_OWNED = {
  has: () => false,
  add: () => NOTHING_OWNED,
  delete: () => false,
} as unknown as WeakSet<object>;

/** Submits what has been recorded so far. */
export function flush(backend: BackendInternals = webgpuBackend()): void {
  backend.endComputePassEncoder();
  if (backend.commandEncoder) backend.submitQueue();
}

/** Destroys the free buffers of the backend's pool, which otherwise only grows. Returns the bytes freed. */
export function trimPool(): number {
  const backend = webgpuBackend();
  flush(backend);
  const pool = backend.bufferManager;
  const before = pool.numBytesAllocated;
  for (const [key, buffers] of pool.freeBuffers) {
    for (const buffer of buffers) {
      pool.numBytesAllocated -= buffer.size;
      pool.numFreeBuffers--;
      buffer.destroy();
    }
    pool.freeBuffers.set(key, []);
  }
  return before - pool.numBytesAllocated;
}

/**
 * Compiles the programs that `body` will dispatch, concurrently and without blocking the page: runs `body` with nothing dispatched or
 * uploaded, only to collect its programs. (A program that `dispatch` meets first is compiled synchronously, one after the other, and a
 * browser's GPU process does nothing else meanwhile.) `body` must have no effects beyond its dispatches and must not read; what it returns is
 * disposed.
 */
export async function compileAhead(body: () => unknown): Promise<void> {
  const { device } = webgpuBackend();
  const wanted = new Map<string, Kernel>();
  collecting = wanted;
  try {
    tf.tidy(() => tf.dispose(body() as tf.TensorContainer));
  } finally {
    collecting = null;
  }
  await Promise.all([...wanted.values()].map((program) => compileSoon(device, program)));
}

/** Routes live uniforms and uploads to `next`, until called with null. For stepGraph.ts alone. */
export function setRecorder(next: Recorder | null): void {
  recorder = next;
}

/** The grid of a dispatch. A number above the limit is rounded up over two dimensions; the program returns from workgroups beyond the count. */
export function foldGroups(groups: Groups, limit: number, name: string): readonly [number, number, number] {
  if (typeof groups !== 'number') {
    if (groups.every((n) => n <= limit)) return groups;
    throw new Error(
      `${name}: a grid of ${groups.join(' × ')} workgroups is more than ${limit} in one dimension.`,
    );
  }
  if (groups <= limit) return [groups, 1, 1];
  const rows = Math.ceil(groups / limit);
  if (rows <= limit) return [Math.ceil(groups / rows), rows, 1];
  throw new Error(`${name}: ${groups} workgroups are more than ${limit} × ${limit}.`);
}

// ───────────────────────────── internal ─────────────────────────────

function stateOf(device: GPUDevice): DeviceState {
  let state = states.get(device);
  if (!state) {
    state = { uniforms: new Map(), staging: new Map() };
    states.set(device, state);
  }
  return state;
}

const guarded = new WeakSet<object>();

/**
 * Makes tfjs refuse packed tensors, which it would read as floats. Every op calls `uploadToGPU` for its inputs and every read goes through
 * one of the others, so all uses throw. On the prototype, since a capture overrides `uploadToGPU` of the instance for a while.
 */
function guardPacked(prototype: BackendInternals): void {
  if (guarded.has(prototype)) return;
  guarded.add(prototype);
  const methods = prototype as unknown as Record<string, (dataId: object, ...rest: unknown[]) => unknown>;
  for (const name of ['uploadToGPU', 'read', 'readSync', 'readToGPU']) {
    const original = methods[name] as (typeof methods)[string];
    methods[name] = function (this: unknown, dataId, ...rest) {
      if (packingOf({ dataId }) === null) return original.call(this, dataId, ...rest);
      throw new Error(
        'A weight that is kept in 16 bits was handed to tfjs; it must go through asFloat32 first.',
      );
    };
  }
}

/** @throws Error when the kernel binds a packed tensor as floats, or writes it */
function assertReadable(source: KernelSource, name: string, tensor: TensorLike): void {
  if (packingOf(tensor) === null || /^(u32|vec2u)$/.test(source.inputs[name] ?? '')) return;
  throw new Error(`${source.name}: "${name}" is kept in 16 bits, and this kernel takes it for floats.`);
}

/** Four-byte fields one after the other, the whole a multiple of 16 bytes. */
export function pack(fields: readonly [string, Scalar][], values: Record<string, number>): ArrayBuffer {
  const packed = new ArrayBuffer(Math.ceil(fields.length / 4) * 16);
  const view = new DataView(packed);
  fields.forEach(([name, scalar], i) => {
    const value = values[name];
    if (value === undefined) throw new Error(`The uniform "${name}" has no value.`);
    if (scalar === 'f32') view.setFloat32(4 * i, value, true);
    else if (scalar === 'i32') view.setInt32(4 * i, value, true);
    else view.setUint32(4 * i, value, true);
  });
  return packed;
}

function uniformBuffer(backend: BackendInternals, packed: ArrayBuffer): GPUBuffer {
  const { uniforms } = stateOf(backend.device);
  const key = new Uint32Array(packed).join();
  const known = uniforms.get(key);
  if (known) return known;
  if (uniforms.size >= UNIFORM_CACHE_ENTRIES && recorder === null) return pooledUniform(backend, packed);
  const usage = GPUBufferUsage.UNIFORM;
  const buffer = backend.device.createBuffer({ size: packed.byteLength, usage, mappedAtCreation: true });
  new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(packed));
  buffer.unmap();
  uniforms.set(key, buffer);
  return buffer;
}

/** A uniform buffer from the backend's pool, returned to it after the submit. */
function pooledUniform(backend: BackendInternals, packed: ArrayBuffer): GPUBuffer {
  const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.UNIFORM;
  const buffer = backend.bufferManager.acquireBuffer(packed.byteLength, usage);
  backend.queue.writeBuffer(buffer, 0, packed);
  backend.uniformPendingDisposal.push(buffer);
  return buffer;
}
