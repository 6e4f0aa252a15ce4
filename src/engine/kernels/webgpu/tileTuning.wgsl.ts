// Times tiles on the GPU: compiles their programs, checks each one's numbers, and provides the stopwatch.
// Not here: which tiles and classes, how often, what follows (tileTuning.ts).

import { plainProduct } from '../matmul/matmul.wgsl';
import { flush, pack, webgpuBackend } from './program';
import { fingerprint, shapeOfClass, type Tile, tileName } from './tiles';
import type { Sample, Stopwatch } from './tileTuning';
import { classesToMeasure } from './tileTuning';

/** A hash of the text of all programs that are timed: a table measured with other programs is not valid. */
export const programsOf = (tiles: readonly Tile[]): string =>
  fingerprint(tiles.map((tile) => plainProduct(tile, { m: 4, n: 4, k: 4 }).program.code).join('\n'));

export interface TileBench {
  /** The tiles that can be timed: compiled in time, with right results. */
  tiles: Tile[];
  /** Tiles that give wrong results or do not compile here, with the reason. */
  refused: { tile: Tile; reason: string }[];
  /** How time is taken: on the GPU itself, or by the clock around a submit. */
  clock: 'gpu' | 'page';
  stopwatch: Stopwatch;
}

interface Size {
  m: number;
  n: number;
  k: number;
}

/** Crosses the edge of every tile in every direction. */
const CHECKED: Size = { m: 136, n: 72, k: 100 };
const TOLERANCE = 1e-5;
/** Programs compiled at a time; between such groups `until` is checked. */
const AT_ONCE = 4;

export interface BenchOptions {
  /** Milliseconds of any clock that runs while the device works. */
  now: () => number;
  /** No more programs are compiled after this value of `now`. */
  until: number;
  /** False uses `now` as the stopwatch even where the GPU has a clock. */
  byGpu?: boolean;
}

/**
 * Compiles and checks the tiles in their order, as many as can be begun in time, and calls `work` to time them. Allocates 25 MB on the GPU
 * and frees it before it returns.
 * @throws Error when the device refuses something, or has no memory for it
 */
export async function withTileBench<T>(
  tiles: readonly Tile[],
  options: BenchOptions,
  work: (bench: TileBench) => Promise<T>,
): Promise<T> {
  const backend = webgpuBackend();
  flush(backend);
  const { device } = backend;
  const made: { destroy(): void }[] = [];
  device.pushErrorScope('out-of-memory');
  device.pushErrorScope('validation');
  let verdicts: Promise<GPUError | null>[] = [];
  let result: T;
  try {
    result = await work(await build(device, tiles, options, made));
  } finally {
    verdicts = [device.popErrorScope(), device.popErrorScope()];
    for (const thing of made) thing.destroy();
  }
  const refused = (await Promise.all(verdicts)).find((error) => error !== null);
  if (refused) throw new Error(refused.message);
  return result;
}

async function build(
  device: GPUDevice,
  tiles: readonly Tile[],
  { now, until, byGpu = true }: BenchOptions,
  made: { destroy(): void }[],
): Promise<TileBench> {
  const runner = new ProductRunner(device, made);
  const refused: TileBench['refused'] = [];
  const compiled: Tile[] = [];
  const compile = async (tile: Tile) => {
    const reason = await runner.compile(tile);
    if (reason === null) compiled.push(tile);
    else refused.push({ tile, reason });
  };
  for (let at = 0; at < tiles.length && (at === 0 || now() < until); at += AT_ONCE) {
    await Promise.all(tiles.slice(at, at + AT_ONCE).map(compile));
  }
  const errors = await runner.errorsOf(compiled);
  const sound = compiled.filter((tile, i) => {
    const off = errors[i] as number;
    if (off <= TOLERANCE) return true;
    refused.push({ tile, reason: `off by ${off.toPrecision(2)} where ${TOLERANCE} is allowed` });
    return false;
  });
  const record: RecordSample = (pass, { tile, work, repeats }) =>
    runner.record(pass, tile, sizeOf(work), repeats);
  return byGpu && device.features.has('timestamp-query')
    ? { tiles: sound, refused, clock: 'gpu', stopwatch: gpuStopwatch(device, record, made) }
    : { tiles: sound, refused, clock: 'page', stopwatch: pageStopwatch(device, record, now) };
}

