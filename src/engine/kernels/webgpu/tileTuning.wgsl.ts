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
  const buffer = (floats: number, usage: number, values = false) => {
    const buffer = device.createBuffer({ size: 4 * floats, usage, mappedAtCreation: values });
    made.push(buffer);
    if (values) {
      fill(new Float32Array(buffer.getMappedRange()));
      buffer.unmap();
    }
    return buffer;
  };
  const sizes = [CHECKED, ...classesToMeasure().map(sizeOf)];
  const largest = (of: (size: Size) => number) => Math.max(...sizes.map(of));
  const storage = GPUBufferUsage.STORAGE;
  const a = buffer(
    largest(({ m, k }) => m * k),
    storage,
    true,
  );
  const b = buffer(
    largest(({ n, k }) => k * n),
    storage,
    true,
  );
  const c = buffer(
    largest(({ m, n }) => m * n),
    storage | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  );
  const types = ['read-only-storage', 'read-only-storage', 'storage', 'uniform'] as const;
  const layout = device.createBindGroupLayout({
    entries: types.map((type, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type },
    })),
  });
  const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });

  const pipelines = new Map<string, GPUComputePipeline>();
  const compiled: Tile[] = [];
  const refused: TileBench['refused'] = [];
  const compile = async (tile: Tile) => {
    const { program } = plainProduct(tile, CHECKED);
    // An error in one module is reported by its pipeline, and must not reach the scope of the others.
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: program.source.name, code: program.code });
    void device.popErrorScope();
    const compute = { module, entryPoint: 'main' };
    try {
      pipelines.set(
        tileName(tile),
        await device.createComputePipelineAsync({ layout: pipelineLayout, compute }),
      );
      compiled.push(tile);
    } catch (thrown) {
      refused.push({ tile, reason: thrown instanceof Error ? thrown.message : String(thrown) });
    }
  };
  for (let at = 0; at < tiles.length && (at === 0 || now() < until); at += AT_ONCE) {
    await Promise.all(tiles.slice(at, at + AT_ONCE).map(compile));
  }

  const prepared = new Map<string, { group: GPUBindGroup; groups: number }>();
  /** The bindings of one product, made once. */
  const prepare = (tile: Tile, size: Size) => {
    const key = `${tileName(tile)} ${size.m} ${size.n} ${size.k}`;
    const known = prepared.get(key);
    if (known) return known;
    const { program, numbers, groups } = plainProduct(tile, size);
    const fields = Object.entries({ groupCount: 'u32', ...program.source.uniforms } as const);
    const values = pack(fields, { ...numbers, groupCount: groups });
    const uniform = buffer(values.byteLength / 4, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    device.queue.writeBuffer(uniform, 0, values);
    const entries = [a, b, c, uniform].map((bound, binding) => ({ binding, resource: { buffer: bound } }));
    const bindings = { group: device.createBindGroup({ layout, entries }), groups };
    prepared.set(key, bindings);
    return bindings;
  };
  const record = (pass: GPUComputePassEncoder, tile: Tile, size: Size, repeats: number) => {
    const { group, groups } = prepare(tile, size);
    pass.setPipeline(pipelines.get(tileName(tile)) as GPUComputePipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < repeats; i++) pass.dispatchWorkgroups(groups);
    pass.end();
  };

  const bytes = 4 * CHECKED.m * CHECKED.n;
  const results = buffer(
    (Math.max(1, compiled.length) * bytes) / 4,
    GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  );
  const encoder = device.createCommandEncoder();
  for (const [i, tile] of compiled.entries()) {
    record(encoder.beginComputePass(), tile, CHECKED, 1);
    encoder.copyBufferToBuffer(c, 0, results, i * bytes, bytes);
    // A result that one tile fails to write must not pass because another tile wrote it before.
    encoder.clearBuffer(c, 0, bytes);
  }
  device.queue.submit([encoder.finish()]);
  await results.mapAsync(GPUMapMode.READ);
  const expected = expectedProduct(CHECKED);
  const all = new Float32Array(results.getMappedRange());
  const sound = compiled.filter((tile, i) => {
    const off = worst(all.subarray((i * bytes) / 4, ((i + 1) * bytes) / 4), expected);
    if (off <= TOLERANCE) return true;
    refused.push({ tile, reason: `off by ${off.toPrecision(2)} where ${TOLERANCE} is allowed` });
    return false;
  });
  results.unmap();

  const byClass: RecordSample = (pass, { tile, work, repeats }) => record(pass, tile, sizeOf(work), repeats);
  return byGpu && device.features.has('timestamp-query')
    ? { tiles: sound, refused, clock: 'gpu', stopwatch: gpuStopwatch(device, byClass, made) }
    : { tiles: sound, refused, clock: 'page', stopwatch: pageStopwatch(device, byClass, now) };
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
