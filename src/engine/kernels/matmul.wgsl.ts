// Matrix products on WebGPU: register tiles, sums of products, several results a dispatch, bias and residual in the epilogue.
// Not here: linear layers (linearGroup.wgsl.ts), the plain reference (matmul.ts), the products inside attention (attention.wgsl.ts).

import type * as tf from '@tensorflow/tfjs-core';
import type { Destination } from './destination';
import { type Reading, readingOf, unpackText } from './packed.wgsl';
import {
  dispatch,
  empty,
  type Kernel,
  type KernelSource,
  storageBufferLimit,
  variants,
  webgpuBackend,
} from './program';

/** One product a·b in a sum of products; `scale` multiplies it. b may be a packed weight (packing.ts). */
export interface Term {
  a: tf.Tensor2D;
  b: tf.Tensor2D;
  scale?: number;
}

/** One result: Σ scale·a·b, + bias over columns, + residual. With `to` it goes into that tensor, or is added to what it holds. */
export interface Job {
  terms: readonly Term[];
  bias?: tf.Tensor1D | null;
  residual?: tf.Tensor2D | null;
  to?: Destination | null;
  /** Where the sum over a side goes (`sums`). */
  sumTo?: Destination | null;
}

/** Whether each term's sides are stored transposed; the same for every job of a dispatch. */
export interface Transposes {
  a: boolean;
  b: boolean;
}

/** How a workgroup cuts its work. Threads = slices · (rows / threadRows) · (columns / 4). */
interface Tile {
  rows: 32 | 64;
  columns: 32 | 64;
  /** Rows of the result that one thread holds: 4 or 8, by 4 columns. */
  threadRows: 4 | 8;
  /** Parts of the inner dimension that different threads of one workgroup add up, for results too small to fill a GPU. */
  slices: 1 | 2 | 4;
}

const DEPTH = 16; // inner elements a tile holds at a time
const LARGE: Tile = { rows: 64, columns: 64, threadRows: 8, slices: 1 };
const SMALL: Tile = { rows: 32, columns: 32, threadRows: 4, slices: 1 };
/** Below this many large tiles most of a GPU would stand idle. */
const ENOUGH_TILES = 96;

interface Shape {
  m: number;
  n: number;
  depths: number[];
}

// ───────────────────────────── the program ─────────────────────────────

interface Variant {
  tile: Tile;
  jobs: number;
  transposes: readonly Transposes[];
  /** For each product of each job, the first one with the same left (right) side: a tensor is bound once. */
  sameA: readonly number[];
  sameB: readonly number[];
  /** How each product's right side is read, where it is packed. */
  readB: readonly (Reading | null)[];
  /** Loads and stores of four numbers at once, where every row starts at a multiple of four. */
  vectorA: boolean;
  vectorB: boolean;
  vectorC: boolean;
  bias: boolean;
  residual: boolean;
  accumulate: boolean;
  accumulateSums: boolean;
  /** Also add up a side along the inner dimension: the gradient of a bias, at hand while its weight's is made. */
  sums: 'none' | 'a' | 'b';
}

const program = variants((encoded: string) => source(JSON.parse(encoded) as Variant));

