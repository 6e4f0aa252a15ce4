// Captures the dispatches of a function once and replays them: a replay creates no GPU object and runs no op in JavaScript.
// Not here: what a training step consists of (engine/training/capturedStep.ts), the recording of a single dispatch (program.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { Scalar } from './kernel';
import {
  type BackendInternals,
  flush,
  pack,
  type Recorder,
  setRecorder,
  type TensorLike,
  webgpuBackend,
} from './program';

// A step with fixed shapes is the same list of dispatches every time, on the same buffers. Capture runs the body once, for real, with the
// backend's command encoder and buffer manager intercepted: every (pipeline, bind group, workgroups) is noted, every buffer comes from a
// GraphPool. A replay writes the inputs and live uniforms through the queue, then records the list into one compute pass.
// Three rules of buffer ownership make a replay right:
// 1. What the body allocates comes from the graphs' own pool. Inside the body a buffer is reused once its tensor is disposed, because a
//    replay keeps the order; nothing outside a graph ever gets such a buffer.
// 2. Uniform buffers belong to their graph and are freed with it.
// 3. So do buffers that are filled from JavaScript: constants (a scalar, a mask) and inputs.
// Memory: the peak of one run of the body, shared by all graphs of a pool, plus the pinned buffers of each graph (a few kilobytes).

/** Values written before a replay: for `upload`s of the body by name, and for `live` uniforms by field. */
export interface ReplayValues {
  inputs: Readonly<Record<string, Float32Array | Int32Array>>;
  live: Readonly<Record<string, number>>;
}

interface Dispatch {
  pipeline: GPUComputePipeline;
  bindGroup: GPUBindGroup;
  groups: [number, number, number];
}

interface Input {
  buffer: GPUBuffer;
  byteLength: number;
}

interface Live {
  buffer: GPUBuffer;
  fields: readonly [string, Scalar][];
  written: ArrayBuffer;
}

/** Buffers for captured bodies alone. Graphs that never run at the same time may share one pool: their temporaries then overlap. */
export class GraphPool {
  readonly #backend: BackendInternals;
  /** By usage. */
  readonly #free = new Map<number, GPUBuffer[]>();
  readonly #all = new Set<GPUBuffer>();
  /** Buffers of rules 2 and 3 of the graph being captured. */
  #pinned: Set<GPUBuffer> | null = null;