/** Compiles and runs a·b with any tile at any size, on three buffers that are as large as the largest size needs. */
class ProductRunner {
  readonly #device: GPUDevice;
  /** What the caller destroys. */
  readonly #made: { destroy(): void }[];
  readonly #buffers: { a: GPUBuffer; b: GPUBuffer; c: GPUBuffer };
  readonly #layout: GPUBindGroupLayout;
  readonly #pipelineLayout: GPUPipelineLayout;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #bindings = new Map<string, { group: GPUBindGroup; groups: number }>();

  constructor(device: GPUDevice, made: { destroy(): void }[]) {
    this.#device = device;
    this.#made = made;
    const sizes = [CHECKED, ...classesToMeasure().map(sizeOf)];
    const largest = (of: (size: Size) => number) => Math.max(...sizes.map(of));
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    this.#buffers = {
      a: this.#filled(largest(({ m, k }) => m * k)),
      b: this.#filled(largest(({ n, k }) => k * n)),
      c: this.#buffer(
        largest(({ m, n }) => m * n),
        STORAGE | COPY_SRC | COPY_DST,
      ),
    };
    const types = ['read-only-storage', 'read-only-storage', 'storage', 'uniform'] as const;
    this.#layout = device.createBindGroupLayout({
      entries: types.map((type, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type },
      })),
    });
    this.#pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [this.#layout] });
  }

  /** @returns why the tile's program does not compile; null when it does */
  async compile(tile: Tile): Promise<string | null> {
    const device = this.#device;
    const { program } = plainProduct(tile, CHECKED);
    // An error in one module is reported by its pipeline, and must not reach the scope of the others.
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: program.source.name, code: program.code });
    void device.popErrorScope();
    const compute = { module, entryPoint: 'main' };
    try {
      const pipeline = await device.createComputePipelineAsync({ layout: this.#pipelineLayout, compute });
      this.#pipelines.set(tileName(tile), pipeline);
      return null;
    } catch (thrown) {
      return thrown instanceof Error ? thrown.message : String(thrown);
    }
  }

  /** Records the product `repeats` times and ends the pass. */
  record(pass: GPUComputePassEncoder, tile: Tile, size: Size, repeats: number): void {
    const { group, groups } = this.#bind(tile, size);
    pass.setPipeline(this.#pipelines.get(tileName(tile)) as GPUComputePipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < repeats; i++) pass.dispatchWorkgroups(groups);
    pass.end();
  }

  /** Each tile's largest error in the product of size `CHECKED`, as a share of the largest magnitude. */
  async errorsOf(tiles: readonly Tile[]): Promise<number[]> {
    const floats = CHECKED.m * CHECKED.n;
    const bytes = 4 * floats;
    const { c } = this.#buffers;
    const results = this.#buffer(
      Math.max(1, tiles.length) * floats,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    );
    const encoder = this.#device.createCommandEncoder();
    for (const [i, tile] of tiles.entries()) {
      this.record(encoder.beginComputePass(), tile, CHECKED, 1);
      encoder.copyBufferToBuffer(c, 0, results, i * bytes, bytes);
      // A result that one tile fails to write must not pass because another tile wrote it before.
      encoder.clearBuffer(c, 0, bytes);
    }
    this.#device.queue.submit([encoder.finish()]);
    await results.mapAsync(GPUMapMode.READ);
    const expected = expectedProduct(CHECKED);
    const all = new Float32Array(results.getMappedRange());
    const errors = tiles.map((_, i) => worst(all.subarray(i * floats, (i + 1) * floats), expected));
    results.unmap();
    return errors;
  }

  /** The bindings of one product, made once. */
  #bind(tile: Tile, size: Size): { group: GPUBindGroup; groups: number } {
    const key = `${tileName(tile)} ${size.m} ${size.n} ${size.k}`;
    const known = this.#bindings.get(key);
    if (known) return known;
    const { program, numbers, groups } = plainProduct(tile, size);
    const fields = Object.entries({ groupCount: 'u32', ...program.source.uniforms } as const);
    const values = pack(fields, { ...numbers, groupCount: groups });
    const uniform = this.#buffer(values.byteLength / 4, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    this.#device.queue.writeBuffer(uniform, 0, values);
    const { a, b, c } = this.#buffers;
    const entries = [a, b, c, uniform].map((buffer, binding) => ({ binding, resource: { buffer } }));
    const bound = { group: this.#device.createBindGroup({ layout: this.#layout, entries }), groups };
    this.#bindings.set(key, bound);
    return bound;
  }

  #buffer(floats: number, usage: number): GPUBuffer {
    const buffer = this.#device.createBuffer({ size: 4 * floats, usage });
    this.#made.push(buffer);
    return buffer;
  }

  /** A side of the products, with values that do not repeat. */
  #filled(floats: number): GPUBuffer {
    const size = 4 * floats;
    const buffer = this.#device.createBuffer({ size, usage: GPUBufferUsage.STORAGE, mappedAtCreation: true });
    this.#made.push(buffer);
    fill(new Float32Array(buffer.getMappedRange()));
    buffer.unmap();
    return buffer;
  }
}