function source(v: Variant): KernelSource {
  const { tile, jobs, transposes } = v;
  const terms = transposes.length;
  const indices = Array.from({ length: jobs }, (_, j) => j);
  const pairs = indices.flatMap((j) => transposes.map((t, i) => ({ j, i, ...t, index: j * terms + i })));
  const perSlice = (tile.rows / tile.threadRows) * (tile.columns / 4);
  const halves = tile.threadRows / 4;
  const [rows4, columns4] = [tile.rows / 4, tile.columns / 4];
  // One more than a power of two: neighbouring threads then store to different banks.
  const [strideA, strideB] = [rows4 + 1, columns4 + 1];
  const fields = <T extends string>(type: T, names: string[]) =>
    Object.fromEntries(names.map((n) => [n, type]));
  const element = (vector: boolean) => (vector ? 'vec4f' : 'f32');
  const packed = v.vectorB ? 'vec2u' : 'u32';
  const readings = [...new Set(v.readB)].filter((reading) => reading !== null);
  const threadRows = Array.from({ length: halves }, (_, h) => h);
  return {
    name: `matmul_${Object.values(tile).join('x')}_${jobs}_${transposes.map((t) => `${+t.a}${+t.b}`).join('')}_${[v.vectorA, v.vectorB, v.vectorC, v.bias, v.residual, v.accumulate, v.accumulateSums].map(Number).join('')}_${v.sums}_${v.sameA.join('')}_${v.sameB.join('')}${readings.length > 0 ? `_${v.readB.map((r) => r ?? 'float').join('')}` : ''}`,
    inputs: {
      ...fields(
        element(v.vectorA),
        v.sameA.map((index) => `a${index}`),
      ),
      ...Object.fromEntries(
        v.sameB.map((index) => [`b${index}`, v.readB[index] ? packed : element(v.vectorB)]),
      ),
      ...(v.bias
        ? fields(
            'f32',
            indices.map((j) => `bias${j}`),
          )
        : {}),
      ...(v.residual
        ? fields(
            element(v.vectorC),
            indices.map((j) => `residual${j}`),
          )
        : {}),
    },
    outputs: {
      ...fields(
        element(v.vectorC),
        indices.map((j) => `c${j}`),
      ),
      ...(v.sums === 'none'
        ? {}
        : fields(
            'f32',
            indices.map((j) => `sum${j}`),
          )),
    },
    uniforms: {
      ...fields(
        'u32',
        indices.flatMap((j) => [`m${j}`, `n${j}`, `across${j}`, `end${j}`]),
      ),
      ...fields(
        'u32',
        pairs.map((p) => `depth${p.index}`),
      ),
      ...fields(
        'f32',
        pairs.map((p) => `scale${p.index}`),
      ),
    },
    workgroup: perSlice * tile.slices,
    declare: `
var<workgroup> left: array<vec4f, ${tile.slices * DEPTH * strideA}>;  // [slice, depth, row / 4]
var<workgroup> right: array<vec4f, ${tile.slices * DEPTH * strideB}>; // [slice, depth, column / 4]
${tile.slices > 1 ? `var<workgroup> shared_sums: array<vec4f, ${perSlice * tile.threadRows}>;` : ''}
${readings.map(unpackText).join('')}
${pairs.map((p) => block(`loadA${p.index}`, `a${v.sameA[p.index]}`, v.vectorA, !p.a)).join('')}
${pairs.map((p) => block(`loadB${p.index}`, `b${v.sameB[p.index]}`, v.vectorB, p.b, v.readB[p.index])).join('')}
${indices.map((j) => store(j, v)).join('')}`,
    body: `
  var job = 0u; var m = 0u; var n = 0u; var across = 1u; var first = 0u;
  ${indices
    .map(
      (j) => `if (group < u.end${j}) {
    job = ${j}u; m = u.m${j}; n = u.n${j}; across = u.across${j}; first = ${j === 0 ? '0u' : `u.end${j - 1}`};
  }`,
    )
    .join(' else ')}
  let tile = group - first;
  let row0 = (tile / across) * ${tile.rows}u;
  let column0 = (tile % across) * ${tile.columns}u;
  let slice = thread / ${perSlice}u;
  let lane = thread % ${perSlice}u;
  let ty = lane / ${columns4}u;
  let tx = lane % ${columns4}u;
  ${threadRows.map((h) => [0, 1, 2, 3].map((i) => `var c${h}${i} = vec4f(0.0);`).join(' ')).join('\n  ')}
  ${v.sums === 'a' ? threadRows.map((h) => `var sumA${h} = vec4f(0.0);`).join(' ') : ''}
  ${v.sums === 'b' ? 'var sumB = vec4f(0.0);' : ''}
  for (var term = 0u; term < ${terms}u; term++) {
    let pair = job * ${terms}u + term;
    var depth = 0u; var scale = 1.0;
    ${pairs.map((p) => `if (pair == ${p.index}u) { depth = u.depth${p.index}; scale = u.scale${p.index}; }`).join(' else ')}
    for (var at = 0u; at < depth; at += ${DEPTH * tile.slices}u) {
      let k = at + slice * ${DEPTH}u;
      var tileBlock: mat4x4f;
      if (lane < ${(rows4 * DEPTH) / 4}u) {
        ${place(
          rows4,
          transposes.some((t) => !t.a),
        )}
        ${pairs.map((p) => `if (pair == ${p.index}u) { tileBlock = loadA${p.index}(row0 + outer * 4u, k + inner * 4u, m, depth); }`).join(' else ')}
        let to = (slice * ${DEPTH}u + inner * 4u) * ${strideA}u + outer;
        ${[0, 1, 2, 3].map((i) => `left[to + ${i * strideA}u] = tileBlock[${i}] * scale;`).join(' ')}
      } else {
        ${place(
          columns4,
          transposes.some((t) => t.b),
          `lane - ${(rows4 * DEPTH) / 4}u`,
        )}
        ${pairs.map((p) => `if (pair == ${p.index}u) { tileBlock = loadB${p.index}(column0 + outer * 4u, k + inner * 4u, n, depth); }`).join(' else ')}
        let to = (slice * ${DEPTH}u + inner * 4u) * ${strideB}u + outer;
        ${[0, 1, 2, 3].map((i) => `right[to + ${i * strideB}u] = tileBlock[${i}];`).join(' ')}
      }
      workgroupBarrier();
      for (var d = slice * ${DEPTH}u; d < (slice + 1u) * ${DEPTH}u; d++) {
        let b = right[d * ${strideB}u + tx];
        ${threadRows
          .map(
            (h) => `let a${h} = left[d * ${strideA}u + ${h * (rows4 / halves)}u + ty];
        ${['x', 'y', 'z', 'w'].map((component, i) => `c${h}${i} = fma(vec4f(a${h}.${component}), b, c${h}${i});`).join(' ')}
        ${v.sums === 'a' ? `sumA${h} += a${h};` : ''}`,
          )
          .join('\n        ')}
        ${v.sums === 'b' ? 'sumB += b;' : ''}
      }
      workgroupBarrier();
    }
  }
  ${tile.slices > 1 ? addSlices(v, perSlice, threadRows) : ''}
  if (slice == 0u) {
    let column = column0 + tx * 4u;
    ${threadRows
      .map((h) =>
        [0, 1, 2, 3]
          .map((i) => `put(job, row0 + ${h * (tile.rows / halves) + i}u + ty * 4u, column, m, n, c${h}${i});`)
          .join('\n    '),
      )
      .join('\n    ')}
    ${v.sums === 'a' ? threadRows.map((h) => `if (column0 == 0u && tx == 0u) { putSum(job, row0 + ${h * (tile.rows / halves)}u + ty * 4u, m, sumA${h}); }`).join('\n    ') : ''}
    ${v.sums === 'b' ? 'if (row0 == 0u && ty == 0u) { putSum(job, column, n, sumB); }' : ''}
  }`,
  } as KernelSource;

  /** Which 4×4 block of the tile a thread loads; neighbours side by side in memory. */
  function place(outerBlocks: number, innerFirst: boolean, index = 'lane'): string {
    return innerFirst
      ? `let inner = (${index}) % ${DEPTH / 4}u; let outer = (${index}) / ${DEPTH / 4}u;`
      : `let outer = (${index}) % ${outerBlocks}u; let inner = (${index}) / ${outerBlocks}u;`;
  }
}

