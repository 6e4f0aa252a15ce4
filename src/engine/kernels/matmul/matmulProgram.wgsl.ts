// The WGSL of a matrix product: register tiles, sums of products, several results in one dispatch, and their epilogues.
// Not here: which products are made together, and with which tile (matmul.wgsl.ts).

import type { Activation } from '../activation/activation';
import { activationFunctions } from '../activation/activation.wgsl';
import { type Reading, unpackText } from '../packing/packed.wgsl';
import { type KernelSource, variants } from '../webgpu/kernel';
import { DEPTH, type Tile, tileName } from '../webgpu/tiles';

// One dispatch makes several results ("jobs"), each a sum of products ("pairs") with an epilogue.
// A workgroup makes one tile of one job (64 × 64 numbers, say). It loops over the pairs of the job and over their inner dimension, DEPTH elements at
// a time: (1) all threads load that part of both sides into workgroup memory, as 4 × 4 blocks, transposed where a side is stored transposed,
// zero past the edges; (2) barrier; (3) each thread adds DEPTH outer products into its 4 or 8 rows × 4 columns of the tile, held in
// registers; (4) barrier. Each number loaded is used rows (or columns) of the tile times, which is what makes a product fast.
// Small results: `slices` groups of threads in a workgroup take different parts of the inner dimension, and their sums are added in order at the
// end, so the result repeats to the bit. Epilogue, on registers: bias, activation or its slope, residual, addition to what is there.
// Memory: slices · DEPTH · (rows + columns + 8) floats of workgroup memory, and the sums that slices exchange; no temporaries in global memory.

/** Whether the sides of a product are stored transposed. */
export interface Transposes {
  a: boolean;
  b: boolean;
}

/** Also sum the left ('a') or right ('b') side of a product over the inner dimension. */
export type Sums = 'none' | 'a' | 'b';

/** What the text depends on, of one job. */
export interface JobVariant {
  terms: readonly Transposes[];
  bias: boolean;
  residual: boolean;
  accumulate: boolean;
  sums: Sums;
  accumulateSums: boolean;
  /** The arrays that the result and the sums are written to. */
  to: Place;
  sumTo: Place;
  /** `upTerms`: 0 where there is no up. */
  activates: { activation: Activation; upTerms: number; bias: boolean } | null;
  through: { activation: Activation; gated: boolean } | null;
}

/** A `shared` array holds several results; a uniform gives the first element of this one. */
export interface Place {
  array: string;
  shared: boolean;
}

