// Matrix products on WebGPU: register tiles, sums of products, several results a dispatch, bias and residual in the epilogue.
// Not here: linear layers (linearGroup.wgsl.ts), which tile (tiles.ts), the reference (matmul.ts), products in attention (attention.wgsl.ts).

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
import { chooseTile, DEPTH, ENOUGH_TILES, type Shape, type Tile, tileName, tilesOf } from './tiles';

/** Whether the sides of a product are stored transposed. */
export interface Transposes {
  a: boolean;
  b: boolean;
}

/** One product op(a)·op(b) in a sum of products; `scale` multiplies it. b may be a packed weight (packing.ts). */
export interface Term {
  a: tf.Tensor2D;
  b: tf.Tensor2D;
  transposed?: Transposes;
  scale?: number;
}

/** One result: Σ scale·a·b, + bias over columns, + residual. With `to` it goes into that tensor, or is added to what it holds. */
export interface Job {
  terms: readonly Term[];
  bias?: tf.Tensor1D | null;
  residual?: tf.Tensor2D | null;
  to?: Destination | null;
  /** Also add up the left ('a') or right ('b') side of the only term over the inner dimension: the gradient of a bias. */
  sums?: Sums;
  sumTo?: Destination | null;
}

type Sums = 'none' | 'a' | 'b';

// ───────────────────────────── the program ─────────────────────────────

interface JobVariant {
  terms: readonly Transposes[];
  bias: boolean;
  residual: boolean;
  accumulate: boolean;
  sums: Sums;
  accumulateSums: boolean;
}

interface Variant {
  tile: Tile;
  jobs: readonly JobVariant[];
  /** For each product of each job, the first one with the same left (right) side: a tensor is bound once. */
  sameA: readonly number[];
  sameB: readonly number[];
  /** How each product's right side is read, where it is packed. */
  readB: readonly (Reading | null)[];
  /** Loads and stores of four numbers at once, where every row starts at a multiple of four. */
  vectorA: boolean;
  vectorB: boolean;
  vectorC: boolean;
}

const program = variants((encoded: string) => source(JSON.parse(encoded) as Variant));