type RecordSample = (pass: GPUComputePassEncoder, sample: Sample) => void;

/** A pass a sample, all in one submit, each with the GPU's own time at its begin and end. */
function gpuStopwatch(device: GPUDevice, record: RecordSample, made: { destroy(): void }[]): Stopwatch {
  const capacity = 32; // samples of one submit
  const querySet = device.createQuerySet({ type: 'timestamp', count: 2 * capacity });
  const size = 16 * capacity;
  const resolved = device.createBuffer({
    size,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  const read = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  made.push(querySet, resolved, read);
  return async (samples) => {
    if (samples.length > capacity) throw new Error(`${samples.length} samples in one submit.`);
    const encoder = device.createCommandEncoder();
    for (const [i, sample] of samples.entries()) {
      const timestampWrites = {
        querySet,
        beginningOfPassWriteIndex: 2 * i,
        endOfPassWriteIndex: 2 * i + 1,
      };
      record(encoder.beginComputePass({ timestampWrites }), sample);
    }
    encoder.resolveQuerySet(querySet, 0, 2 * samples.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, read, 0, size);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const nanoseconds = new BigUint64Array(read.getMappedRange());
    const times = samples.map((_, i) => {
      const [begin, end] = [nanoseconds[2 * i] as bigint, nanoseconds[2 * i + 1] as bigint];
      return Number(end - begin) / 1e6;
    });
    read.unmap();
    return times;
  };
}

/** A submit a sample, and the clock before and after it. */
function pageStopwatch(device: GPUDevice, record: RecordSample, now: () => number): Stopwatch {
  return async (samples) => {
    const times: number[] = [];
    for (const sample of samples) {
      const encoder = device.createCommandEncoder();
      record(encoder.beginComputePass(), sample);
      const commands = encoder.finish();
      await device.queue.onSubmittedWorkDone();
      const startedAt = now();
      device.queue.submit([commands]);
      await device.queue.onSubmittedWorkDone();
      times.push(now() - startedAt);
    }
    return times;
  };
}

function sizeOf(work: Sample['work']): Size {
  const { m, n } = shapeOfClass(work);
  return { m, n, k: work.depth };
}

/** Values in [-1, 1) that do not repeat along any side of a product. */
const PERIOD = 4093;
const valueAt = (i: number): number => (2 * (((i % PERIOD) * 1021) % PERIOD)) / PERIOD - 1;

function fill(values: Float32Array): void {
  const first = Math.min(PERIOD, values.length);
  for (let i = 0; i < first; i++) values[i] = valueAt(i);
  for (let done = first; done < values.length; done *= 2) {
    values.copyWithin(done, 0, Math.min(done, values.length - done));
  }
}

function expectedProduct({ m, n, k }: Size): Float64Array {
  const out = new Float64Array(m * n);
  const [left, right] = [new Float32Array(m * k), new Float32Array(k * n)];
  fill(left);
  fill(right);
  for (let i = 0; i < m; i++) {
    for (let l = 0; l < k; l++) {
      const x = left[i * k + l] as number;
      for (let j = 0; j < n; j++) {
        out[i * n + j] = (out[i * n + j] as number) + x * (right[l * n + j] as number);
      }
    }
  }
  return out;
}

/** Largest difference as a share of the largest magnitude; infinite where a number is missing. */
function worst(actual: Float32Array, expected: Float64Array): number {
  let off = 0;
  let magnitude = 0;
  for (const [i, want] of expected.entries()) {
    const difference = Math.abs((actual[i] as number) - want);
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    off = Math.max(off, difference);
    magnitude = Math.max(magnitude, Math.abs(want));
  }
  return off / magnitude;
}