/** What the text of a program depends on. */
export interface Variant {
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

export const program = variants(source);

function source(v: Variant): KernelSource {
  const text = textParts(v);
  return {
    name: programName(v),
    inputs: inputsOf(v),
    outputs: outputsOf(v),
    uniforms: uniformsOf(v, text.pairs),
    workgroup: text.perSlice * v.tile.slices,
    declare: declarations(v, text),
    body: bodyOf(v, text),
  } as KernelSource;
}

const FOUR = [0, 1, 2, 3] as const;

/** One product of the program: how its sides are stored, and its index among the products of all jobs. */
type Pair = Transposes & { index: number };

/** What several parts of the text need, computed once from the variant. */
interface TextParts {
  pairs: readonly Pair[];
  /** Index of each job's first product. */
  firstPairs: readonly number[];
  /** Whether a job makes act(gate)·up: a thread then holds a second set of sums. */
  gated: boolean;
  sumsOver: { a: boolean; b: boolean };
  sideA: Side;
  sideB: Side;
  /** Threads of one slice. */
  perSlice: number;
  /** The blocks of four rows that a thread computes: [0] or [0, 1]. */
  blocks: readonly number[];
  /** Four rows (columns) of the tile are one vec4f. */
  rows4: number;
  columns4: number;
  /** One more than a power of two, so that neighbouring threads store to different banks of workgroup memory. */
  strideA: number;
  strideB: number;
}

function textParts(v: Variant): TextParts {
  const { tile, jobs } = v;
  const firstPairs = runningStarts(jobs.map((job) => job.terms.length));
  const pairs = jobs.flatMap(({ terms }, j) =>
    terms.map((t, i) => ({ ...t, index: (firstPairs[j] as number) + i })),
  );
  const [rows4, columns4] = [tile.rows / 4, tile.columns / 4];
  return {
    ...{ pairs, firstPairs, rows4, columns4 },
    gated: jobs.some((job) => job.activates?.upTerms),
    sumsOver: {
      a: jobs.some((job) => job.sums === 'a'),
      b: jobs.some((job) => job.sums === 'b'),
    },
    sideA: {
      products: pairs.map((p) => ({ array: `a${v.sameA[p.index]}`, innerFirst: !p.a, reading: null })),
      vector: v.vectorA,
    },
    sideB: {
      products: pairs.map((p) => {
        return { array: `b${v.sameB[p.index]}`, innerFirst: p.b, reading: v.readB[p.index] ?? null };
      }),
      vector: v.vectorB,
    },
    perSlice: (tile.rows / tile.threadRows) * columns4,
    blocks: Array.from({ length: tile.threadRows / 4 }, (_, h) => h),
    strideA: rows4 + 1,
    strideB: columns4 + 1,
  };
}

const readingsOf = (v: Variant): Reading[] => [...new Set(v.readB)].filter((reading) => reading !== null);

/** Two variants with different texts have different names. */
function programName(v: Variant): string {
  const readings = readingsOf(v).length > 0 ? `_${v.readB.map((r) => r ?? 'float').join('')}` : '';
  return `matmul_${tileName(v.tile)}_${v.jobs.map(nameOf).join('_')}_${[v.vectorA, v.vectorB, v.vectorC].map(Number).join('')}_${v.sameA.join('.')}_${v.sameB.join('.')}${readings}`;
}

const fields = <T extends string>(type: T, names: readonly string[]) =>
  Object.fromEntries(names.map((n) => [n, type]));
const element = (vector: boolean) => (vector ? 'vec4f' : 'f32');
/** Indices of the jobs of which this holds. */
const jobsWith = (v: Variant, holds: (job: JobVariant) => unknown) =>
  [...v.jobs.keys()].filter((j) => holds(v.jobs[j] as JobVariant));
/** Arrays of job j's gate and, where it has one, up. */
const sidesOf = (v: Variant, j: number) => {
  const { activates, through } = v.jobs[j] as JobVariant;
  return [`gate${j}`, ...(activates?.upTerms || through?.gated ? [`up${j}`] : [])];
};
const summing = (v: Variant) => jobsWith(v, (job) => job.sums !== 'none');

function inputsOf(v: Variant): KernelSource['inputs'] {
  const named = (name: string, holds: (job: JobVariant) => unknown) =>
    jobsWith(v, holds).map((j) => `${name}${j}`);
  const packed = v.vectorB ? 'vec2u' : 'u32';
  return {
    ...fields(
      element(v.vectorA),
      v.sameA.map((index) => `a${index}`),
    ),
    ...Object.fromEntries(
      v.sameB.map((index) => [`b${index}`, v.readB[index] ? packed : element(v.vectorB)]),
    ),
    ...fields(
      'f32',
      named('bias', (job) => job.bias),
    ),
    ...fields(
      element(v.vectorC),
      named('residual', (job) => job.residual),
    ),
    ...fields(
      'f32',
      named('upBias', (job) => job.activates?.bias),
    ),
    ...fields(
      element(v.vectorC),
      jobsWith(v, (job) => job.through).flatMap((j) => sidesOf(v, j)),
    ),
  };
}

function outputsOf(v: Variant): KernelSource['outputs'] {
  const results = [...new Set(v.jobs.map((job) => job.to.array))];
  const sums = summing(v).map((j) => (v.jobs[j] as JobVariant).sumTo.array);
  return {
    ...fields(element(v.vectorC), [
      ...results,
      ...jobsWith(v, (job) => job.activates).flatMap((j) => sidesOf(v, j)),
      ...jobsWith(v, (job) => job.through?.gated).map((j) => `dup${j}`),
    ]),
    ...fields(
      'f32',
      sums.filter((name) => !results.includes(name)),
    ),
  };
}

function uniformsOf(v: Variant, pairs: readonly Pair[]): NonNullable<KernelSource['uniforms']> {
  return {
    ...fields(
      'u32',
      [...v.jobs.keys()].flatMap((j) => [`m${j}`, `n${j}`, `across${j}`, `end${j}`]),
    ),
    ...fields(
      'u32',
      jobsWith(v, (job) => job.to.shared).map((j) => `at${j}`),
    ),
    ...fields(
      'u32',
      summing(v).flatMap((j) => (v.jobs[j]?.sumTo.shared ? [`sumAt${j}`] : [])),
    ),
    ...fields(
      'u32',
      pairs.map((p) => `depth${p.index}`),
    ),
    ...fields(
      'f32',
      pairs.map((p) => `scale${p.index}`),
    ),
  };
}

/** WGSL: workgroup memory and the functions that read both sides and write the results. */
function declarations(v: Variant, text: TextParts): string {
  const { tile, jobs } = v;
  const { perSlice, strideA, strideB } = text;
  const [activation] = jobs.flatMap((job) => job.activates ?? job.through ?? []).map((f) => f.activation);
  return `
var<workgroup> left: array<vec4f, ${tile.slices * DEPTH * strideA}>;  // [slice, depth, row / 4]
var<workgroup> right: array<vec4f, ${tile.slices * DEPTH * strideB}>; // [slice, depth, column / 4]
${tile.slices > 1 ? `var<workgroup> shared_sums: array<vec4f, ${perSlice * tile.threadRows}>;` : ''}
${readingsOf(v).map(unpackText).join('')}
${activation ? activationText(activation) : ''}
${loader('loadA', text.sideA)}
${loader('loadB', text.sideB)}
${[...jobs.keys()].map((j) => store(j, v)).join('')}`;
}

/** WGSL of `main`: find the job and tile of this workgroup, add up its products, write the results. */
function bodyOf(v: Variant, text: TextParts): string {
  const { tile } = v;
  const { perSlice, columns4, gated, sumsOver, blocks } = text;
  return `
  ${findJob(v, text)}
  let tile = group - first;
  let row0 = (tile / across) * ${tile.rows}u;
  let column0 = (tile % across) * ${tile.columns}u;
  let slice = thread / ${perSlice}u;
  let lane = thread % ${perSlice}u;
  let ty = lane / ${columns4}u;
  let tx = lane % ${columns4}u;
  ${blocks.map((h) => FOUR.map((i) => `var c${h}${i} = vec4f(0.0);`).join(' ')).join('\n  ')}
  ${gated ? blocks.map((h) => FOUR.map((i) => `var g${h}${i} = vec4f(0.0);`).join(' ')).join('\n  ') : ''}
  ${sumsOver.a ? blocks.map((h) => `var sumA${h} = vec4f(0.0);`).join(' ') : ''}
  ${sumsOver.b ? 'var sumB = vec4f(0.0);' : ''}
  ${addProducts(v, text)}
  ${tile.slices > 1 ? addSlices(v, perSlice, blocks) : ''}
  ${writeTile(v, text)}`;
}

/** WGSL: the job of this workgroup, its sizes, its first workgroup, and the range of its products. */
function findJob({ jobs }: Variant, { gated, firstPairs }: TextParts): string {
  return `var job = 0u; var m = 0u; var n = 0u; var across = 1u; var first = 0u; var pair = 0u; var pairEnd = 0u;
  ${gated ? 'var upFrom = 0u;' : ''}
  ${jobs
    .map(({ terms, activates }, j) => {
      const start = firstPairs[j] as number;
      return `if (group < u.end${j}) {
    job = ${j}u; m = u.m${j}; n = u.n${j}; across = u.across${j}; first = ${j === 0 ? '0u' : `u.end${j - 1}`};
    pair = ${start}u; pairEnd = ${start + terms.length}u;
    ${activates?.upTerms ? `upFrom = ${start + activates.upTerms}u;` : ''}
  }`;
    })
    .join(' else ')}`;
}

/** WGSL: for each product of the job, DEPTH elements of the inner dimension at a time: load both sides, add outer products. */
function addProducts({ tile }: Variant, text: TextParts): string {
  const { pairs, gated, sumsOver, blocks, rows4, strideA, strideB } = text;
  const startUp = blocks.map((h) =>
    FOUR.map((i) => `g${h}${i} = c${h}${i}; c${h}${i} = vec4f(0.0);`).join(' '),
  );
  const addBlock = (h: number) => `let a${h} = left[d * ${strideA}u + ${h * (rows4 / blocks.length)}u + ty];
        ${['x', 'y', 'z', 'w'].map((component, i) => `c${h}${i} = fma(vec4f(a${h}.${component}), b, c${h}${i});`).join(' ')}
        ${sumsOver.a ? `sumA${h} += a${h};` : ''}`;
  return `for (; pair < pairEnd; pair++) {
    ${gated ? `if (pair == upFrom && upFrom > 0u) { ${startUp.join(' ')} }` : ''}
    var depth = 0u; var scale = 1.0;
    ${pairs.map((p) => `if (pair == ${p.index}u) { depth = u.depth${p.index}; scale = u.scale${p.index}; }`).join(' else ')}
    for (var at = 0u; at < depth; at += ${DEPTH * tile.slices}u) {
      let k = at + slice * ${DEPTH}u;
      ${loadSides(tile, text)}
      workgroupBarrier();
      for (var d = slice * ${DEPTH}u; d < (slice + 1u) * ${DEPTH}u; d++) {
        let b = right[d * ${strideB}u + tx];
        ${blocks.map(addBlock).join('\n        ')}
        ${sumsOver.b ? 'sumB += b;' : ''}
      }
      workgroupBarrier();
    }
  }`;
}

/** WGSL: copies DEPTH elements of both sides to workgroup memory. A thread loads one 4×4 block, or several where a slice has fewer threads than blocks. */
function loadSides(tile: Tile, text: TextParts): string {
  const { perSlice, sideA, sideB, rows4, columns4, strideA, strideB } = text;
  const loads = tile.rows + tile.columns; // of 4×4 blocks, for both sides
  const loops = perSlice < loads;
  return `${loops ? `for (var part = lane; part < ${loads}u; part += ${perSlice}u) {` : 'let part = lane;'} if (part < ${tile.rows}u) {
        ${blockOf(sideA, rows4, 'part')}
        let tileBlock = loadA(pair, row0 + outer * 4u, k + inner * 4u, m, depth);
        let to = (slice * ${DEPTH}u + inner * 4u) * ${strideA}u + outer;
        ${FOUR.map((i) => `left[to + ${i * strideA}u] = tileBlock[${i}] * scale;`).join(' ')}
      } else${perSlice > loads ? ` if (part < ${loads}u)` : ''} {
        ${blockOf(sideB, columns4, `(part - ${tile.rows}u)`)}
        let tileBlock = loadB(pair, column0 + outer * 4u, k + inner * 4u, n, depth);
        let to = (slice * ${DEPTH}u + inner * 4u) * ${strideB}u + outer;
        ${FOUR.map((i) => `right[to + ${i * strideB}u] = tileBlock[${i}];`).join(' ')}
      }${loops ? ' }' : ''}`;
}

/** WGSL: which 4×4 block of the tile a thread loads. Neighbouring threads read neighbouring memory. */
function blockOf(side: Side, outerBlocks: number, index: string): string {
  const inner = [`${index} / ${outerBlocks}u`, `${index} % ${DEPTH / 4}u`] as const;
  const outer = [`${index} % ${outerBlocks}u`, `${index} / ${DEPTH / 4}u`] as const;
  const pick = ([no, yes]: readonly [string, string]) => choose(alongInner(side), yes, no);
  return `let inner = ${pick(inner)}; let outer = ${pick(outer)};`;
}

/** WGSL: the first slice hands its registers to the epilogue of its job. */
function writeTile({ tile }: Variant, { gated, sumsOver, blocks }: TextParts): string {
  const start = (h: number) => h * (tile.rows / blocks.length);
  return `if (slice == 0u) {
    let column = column0 + tx * 4u;
    ${blocks
      .map((h) =>
        FOUR.map(
          (i) =>
            `put(job, row0 + ${start(h) + i}u + ty * 4u, column, m, n, c${h}${i}${gated ? `, g${h}${i}` : ''});`,
        ).join('\n    '),
      )
      .join('\n    ')}
    ${sumsOver.a ? blocks.map((h) => `if (column0 == 0u && tx == 0u) { putSumA(job, row0 + ${start(h)}u + ty * 4u, m, sumA${h}); }`).join('\n    ') : ''}
    ${sumsOver.b ? 'if (row0 == 0u && ty == 0u) { putSumB(job, column, n, sumB); }' : ''}
  }`;
}

/** The left or the right sides of all products of a program. */
interface Side {
  /** For each product: its array, whether that is stored [outer, inner] rather than [inner, outer], and how it is packed. */
  products: readonly { array: string; innerFirst: boolean; reading: Reading | null }[];
  vector: boolean;
}

/** WGSL: whether product `pair` is stored [outer, inner]; 'true' or 'false' where all products are alike. */
function alongInner({ products }: Side): string {
  if (products.every((p) => p.innerFirst)) return 'true';
  if (!products.some((p) => p.innerFirst)) return 'false';
  const mask = products.reduce((bits, p, i) => bits + (p.innerFirst ? 2 ** i : 0), 0);
  return `((${mask}u >> pair) & 1u) == 1u`;
}

const choose = (condition: string, yes: string, no: string) =>
  condition === 'true' ? yes : condition === 'false' ? no : `select(${no}, ${yes}, ${condition})`;

/**
 * `fn NAME(pair, outer, inner, outers, inners) -> mat4x4f`: four inner by four outer elements, as columns over the outer ones; zero
 * beyond the edge. Only the reads are repeated for each array; everything else is written once, which keeps compile times down.
 */
function loader(name: string, side: Side): string {
  const four = [0, 1, 2, 3];
  const along = alongInner(side);
  const either = (yes: string, no: string) =>
    choose(along === 'true' || along === 'false' ? along : 'along', yes, no);
  const arrays = [...new Set(side.products.map((p) => p.array))];
  const reads = arrays.map((array) => {
    const users = side.products.flatMap((p, i) => (p.array === array ? [i] : []));
    const reading = side.products[users[0] as number]?.reading;
    const at = (index: string) =>
      side.vector
        ? reading
          ? `${reading}_four(${array}[${index}])`
          : `${array}[${index}]`
        : reading
          ? `${reading}_one(${array}[(${index}) / 2u], ${index})`
          : `${array}[${index}]`;
    const lines = side.vector
      ? four.map((j) => `r${j} = ${at(`at + ${j}u * step`)};`)
      : four.map(
          (i) => `r${i} = vec4f(${four.map((o) => at(`at + ${o}u * outerStep + ${i}u * step`)).join(', ')});`,
        );
    const when = users.map((i) => `pair == ${i}u`).join(' || ');
    return `${arrays.length > 1 ? `if (${when}) ` : ''}{ ${lines.join(' ')} }`;
  });
  const body = side.vector
    ? `
  let at = (${either('outer * inners + inner', 'inner * outers + outer')}) / 4u;
  let step = ${either('inners', 'outers')} / 4u;
  ${reads.join(' else ')}
  let inside = ${either('inner < inners', 'outer < outers')};
  let begin = ${either('outer', 'inner')};
  let end = ${either('outers', 'inners')};
  let read = mat4x4f(${four.map((j) => `select(vec4f(0.0), r${j}, inside && begin + ${j}u < end)`).join(', ')});
  ${along === 'true' ? 'return transpose(read);' : along === 'false' ? 'return read;' : 'if (along) { return transpose(read); } return read;'}`
    : `
  let at = ${either('outer * inners + inner', 'inner * outers + outer')};
  let step = ${either('1u', 'outers')};
  let outerStep = ${either('inners', '1u')};
  ${reads.join(' else ')}
  let inside = vec4u(outer) + vec4u(0u, 1u, 2u, 3u) < vec4u(outers);
  return mat4x4f(${four.map((i) => `select(vec4f(0.0), r${i}, inside & vec4<bool>(inner + ${i}u < inners))`).join(', ')});`;
  return `
fn ${name}(pair: u32, outer: u32, inner: u32, outers: u32, inners: u32) -> mat4x4f {
  ${along === 'true' || along === 'false' ? '' : `let along = ${along};`}
  ${four.map((j) => `var r${j} = vec4f(0.0);`).join(' ')}${body}
}`;
}

/** `fn putJ(…)`: the epilogue of four neighbouring results of job j; with the last job also `fn put(…)`, which calls that of `job`. */
function store(j: number, v: Variant): string {
  const last = j === v.jobs.length - 1;
  const job = v.jobs[j] as JobVariant;
  const { bias, residual, accumulate, sums, accumulateSums, to, sumTo, activates, through } = job;
  const gated = v.jobs.some((other) => other.activates?.upTerms);
  const parameters = `row: u32, column: u32, m: u32, n: u32, value: vec4f${gated ? ', gate: vec4f' : ''}`;
  const at = to.shared ? `u.at${j} + ` : '';
  const c = (index: string) => `${to.array}[${index}]`;
  const one = v.vectorC
    ? `
fn put${j}(${parameters}) {
  if (row >= m || column >= n) { return; }
  let i = (row * n + column) / 4u;
  ${to.shared ? `let to = i + u.at${j} / 4u;` : 'let to = i;'}
  var sum = value;
  ${bias ? `let bias = vec4f(bias${j}[column], bias${j}[column + 1u], bias${j}[column + 2u], bias${j}[column + 3u]);` : ''}
  ${activates?.bias ? `let upBias = vec4f(upBias${j}[column], upBias${j}[column + 1u], upBias${j}[column + 2u], upBias${j}[column + 3u]);` : ''}
  ${activates ? activate('gate', 'i', '4') : through ? passBack('i', '4') : bias ? 'sum += bias;' : ''}
  ${residual ? `sum += residual${j}[i];` : ''}
  ${accumulate ? `sum += ${c('to')};` : ''}
  ${c('to')} = sum;
}`
    : `
fn put${j}(${parameters}) {
  if (row >= m) { return; }
  for (var o = 0u; o < 4u && column + o < n; o++) {
    let i = row * n + column + o;
    var sum = value[o];
    ${bias ? `let bias = bias${j}[column + o];` : ''}
    ${activates?.bias ? `let upBias = upBias${j}[column + o];` : ''}
    ${activates ? activate('gate[o]', 'i', '') : through ? passBack('i', '') : bias ? 'sum += bias;' : ''}
    ${residual ? `sum += residual${j}[i];` : ''}
    ${accumulate ? `sum += ${c(`${at}i`)};` : ''}
    ${c(`${at}i`)} = sum;
  }
}`;
  const sum =
    sums === 'none'
      ? ''
      : `
fn putSum${j}(start: u32, count: u32, value: vec4f) {
  for (var o = 0u; o < 4u && start + o < count; o++) {
    let to = start + o${sumTo.shared ? ` + u.sumAt${j}` : ''};
    ${v.vectorC && v.jobs.some((job) => job.to.array === sumTo.array) ? `${sumTo.array}[to / 4u][to % 4u]` : `${sumTo.array}[to]`} ${accumulateSums ? '+=' : '='} value[o];
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
    (i) => `put${i}(row, column, m, n, value${gated ? ', gate' : ''});`,
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
fn put(job: u32, ${parameters}) { ${all} }${sumOver('a')}${sumOver('b')}`;

  /** WGSL: writes gate and up, and puts act(gate)·up into `sum`. */
  function activate(gate: string, index: string, width: '4' | ''): string {
    const hasUp = Boolean(activates?.upTerms);
    return `
    let g = ${hasUp ? gate : 'sum'}${bias ? ' + bias' : ''};
    gate${j}[${index}] = g;
    ${hasUp ? `let up = sum${activates?.bias ? ' + upBias' : ''}; up${j}[${index}] = up;` : ''}
    sum = act${width}(g)${hasUp ? ' * up' : ''};`;
  }

  /** WGSL: `sum` holds the gradient of act(gate)·up; writes that of up, and puts that of gate into `sum`. */
  function passBack(index: string, width: '4' | ''): string {
    return `
    let g = gate${j}[${index}];
    ${through?.gated ? `dup${j}[${index}] = sum * act${width}(g);` : ''}
    sum *= slope${width}(g)${through?.gated ? ` * up${j}[${index}]` : ''};`;
  }
}

/** The activation and its slope, of one number and of four. */
const activationText = (activation: Activation) =>
  activationFunctions(activation) +
  ['act', 'slope']
    .map(
      (f) => `
fn ${f}4(x: vec4f) -> vec4f { return vec4f(${['x', 'y', 'z', 'w'].map((c) => `${f}(x.${c})`).join(', ')}); }`,
    )
    .join('');

/** A job's switches, for the name of the program. */
function nameOf(job: JobVariant): string {
  const { terms, bias, residual, accumulate, sums, accumulateSums, to, sumTo, activates, through } = job;
  const sides = terms.map((t) => `${t.a ? 't' : 'n'}${t.b ? 't' : 'n'}`).join('');
  const ends =
    (activates ? `_${activates.activation}_${activates.upTerms}_${Number(activates.bias)}` : '') +
    (through ? `_through_${through.activation}_${Number(through.gated)}` : '');
  const places = [to, sumTo].map(({ array, shared }) => (shared ? `>${array}` : '')).join('');
  return `${sides}${[bias, residual, accumulate].map(Number).join('')}${sums === 'none' ? '' : sums + +accumulateSums}${places}${ends}`;
}

/** WGSL: adds the sums of the other slices to those of the first, slice after slice, so that the result is the same every time. */
function addSlices(v: Variant, perSlice: number, blocks: readonly number[]): string {
  const parts = blocks.flatMap((h) => FOUR.map((i) => `c${h}${i}`));
  // The sums over a side are added up in the same way.
  const over = (side: 'a' | 'b') => v.jobs.some((job) => job.sums === side);
  const extra = [...(over('a') ? blocks.map((h) => `sumA${h}`) : []), ...(over('b') ? ['sumB'] : [])];
  const gates = v.jobs.some((job) => job.activates?.upTerms)
    ? parts.map((name) => name.replace('c', 'g'))
    : [];
  const rounds = [parts, gates, extra].filter((names) => names.length > 0);
  return `
  for (var from_slice = 1u; from_slice < ${v.tile.slices}u; from_slice++) {
    ${rounds
      .map(
        (names) => `
    if (slice == from_slice) { ${names.map((name, i) => `shared_sums[${i * perSlice}u + lane] = ${name};`).join(' ')} }
    workgroupBarrier();
    if (slice == 0u) { ${names.map((name, i) => `${name} += shared_sums[${i * perSlice}u + lane];`).join(' ')} }
    workgroupBarrier();`,
      )
      .join('')}
  }`;
}

function runningStarts(counts: readonly number[]): number[] {
  let sum = 0;
  return counts.map((count) => {
    sum += count;
    return sum - count;
  });
}