  constructor() {
    this.#backend = webgpuBackend();
    routeReleases(this.#backend);
  }

  /** Bytes allocated for temporaries and results. */
  get bytes(): number {
    let sum = 0;
    for (const buffer of this.#all) sum += buffer.size;
    return sum;
  }

  /** Until `close`, every buffer that the backend acquires comes from this pool. */
  open(pinned: Set<GPUBuffer>): void {
    if (open !== null) throw new Error('A step is being captured inside another.');
    this.#pinned = pinned;
    open = this;
  }

  close(): void {
    this.#pinned = null;
    open = null;
  }

  acquire(size: number, usage: number, mappedAtCreation: boolean): GPUBuffer {
    if (mappedAtCreation || usage & GPUBufferUsage.UNIFORM) return this.pin(size, usage, mappedAtCreation);
    const free = this.#smallestFree(size, usage);
    if (free) return free;
    const buffer = this.#create(size, usage, false);
    this.#all.add(buffer);
    return buffer;
  }

  /** A buffer that belongs to the graph being captured (rules 2 and 3). */
  pin(size: number, usage: number, mappedAtCreation: boolean): GPUBuffer {
    const buffer = this.#create(size, usage, mappedAtCreation);
    this.#pinned?.add(buffer);
    return buffer;
  }

  release(buffer: GPUBuffer): void {
    if (!this.#all.has(buffer)) return; // pinned: destroyed with its graph
    const free = this.#free.get(buffer.usage);
    if (free) free.push(buffer);
    else this.#free.set(buffer.usage, [buffer]);
  }

  /** Best fit: the smallest free buffer that is large enough, and not larger than MAX_SLACK allows; of equal ones the one released last. */
  #smallestFree(size: number, usage: number): GPUBuffer | null {
    const free = this.#free.get(usage) ?? [];
    let best = -1;
    for (const [i, buffer] of free.entries()) {
      if (buffer.size < size || buffer.size > MAX_SLACK * size) continue;
      if (best < 0 || buffer.size <= (free[best] as GPUBuffer).size) best = i;
    }
    return best < 0 ? null : (free.splice(best, 1)[0] as GPUBuffer);
  }

  destroy(buffer: GPUBuffer): void {
    this.#backend.bufferManager.numBytesAllocated -= buffer.size;
    this.#backend.bufferManager.numBytesUsed -= buffer.size;
    buffer.destroy();
  }

  /** Destroys everything. Only when all its graphs are disposed. */
  dispose(): void {
    for (const buffer of this.#all) this.destroy(buffer);
    this.#all.clear();
    this.#free.clear();
  }

  #create(size: number, usage: number, mappedAtCreation: boolean): GPUBuffer {
    const buffer = this.#backend.device.createBuffer({ size, usage, mappedAtCreation });
    owners.set(buffer, this);
    this.#backend.bufferManager.numBytesAllocated += size;
    this.#backend.bufferManager.numBytesUsed += size;
    return buffer;
  }
}

/**
 * A free buffer is reused up to this multiple of the size asked for. Peak ÷ ideal bytes (counts of `npm run bench`, GPT-2 and GPT-NeoX):
 * 1.23 and 1.26 with 2; 1.28 and 1.31 with 4, where small tensors occupy large buffers.
 */
const MAX_SLACK = 2;

/** The pool of the capture in progress. */
let open: GraphPool | null = null;
/** Set while a tensor from before the capture is uploaded: its buffer must outlive the graph. */
let outside = false;
/** Buffers of the backend's own pool that must not be reused when released. */
const single = new WeakSet<GPUBuffer>();
const owners = new WeakMap<GPUBuffer, GraphPool>();
const routed = new WeakSet<object>();

/** Patches the backend's buffer manager, so that a buffer returns to the pool it came from whenever its tensor is disposed. */
function routeReleases(backend: BackendInternals): void {
  const manager = backend.bufferManager;
  if (routed.has(manager)) return;
  routed.add(manager);
  const acquire = manager.acquireBuffer.bind(manager);
  const release = manager.releaseBuffer.bind(manager);
  manager.acquireBuffer = (size, usage, mapped = false, reuse = true) => {
    // A new buffer is filled through its mapping; a reused one would need a copy command, which a replay would not repeat.
    if (outside) {
      const buffer = acquire(size, usage, mapped, false);
      single.add(buffer);
      return buffer;
    }
    return open ? open.acquire(size, usage, mapped) : acquire(size, usage, mapped, reuse);
  };
  manager.releaseBuffer = (buffer, reuse = true) => {
    const owner = owners.get(buffer);
    if (owner) owner.release(buffer);
    else release(buffer, reuse && !single.has(buffer));
  };
}

export class StepGraph<T> {
  /** What the body returned. The graph owns its tensors: each replay overwrites them, `dispose` frees them. Read with `valuesLater`, not `data()`. */
  readonly result: T;
  readonly #backend: BackendInternals;
  readonly #pool: GraphPool;
  readonly #dispatches: Dispatch[];
  readonly #inputs: Map<string, Input>;
  readonly #live: Live[];
  readonly #pinned: Set<GPUBuffer>;
  /** Data ids of tensors from outside that the body writes in place: their copies on the CPU are stale after a replay. */
  readonly #written: Set<object>;

  private constructor(result: T, backend: BackendInternals, pool: GraphPool, capture: Capture) {
    this.result = result;
    this.#backend = backend;
    this.#pool = pool;
    this.#dispatches = capture.dispatches;
    this.#inputs = capture.inputs;
    this.#live = capture.live;
    this.#pinned = capture.pinned;
    this.#written = capture.written;
  }

  /**
   * Runs `body` once, for real, and keeps what it dispatched. The body must not allocate anything that outlives it (cached tables are
   * made before), must not read anything back, must bring in changing values by `upload` and live uniforms only, and must write its
   * effects in place into tensors from outside.
   * @throws Error when the body copies or reads a buffer, which a replay would not repeat
   */
  static capture<T>(pool: GraphPool, body: () => T): StepGraph<T> {
    const backend = webgpuBackend();
    flush(backend);
    const capture = new Capture(backend, pool);
    capture.start();
    try {
      const result = body();
      flush(backend);
      return new StepGraph(result, backend, pool, capture);
    } catch (thrown) {
      flush(backend);
      capture.abandon();
      throw thrown;
    } finally {
      capture.stop();
    }
  }

  get dispatches(): number {
    return this.#dispatches.length;
  }

  get inputNames(): string[] {
    return [...this.#inputs.keys()];
  }

  /**
   * Runs the whole list again, in one pass and one submit, with these values. Input lengths are those of the capture.
   * @throws Error when a value is missing or of another length
   */
  replay(values: ReplayValues): void {
    replayInTurn([{ graph: this, values }]);
  }

  /** Writes the values through the queue: work submitted before still reads the old ones. */
  write({ inputs, live }: ReplayValues): void {
    const { queue } = this.#backend;
    for (const [name, { buffer, byteLength }] of this.#inputs) {
      const values = inputs[name];
      if (values?.byteLength !== byteLength) {
        throw new Error(
          `Replay: "${name}" needs ${byteLength} bytes, and got ${values?.byteLength ?? 'nothing'}.`,
        );
      }
      queue.writeBuffer(buffer, 0, values as BufferSource);
    }
    for (const uniform of this.#live) {
      const packed = pack(uniform.fields, live as Record<string, number>);
      if (same(packed, uniform.written)) continue;
      queue.writeBuffer(uniform.buffer, 0, packed);
      uniform.written = packed;
    }
  }

  /** Records all dispatches into the pass. */
  record(pass: GPUComputePassEncoder): void {
    let pipeline: GPUComputePipeline | null = null;
    for (const step of this.#dispatches) {
      if (step.pipeline !== pipeline) {
        pipeline = step.pipeline;
        pass.setPipeline(pipeline);
      }
      pass.setBindGroup(0, step.bindGroup);
      pass.dispatchWorkgroups(...step.groups);
    }
    for (const dataId of this.#written) {
      if (this.#backend.tensorMap.has(dataId)) this.#backend.tensorMap.get(dataId).values = null;
    }
    for (const tensor of tensorsIn(this.result)) this.#backend.tensorMap.get(tensor.dataId).values = null;
  }

  dispose(): void {
    flush(this.#backend);
    for (const tensor of tensorsIn(this.result)) if (!tensor.isDisposed) tensor.dispose();
    for (const buffer of this.#pinned) this.#pool.destroy(buffer);
    this.#pinned.clear();
    this.#dispatches.length = 0;
  }
}

/** A graph and the values to replay it with. */
export interface Replay {
  graph: Pick<StepGraph<unknown>, 'write' | 'record'>;
  values: ReplayValues;
}

/** Replays different graphs in order, in one pass and one submit. No graph may come twice, as in `recordInTurn`. */
export function replayInTurn(replays: readonly Replay[]): void {
  recordInTurn(replays);
  flush();
}

/**
 * The same without the submit, for a caller that records a read of the result into it. No graph may come twice: the values of all are
 * written before the first runs.
 */
export function recordInTurn(replays: readonly Replay[]): void {
  const backend = webgpuBackend();
  // Queue writes take effect at once, so commands recorded before them are submitted first.
  flush(backend);
  for (const { graph, values } of replays) graph.write(values);
  backend.ensureCommandEncoderReady();
  const pass = (backend.commandEncoder as GPUCommandEncoder).beginComputePass();
  for (const { graph } of replays) graph.record(pass);
  pass.end();
}

function same(a: ArrayBuffer, b: ArrayBuffer): boolean {
  const [x, y] = [new Uint32Array(a), new Uint32Array(b)];
  return x.every((value, i) => value === y[i]);
}

/** Every tensor in a value made of arrays, maps and plain objects, in a fixed order. */
function tensorsIn(value: unknown): tf.Tensor[] {
  if (value === null || typeof value !== 'object') return [];
  if ('dataId' in value) return [value as tf.Tensor];
  const parts = value instanceof Map ? [...value.values()] : Object.values(value);
  return parts.flatMap(tensorsIn);
}

// ───────────────────────────── recording ─────────────────────────────

/** The id of the newest tensor: tfjs numbers data ids in the order of allocation. */
function newestDataId(backend: BackendInternals): number {
  const { dataId } = backend.makeTensorInfo([0], 'float32');
  backend.disposeData(dataId);
  return (dataId as { id: number }).id;
}

/** Intercepts the backend's encoder and uploads while a body runs. */
class Capture implements Recorder {
  readonly dispatches: Dispatch[] = [];
  readonly inputs = new Map<string, Input>();
  readonly live: Live[] = [];
  readonly pinned = new Set<GPUBuffer>();
  readonly written = new Set<object>();
  readonly #backend: BackendInternals;
  readonly #pool: GraphPool;

  constructor(backend: BackendInternals, pool: GraphPool) {
    this.#backend = backend;
    this.#pool = pool;
  }

  start(): void {
    const backend = this.#backend;
    this.#pool.open(this.pinned);
    setRecorder(this);
    const { ensureCommandEncoderReady: prepare, uploadToGPU: upload } = Object.getPrototypeOf(
      backend,
    ) as Pick<BackendInternals, 'ensureCommandEncoderReady' | 'uploadToGPU'>;
    const firstOwn = newestDataId(backend);
    backend.uploadToGPU = (dataId) => {
      const before = outside;
      outside = (dataId as { id: number }).id <= firstOwn;
      try {
        upload.call(backend, dataId);
      } finally {
        outside = before;
      }
    };
    backend.ensureCommandEncoderReady = () => {
      const fresh = backend.commandEncoder === null;
      prepare.call(backend);
      if (fresh) this.#watch(backend.commandEncoder as GPUCommandEncoder);
    };
  }

  stop(): void {
    const backend = this.#backend;
    setRecorder(null);
    this.#pool.close();
    Reflect.deleteProperty(backend, 'ensureCommandEncoderReady');
    Reflect.deleteProperty(backend, 'uploadToGPU');
  }

  /** After a body that threw: destroys its pinned buffers; the others are the pool's. */
  abandon(): void {
    for (const buffer of this.pinned) this.#pool.destroy(buffer);
  }

  input(name: string, byteLength: number): GPUBuffer {
    if (this.inputs.has(name)) throw new Error(`Capture: two uploads are named "${name}".`);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = this.#pool.pin(byteLength, usage, false);
    this.inputs.set(name, { buffer, byteLength });
    return buffer;
  }

  liveBuffer(fields: readonly [string, Scalar][], written: ArrayBuffer): GPUBuffer {
    // A replay has one value for each name, so kernels with the same live fields share one buffer.
    const wanted = fields.join();
    const known = this.live.find((l) => l.fields.join() === wanted && same(l.written, written));
    if (known) return known.buffer;
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    const buffer = this.#pool.pin(written.byteLength, usage, false);
    this.#backend.queue.writeBuffer(buffer, 0, written);
    this.live.push({ buffer, fields, written });
    return buffer;
  }

  wrote(tensor: TensorLike): void {
    this.written.add(tensor.dataId);
  }

  /** Notes every dispatch of this encoder's passes, and refuses copies, which a replay would leave out. */
  #watch(encoder: GPUCommandEncoder): void {
    const begin = encoder.beginComputePass.bind(encoder);
    encoder.beginComputePass = (descriptor) => {
      const pass = begin(descriptor);
      const setPipeline = pass.setPipeline.bind(pass);
      const setBindGroup = pass.setBindGroup.bind(pass) as (index: number, group: GPUBindGroup) => undefined;
      const dispatchWorkgroups = pass.dispatchWorkgroups.bind(pass);
      let pipeline: GPUComputePipeline;
      let bindGroup: GPUBindGroup;
      pass.setPipeline = (p) => {
        pipeline = p;
        return setPipeline(p);
      };
      pass.setBindGroup = ((index: number, group: GPUBindGroup) => {
        bindGroup = group;
        return setBindGroup(index, group);
      }) as typeof pass.setBindGroup;
      pass.dispatchWorkgroups = (x, y = 1, z = 1) => {
        this.dispatches.push({ pipeline, bindGroup, groups: [x, y, z] });
        return dispatchWorkgroups(x, y, z);
      };
      return pass;
    };
    encoder.copyBufferToBuffer = () => {
      throw new Error('A captured step copies or reads a buffer, which a replay would not repeat.');
    };
  }
}