/**
 * `fn NAME(outer, inner, outers, inners) -> mat4x4f`: four inner by four outer elements, as columns over the outer ones; zero beyond
 * the edge. `innerContiguous`: stored [outer, inner], else [inner, outer]. With a `reading` the array is of packed words.
 */
function block(
  name: string,
  array: string,
  vector: boolean,
  innerContiguous: boolean,
  reading: Reading | null = null,
): string {
  const four = [0, 1, 2, 3];
  const at = (o: string, i: string) =>
    innerContiguous ? `(${o}) * inners + ${i}` : `(${i}) * outers + ${o}`;
  const fourAt = (index: string) =>
    reading ? `${reading}_four(${array}[(${index}) / 4u])` : `${array}[(${index}) / 4u]`;
  const oneAt = (index: string) =>
    reading ? `${reading}_one(${array}[(${index}) / 2u], ${index})` : `${array}[${index}]`;
  let body: string;
  if (vector && innerContiguous) {
    const row = (o: number) =>
      `select(vec4f(0.0), ${fourAt(at(`outer + ${o}u`, 'inner'))}, outer + ${o}u < outers && inner < inners)`;
    body = `return transpose(mat4x4f(${four.map(row).join(', ')}));`;
  } else if (vector) {
    const column = (i: number) =>
      `select(vec4f(0.0), ${fourAt(at('outer', `inner + ${i}u`))}, outer < outers && inner + ${i}u < inners)`;
    body = `return mat4x4f(${four.map(column).join(', ')});`;
  } else {
    const one = (o: number, i: number) =>
      `select(0.0, ${oneAt(at(`outer + ${o}u`, `inner + ${i}u`))}, outer + ${o}u < outers && inner + ${i}u < inners)`;
    const column = (i: number) => `vec4f(${four.map((o) => one(o, i)).join(', ')})`;
    body = `return mat4x4f(${four.map(column).join(', ')});`;
  }
  return `
fn ${name}(outer: u32, inner: u32, outers: u32, inners: u32) -> mat4x4f { ${body} }`;
}