function source(v: Variant): KernelSource {
  const { tile, jobs } = v;
  const indices = [...jobs.keys()];
  const firstPairs = runningStarts(jobs.map((job) => job.terms.length));
  const pairs = jobs.flatMap(({ terms }, j) =>
    terms.map((t, i) => ({ ...t, index: (firstPairs[j] as number) + i })),
  );
  const having = (key: 'bias' | 'residual') => indices.filter((j) => jobs[j]?.[key]);
  const summing = indices.filter((j) => jobs[j]?.sums !== 'none');
  const sumsOver = (side: 'a' | 'b') => jobs.some((job) => job.sums === side);
  const perSlice = (tile.rows / tile.threadRows) * (tile.columns / 4);
  const halves = tile.threadRows / 4;
  const loads = tile.rows + tile.columns; // of 4×4 blocks, for both sides
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
    name: `matmul_${tileName(tile)}_${jobs.map(nameOf).join('_')}_${[v.vectorA, v.vectorB, v.vectorC].map(Number).join('')}_${v.sameA.join('.')}_${v.sameB.join('.')}${readings.length > 0 ? `_${v.readB.map((r) => r ?? 'float').join('')}` : ''}`,
    inputs: {
      ...fields(
        element(v.vectorA),
        v.sameA.map((index) => `a${index}`),
      ),
      ...Object.fromEntries(
        v.sameB.map((index) => [`b${index}`, v.readB[index] ? packed : element(v.vectorB)]),
      ),
      ...fields(
        'f32',
        having('bias').map((j) => `bias${j}`),
      ),
      ...fields(
        element(v.vectorC),
        having('residual').map((j) => `residual${j}`),
      ),
    },
    outputs: {
      ...fields(
        element(v.vectorC),
        indices.map((j) => `c${j}`),
      ),
      ...fields(
        'f32',
        summing.map((j) => `sum${j}`),
      ),
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
  var job = 0u; var m = 0u; var n = 0u; var across = 1u; var first = 0u; var pair = 0u; var pairEnd = 0u;
  ${indices
    .map(
      (j) => `if (group < u.end${j}) {
    job = ${j}u; m = u.m${j}; n = u.n${j}; across = u.across${j}; first = ${j === 0 ? '0u' : `u.end${j - 1}`};
    pair = ${firstPairs[j]}u; pairEnd = ${(firstPairs[j] as number) + (jobs[j] as JobVariant).terms.length}u;
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
  ${sumsOver('a') ? threadRows.map((h) => `var sumA${h} = vec4f(0.0);`).join(' ') : ''}
  ${sumsOver('b') ? 'var sumB = vec4f(0.0);' : ''}
  for (; pair < pairEnd; pair++) {
    var depth = 0u; var scale = 1.0;
    ${pairs.map((p) => `if (pair == ${p.index}u) { depth = u.depth${p.index}; scale = u.scale${p.index}; }`).join(' else ')}
    for (var at = 0u; at < depth; at += ${DEPTH * tile.slices}u) {
      let k = at + slice * ${DEPTH}u;
      var tileBlock: mat4x4f;
      var inner: u32;
      var outer: u32;
      ${load(perSlice, loads)} if (part < ${tile.rows}u) {
        ${pairs.map((p) => `if (pair == ${p.index}u) { ${place(rows4, !p.a, 'part')} tileBlock = loadA${p.index}(row0 + outer * 4u, k + inner * 4u, m, depth); }`).join(' else ')}
        let to = (slice * ${DEPTH}u + inner * 4u) * ${strideA}u + outer;
        ${[0, 1, 2, 3].map((i) => `left[to + ${i * strideA}u] = tileBlock[${i}] * scale;`).join(' ')}
      } else${perSlice > loads ? ` if (part < ${loads}u)` : ''} {
        ${pairs.map((p) => `if (pair == ${p.index}u) { ${place(columns4, p.b, `part - ${tile.rows}u`)} tileBlock = loadB${p.index}(column0 + outer * 4u, k + inner * 4u, n, depth); }`).join(' else ')}
        let to = (slice * ${DEPTH}u + inner * 4u) * ${strideB}u + outer;
        ${[0, 1, 2, 3].map((i) => `right[to + ${i * strideB}u] = tileBlock[${i}];`).join(' ')}
      }${perSlice < loads ? ' }' : ''}
      workgroupBarrier();
      for (var d = slice * ${DEPTH}u; d < (slice + 1u) * ${DEPTH}u; d++) {
        let b = right[d * ${strideB}u + tx];
        ${threadRows
          .map(
            (h) => `let a${h} = left[d * ${strideA}u + ${h * (rows4 / halves)}u + ty];
        ${['x', 'y', 'z', 'w'].map((component, i) => `c${h}${i} = fma(vec4f(a${h}.${component}), b, c${h}${i});`).join(' ')}
        ${sumsOver('a') ? `sumA${h} += a${h};` : ''}`,
          )
          .join('\n        ')}
        ${sumsOver('b') ? 'sumB += b;' : ''}
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
    ${sumsOver('a') ? threadRows.map((h) => `if (column0 == 0u && tx == 0u) { putSumA(job, row0 + ${h * (tile.rows / halves)}u + ty * 4u, m, sumA${h}); }`).join('\n    ') : ''}
    ${sumsOver('b') ? 'if (row0 == 0u && ty == 0u) { putSumB(job, column, n, sumB); }' : ''}
  }`,
  } as KernelSource;

  /** A thread loads one block, or several where a slice has fewer threads than blocks. */
  function load(threads: number, blocks: number): string {
    return threads < blocks
      ? `for (var part = lane; part < ${blocks}u; part += ${threads}u) {`
      : 'let part = lane;';
  }

  /** Which 4×4 block of the tile a thread loads; neighbours side by side in memory. */
  function place(outerBlocks: number, innerFirst: boolean, index: string): string {
    return innerFirst
      ? `inner = (${index}) % ${DEPTH / 4}u; outer = (${index}) / ${DEPTH / 4}u;`
      : `outer = (${index}) % ${outerBlocks}u; inner = (${index}) / ${outerBlocks}u;`;
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
  const last = j === v.jobs.length - 1;
  const { bias, residual, accumulate, sums, accumulateSums } = v.jobs[j] as JobVariant;
  const one = v.vectorC
    ? `
fn put${j}(row: u32, column: u32, m: u32, n: u32, value: vec4f) {
  if (row >= m || column >= n) { return; }
  let i = (row * n + column) / 4u;
  var sum = value;
  ${bias ? `sum += vec4f(bias${j}[column], bias${j}[column + 1u], bias${j}[column + 2u], bias${j}[column + 3u]);` : ''}
  ${residual ? `sum += residual${j}[i];` : ''}
  ${accumulate ? `sum += c${j}[i];` : ''}
  c${j}[i] = sum;
}`
    : `
fn put${j}(row: u32, column: u32, m: u32, n: u32, value: vec4f) {
  if (row >= m) { return; }
  for (var o = 0u; o < 4u && column + o < n; o++) {
    let i = row * n + column + o;
    var sum = value[o];
    ${bias ? `sum += bias${j}[column + o];` : ''}
    ${residual ? `sum += residual${j}[i];` : ''}
    ${accumulate ? `sum += c${j}[i];` : ''}
    c${j}[i] = sum;
  }
}`;
  const sum =
    sums === 'none'
      ? ''
      : `
fn putSum${j}(start: u32, count: u32, value: vec4f) {
  for (var o = 0u; o < 4u && start + o < count; o++) {
    sum${j}[start + o] ${accumulateSums ? '+=' : '='} value[o];
  }
}`;
  if (!last) return one + sum;
  const choose = (wanted: (job: JobVariant) => boolean, call: (i: number) => string) =>
    [...v.jobs.keys()]
      .filter((i) => wanted(v.jobs[i] as JobVariant))
      .map((i) => `if (job == ${i}u) { ${call(i)} }`)
      .join(' else ');
  const all = choose(
    () => true,
    (i) => `put${i}(row, column, m, n, value);`,
  );
  const sumOver = (side: 'a' | 'b') => {
    const calls = choose(
      (job) => job.sums === side,
      (i) => `putSum${i}(start, count, value);`,
    );
    return calls === ''
      ? ''
      : `
fn putSum${side.toUpperCase()}(job: u32, start: u32, count: u32, value: vec4f) { ${calls} }`;
  };
  return `${one}${sum}
fn put(job: u32, row: u32, column: u32, m: u32, n: u32, value: vec4f) { ${all} }${sumOver('a')}${sumOver('b')}`;
}

/** A job's switches, for the name of the program. */
function nameOf({ terms, bias, residual, accumulate, sums, accumulateSums }: JobVariant): string {
  const sides = terms.map((t) => `${t.a ? 't' : 'n'}${t.b ? 't' : 'n'}`).join('');
  return `${sides}${[bias, residual, accumulate].map(Number).join('')}${sums === 'none' ? '' : sums + +accumulateSums}`;
}

/** Slice after slice hands its part to the first, in order: the sum is the same every time. */
function addSlices(v: Variant, perSlice: number, halves: number[]): string {
  const parts = halves.flatMap((h) => [0, 1, 2, 3].map((i) => `c${h}${i}`));
  // The sums over a side are the same for all threads of a row (column), so they travel in the same way.
  const over = (side: 'a' | 'b') => v.jobs.some((job) => job.sums === side);
  const extra = [...(over('a') ? halves.map((h) => `sumA${h}`) : []), ...(over('b') ? ['sumB'] : [])];
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

const PLAIN: Transposes = { a: false, b: false };
const storedAs = (term: Term) => term.transposed ?? PLAIN;

function shapeOf(job: Job): Shape {
  const sides = job.terms.map((term) => {
    const { a, b } = term;
    const t = storedAs(term);
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

/** Each job's result, and the sum over a side where it was asked for. */
export interface Products {
  results: tf.Tensor2D[];
  sums: (tf.Tensor1D | null)[];
}

/**
 * Several sums of products, whatever their shapes, in one dispatch where the device binds enough buffers, else in as few as it takes.
 * None may read what another writes. A `tile` is used whatever the shapes; without it they decide.
 * @throws Error when shapes disagree
 */
export function products(jobs: readonly Job[], tile?: Tile): Products {
  const apart = jobs.length > 1 && worthSeparating(jobs);
  if (apart) {
    // Each kind by itself, results in the order of the jobs.
    const made: Products = { results: new Array(jobs.length), sums: new Array(jobs.length).fill(null) };
    for (const some of apart) {
      const part = products(
        some.map((j) => jobs[j] as Job),
        tile,
      );
      for (const [at, j] of some.entries()) {
        made.results[j] = part.results[at] as tf.Tensor2D;
        made.sums[j] = part.sums[at] ?? null;
      }
    }
    return made;
  }
  if (bindings(jobs) <= storageBufferLimit()) return together(jobs, tile);
  if (jobs.length > 1) {
    const middle = Math.ceil(jobs.length / 2);
    const halves = [jobs.slice(0, middle), jobs.slice(middle)].map((half) => products(half, tile));
    return { results: halves.flatMap((h) => h.results), sums: halves.flatMap((h) => h.sums) };
  }
  const [job] = jobs as [Job];
  const middle = Math.ceil(job.terms.length / 2);
  const { results } = products([{ ...job, terms: job.terms.slice(0, middle) }], tile);
  const rest = { terms: job.terms.slice(middle), to: { tensor: results[0] as tf.Tensor2D, add: true } };
  return products([rest], tile);
}

/**
 * Jobs by kind (how their sides are stored), when there are several kinds and enough work to fill a GPU with each: every kind then gets
 * the tile that suits it. Small jobs are better off together, side by side on the GPU. Null when they should stay together.
 */
function worthSeparating(jobs: readonly Job[]): number[][] | null {
  const kinds = new Map<string, number[]>();
  for (const [j, job] of jobs.entries()) {
    const key = job.terms.map((t) => `${storedAs(t).a}${storedAs(t).b}`).join();
    kinds.set(key, [...(kinds.get(key) ?? []), j]);
  }
  if (kinds.size === 1 || tilesOf(jobs.map(shapeOf), 64) < ENOUGH_TILES) return null;
  return [...kinds.values()];
}

/** Storage buffers that the jobs bind together. */
function bindings(jobs: readonly Job[]): number {
  const distinct = (side: 'a' | 'b') =>
    new Set(jobs.flatMap((job) => job.terms.map((t) => t[side].dataId))).size;
  const each = ({ bias, residual, sums = 'none' }: Job) =>
    1 + Number(Boolean(bias)) + Number(Boolean(residual)) + Number(sums !== 'none');
  return distinct('a') + distinct('b') + jobs.reduce((total, job) => total + each(job), 0);
}

/** For each term of each job, the index of the first that has the same tensor on this side. */
function firstWithSame(jobs: readonly Job[], side: 'a' | 'b'): number[] {
  const ids = jobs.flatMap((job) => job.terms.map((t) => t[side].dataId));
  return ids.map((id) => ids.indexOf(id));
}

function together(jobs: readonly Job[], tile?: Tile): Products {
  const shapes = jobs.map(shapeOf);
  const terms = jobs.flatMap((job, j) =>
    job.terms.map((term, i) => {
      const { m, n, depths } = shapes[j] as Shape;
      return { ...term, ...storedAs(term), left: term.a, right: term.b, m, n, depth: depths[i] as number };
    }),
  );
  const multiple = (sizes: number[]) => sizes.every((size) => size % 4 === 0);
  const variant: Variant = {
    tile: tile ?? chooseTile(shapes, webgpuBackend().device.limits),
    jobs: jobs.map((job) => ({
      terms: job.terms.map(storedAs),
      bias: Boolean(job.bias),
      residual: Boolean(job.residual),
      accumulate: job.to?.add ?? false,
      sums: job.sums ?? 'none',
      accumulateSums: job.sumTo?.add ?? false,
    })),
    sameA: firstWithSame(jobs, 'a'),
    sameB: firstWithSame(jobs, 'b'),
    readB: jobs.flatMap((job) => job.terms.map((t) => readingOf(t.b))),
    vectorA: multiple(terms.map((t) => (t.a ? t.m : t.depth))),
    vectorB: multiple(terms.map((t) => (t.b ? t.depth : t.n))),
    vectorC: multiple(shapes.map((s) => s.n)),
  };
  const tensors: Record<string, tf.Tensor> = {};
  const numbers: Record<string, number> = {};
  for (const [index, { left, right, depth, scale = 1 }] of terms.entries()) {
    tensors[`a${variant.sameA[index]}`] = left;
    tensors[`b${variant.sameB[index]}`] = right;
    Object.assign(numbers, { [`depth${index}`]: depth, [`scale${index}`]: scale });
  }
  const made: Products = { results: [], sums: [] };
  let end = 0;
  for (const [j, { bias, residual, to, sums = 'none', sumTo }] of jobs.entries()) {
    const { m, n } = shapes[j] as Shape;
    const result = (to?.tensor as tf.Tensor2D | undefined) ?? empty<tf.Tensor2D>([m, n]);
    made.results.push(result);
    tensors[`c${j}`] = result;
    if (bias) tensors[`bias${j}`] = bias;
    if (residual) tensors[`residual${j}`] = residual;
    if (sums === 'none') made.sums.push(null);
    else {
      const sum = (sumTo?.tensor as tf.Tensor1D | undefined) ?? empty<tf.Tensor1D>([sums === 'a' ? m : n]);
      made.sums.push(sum);
      tensors[`sum${j}`] = sum;
    }
    const across = Math.ceil(n / variant.tile.columns);
    end += across * Math.ceil(m / variant.tile.rows);
    Object.assign(numbers, { [`m${j}`]: m, [`n${j}`]: n, [`across${j}`]: across, [`end${j}`]: end });
  }
  dispatch(program(JSON.stringify(variant)) as Kernel, tensors, numbers, end);
  return made;
}

function runningStarts(counts: readonly number[]): number[] {
  let sum = 0;
  return counts.map((count) => {
    sum += count;
    return sum - count;
  });
}

/** op(a)·op(b), one dispatch. */
export function productFused(
  a: tf.Tensor2D,
  b: tf.Tensor2D,
  transposeA = false,
  transposeB = false,
  epilogue: Omit<Job, 'terms'> = {},
): tf.Tensor2D {
  const { results } = products([
    { terms: [{ a, b, transposed: { a: transposeA, b: transposeB } }], ...epilogue },
  ]);
  return results[0] as tf.Tensor2D;
}

/**
 * The program of a·b alone with this tile, for whoever measures tiles: arrays `a0`, `b0`, `c0`, and the values of its uniforms for
 * [m, k]·[k, n], all multiples of four. `groups` fit one dimension of a dispatch.
 */
export function plainProduct(
  tile: Tile,
  { m, n, k }: { m: number; n: number; k: number },
): { program: Kernel; numbers: Record<string, number>; groups: number } {
  const job = { terms: [PLAIN], bias: false, residual: false, accumulate: false, accumulateSums: false };
  const variant: Variant = {
    tile,
    jobs: [{ ...job, sums: 'none' }],
    sameA: [0],
    sameB: [0],
    readB: [null],
    vectorA: true,
    vectorB: true,
    vectorC: true,
  };
  const across0 = Math.ceil(n / tile.columns);
  const end0 = across0 * Math.ceil(m / tile.rows);
  const numbers = { m0: m, n0: n, across0, end0, depth0: k, scale0: 1 };
  return { program: program(JSON.stringify(variant)) as Kernel, numbers, groups: end0 };
}