/** `fn put(…)`: the epilogue of four neighbouring results; written once for all jobs, with the last one. */
function store(j: number, v: Variant): string {
  const last = j === v.jobs - 1;
  const one = v.vectorC
    ? `
fn put${j}(row: u32, column: u32, m: u32, n: u32, value: vec4f) {
  if (row >= m || column >= n) { return; }
  let i = (row * n + column) / 4u;
  var sum = value;
  ${v.bias ? `sum += vec4f(bias${j}[column], bias${j}[column + 1u], bias${j}[column + 2u], bias${j}[column + 3u]);` : ''}
  ${v.residual ? `sum += residual${j}[i];` : ''}
  ${v.accumulate ? `sum += c${j}[i];` : ''}
  c${j}[i] = sum;
}`
    : `
fn put${j}(row: u32, column: u32, m: u32, n: u32, value: vec4f) {
  if (row >= m) { return; }
  for (var o = 0u; o < 4u && column + o < n; o++) {
    let i = row * n + column + o;
    var sum = value[o];
    ${v.bias ? `sum += bias${j}[column + o];` : ''}
    ${v.residual ? `sum += residual${j}[i];` : ''}
    ${v.accumulate ? `sum += c${j}[i];` : ''}
    c${j}[i] = sum;
  }
}`;
  const sum =
    v.sums === 'none'
      ? ''
      : `
fn putSum${j}(start: u32, count: u32, value: vec4f) {
  for (var o = 0u; o < 4u && start + o < count; o++) {
    sum${j}[start + o] ${v.accumulateSums ? '+=' : '='} value[o];
  }
}`;
  if (!last) return one + sum;
  const jobs = Array.from({ length: v.jobs }, (_, i) => i);
  const choose = (call: (i: number) => string) =>
    jobs.map((i) => `if (job == ${i}u) { ${call(i)} }`).join(' else ');
  return `${one}${sum}
fn put(job: u32, row: u32, column: u32, m: u32, n: u32, value: vec4f) {
  ${choose((i) => `put${i}(row, column, m, n, value);`)}
}${
    v.sums === 'none'
      ? ''
      : `
fn putSum(job: u32, start: u32, count: u32, value: vec4f) { ${choose((i) => `putSum${i}(start, count, value);`)} }`
  }`;
}

/** Slice after slice hands its part to the first, in order: the sum is the same every time. */
function addSlices(v: Variant, perSlice: number, halves: number[]): string {
  const parts = halves.flatMap((h) => [0, 1, 2, 3].map((i) => `c${h}${i}`));
  // The sums over a side are the same for all threads of a row (column), so they travel in the same way.
  const extra = v.sums === 'a' ? halves.map((h) => `sumA${h}`) : v.sums === 'b' ? ['sumB'] : [];
  const rounds = [parts, ...(extra.length > 0 ? [extra] : [])];
  return `
  for (var giver = 1u; giver < ${v.tile.slices}u; giver++) {
    ${rounds
      .map(
        (names) => `
    if (slice == giver) { ${names.map((name, i) => `shared_sums[${i * perSlice}u + lane] = ${name};`).join(' ')} }
    workgroupBarrier();
    if (slice == 0u) { ${names.map((name, i) => `${name} += shared_sums[${i * perSlice}u + lane];`).join(' ')} }
    workgroupBarrier();`,
      )
      .join('')}
  }`;
}

// ───────────────────────────── calling it ─────────────────────────────

function shapeOf(job: Job, transposes: readonly Transposes[]): Shape {
  const sides = job.terms.map(({ a, b }, i) => {
    const t = transposes[i] as Transposes;
    const [m, k] = t.a ? [a.shape[1], a.shape[0]] : a.shape;
    const [k2, n] = t.b ? [b.shape[1], b.shape[0]] : b.shape;
    if (k !== k2)
      throw new Error(`Product of ${describe(a, t.a)} and ${describe(b, t.b)}: inner sizes differ.`);
    return { m, n, k };
  });
  const [{ m, n }] = sides as [{ m: number; n: number; k: number }];
  if (sides.some((s) => s.m !== m || s.n !== n)) {
    throw new Error('The products of one sum have different shapes.');
  }
  return { m, n, depths: sides.map((s) => s.k) };
}

const describe = (x: tf.Tensor, transposed: boolean) => `[${x.shape.join(', ')}]${transposed ? 'ᵀ' : ''}`;

/** Large tiles where there are enough of them to fill a GPU; else small ones, the inner dimension cut into slices when it is long. */
function chooseTile(shapes: readonly Shape[]): Tile {
  const tiles = (size: number) =>
    shapes.reduce((sum, { m, n }) => sum + Math.ceil(m / size) * Math.ceil(n / size), 0);
  if (tiles(64) >= ENOUGH_TILES) return LARGE;
  const depth = Math.max(...shapes.map((s) => s.depths.reduce((a, b) => a + b, 0)));
  const slices = tiles(32) >= 4 * ENOUGH_TILES || depth < 4 * DEPTH ? 1 : depth < 8 * DEPTH ? 2 : 4;
  const memory = webgpuBackend().device.limits.maxComputeWorkgroupStorageSize;
  return { ...SMALL, slices: slices === 4 && memory < 24 * 1024 ? 2 : slices };
}

type Sums = Variant['sums'];
interface Products {
  results: tf.Tensor2D[];
  sums: tf.Tensor1D[];
}

/**
 * Several sums of products, in one dispatch where the device binds enough buffers, else in as few as it takes. All jobs have as many
 * terms, stored alike, and all or none have a bias, a residual, something to add to. With one term, `sums` also returns Σ over the inner
 * dimension of its left ('a', [m]) or right ('b', [n]) side.
 * @throws Error when shapes disagree
 */
export function products(
  jobs: readonly Job[],
  transposes: readonly Transposes[],
  { sums = 'none' }: { sums?: Sums } = {},
): Products {
  if (bindings(jobs, sums) <= storageBufferLimit()) return together(jobs, transposes, sums);
  if (jobs.length > 1) {
    const middle = Math.ceil(jobs.length / 2);
    const halves = [jobs.slice(0, middle), jobs.slice(middle)].map((some) =>
      products(some, transposes, { sums }),
    );
    return { results: halves.flatMap((h) => h.results), sums: halves.flatMap((h) => h.sums) };
  }
  const [job] = jobs as [Job];
  const middle = Math.ceil(job.terms.length / 2);
  const { results } = products([{ ...job, terms: job.terms.slice(0, middle) }], transposes.slice(0, middle));
  const rest = { terms: job.terms.slice(middle), to: { tensor: results[0] as tf.Tensor2D, add: true } };
  return products([rest], transposes.slice(middle));
}

/** Storage buffers that the jobs bind together. */
function bindings(jobs: readonly Job[], sums: Sums): number {
  const distinct = (side: 'a' | 'b') =>
    new Set(jobs.flatMap((job) => job.terms.map((t) => t[side].dataId))).size;
  const each = (job: Job) =>
    1 + Number(Boolean(job.bias)) + Number(Boolean(job.residual)) + Number(sums !== 'none');
  return distinct('a') + distinct('b') + jobs.reduce((total, job) => total + each(job), 0);
}

/** For each term of each job, the index of the first that has the same tensor on this side. */
function firstWithSame(jobs: readonly Job[], side: 'a' | 'b'): number[] {
  const ids = jobs.flatMap((job) => job.terms.map((t) => t[side].dataId));
  return ids.map((id) => ids.indexOf(id));
}

function together(jobs: readonly Job[], transposes: readonly Transposes[], sums: Sums): Products {
  const shapes = jobs.map((job) => shapeOf(job, transposes));
  const first = jobs[0] as Job;
  const all = (what: string, has: (job: Job) => unknown) => {
    const present = Boolean(has(first));
    if (jobs.some((job) => Boolean(has(job)) !== present))
      throw new Error(`Only some products have ${what}.`);
    return present;
  };
  const multiple = (sizes: number[]) => sizes.every((size) => size % 4 === 0);
  const vectorA = multiple(
    shapes.flatMap(({ m, depths }) => depths.map((depth, i) => (transposes[i]?.a ? m : depth))),
  );
  const vectorB = multiple(
    shapes.flatMap(({ n, depths }) => depths.map((depth, i) => (transposes[i]?.b ? depth : n))),
  );
  const tile = chooseTile(shapes);
  const variant: Variant = {
    tile,
    jobs: jobs.length,
    transposes,
    sameA: firstWithSame(jobs, 'a'),
    sameB: firstWithSame(jobs, 'b'),
    readB: jobs.flatMap((job) => job.terms.map((t) => readingOf(t.b))),
    vectorA,
    vectorB,
    vectorC: multiple(shapes.map((s) => s.n)),
    bias: all('a bias', (job) => job.bias),
    residual: all('a residual', (job) => job.residual),
    accumulate: all('something to add to', (job) => job.to?.add),
    accumulateSums: all('sums to add to', (job) => job.sumTo?.add),
    sums,
  };
  const tensors: Record<string, tf.Tensor> = {};
  const numbers: Record<string, number> = {};
  const results = jobs.map(
    ({ to }, j) =>
      (to?.tensor as tf.Tensor2D | undefined) ?? empty<tf.Tensor2D>([shapes[j]!.m, shapes[j]!.n]),
  );
  const sumOf: tf.Tensor1D[] = [];
  let end = 0;
  jobs.forEach((job, j) => {
    const { m, n, depths } = shapes[j] as Shape;
    job.terms.forEach(({ a, b, scale = 1 }, i) => {
      const index = j * transposes.length + i;
      tensors[`a${variant.sameA[index]}`] = a;
      tensors[`b${variant.sameB[index]}`] = b;
      Object.assign(numbers, { [`depth${index}`]: depths[i], [`scale${index}`]: scale });
    });
    if (job.bias) tensors[`bias${j}`] = job.bias;
    if (job.residual) tensors[`residual${j}`] = job.residual;
    tensors[`c${j}`] = results[j] as tf.Tensor;
    if (sums !== 'none') {
      const sum =
        (job.sumTo?.tensor as tf.Tensor1D | undefined) ?? empty<tf.Tensor1D>([sums === 'a' ? m : n]);
      tensors[`sum${j}`] = sum;
      sumOf.push(sum);
    }
    const across = Math.ceil(n / tile.columns);
    end += across * Math.ceil(m / tile.rows);
    Object.assign(numbers, { [`m${j}`]: m, [`n${j}`]: n, [`across${j}`]: across, [`end${j}`]: end });
  });
  dispatch(program(JSON.stringify(variant)) as Kernel, tensors, numbers, end);
  return { results, sums: sumOf };
}

/** op(a)·op(b), one dispatch. */
export function productFused(
  a: tf.Tensor2D,
  b: tf.Tensor2D,
  transposeA = false,
  transposeB = false,
  epilogue: Omit<Job, 'terms'> = {},
): tf.Tensor2D {
  const { results } = products([{ terms: [{ a, b }], ...epilogue }], [{ a: transposeA, b: transposeB }]);
  return results[0] as tf.Tensor2D;
}
