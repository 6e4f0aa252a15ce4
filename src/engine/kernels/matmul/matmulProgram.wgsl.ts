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
  const { tile, jobs } = v;
  const indices = [...jobs.keys()];
  const firstPairs = runningStarts(jobs.map((job) => job.terms.length));
  const pairs = jobs.flatMap(({ terms }, j) =>
    terms.map((t, i) => ({ ...t, index: (firstPairs[j] as number) + i })),
  );
  const having = (key: 'bias' | 'residual') => indices.filter((j) => jobs[j]?.[key]);
  const gated = jobs.some((job) => job.activates?.upTerms);
  const [activation] = jobs.flatMap((job) => job.activates ?? job.through ?? []).map((f) => f.activation);
  const sidesOf = (job: JobVariant | undefined, j: number) => [
    `gate${j}`,
    ...(job?.activates?.upTerms || job?.through?.gated ? [`up${j}`] : []),
  ];
  const summing = indices.filter((j) => jobs[j]?.sums !== 'none');
  const sumsOver = (side: 'a' | 'b') => jobs.some((job) => job.sums === side);
  const perSlice = (tile.rows / tile.threadRows) * (tile.columns / 4);
  const halves = tile.threadRows / 4;
  const loads = tile.rows + tile.columns; // of 4×4 blocks, for both sides
  const [rows4, columns4] = [tile.rows / 4, tile.columns / 4];
  // One more than a power of two, so that neighbouring threads store to different banks of workgroup memory.
  const [strideA, strideB] = [rows4 + 1, columns4 + 1];
  const fields = <T extends string>(type: T, names: string[]) =>
    Object.fromEntries(names.map((n) => [n, type]));
  const results = [...new Set(jobs.map((job) => job.to.array))];
  const apart = summing.map((j) => jobs[j]?.sumTo.array as string).filter((name) => !results.includes(name));
  const element = (vector: boolean) => (vector ? 'vec4f' : 'f32');
  const packed = v.vectorB ? 'vec2u' : 'u32';
  const sideA: Side = {
    products: pairs.map((p) => ({ array: `a${v.sameA[p.index]}`, innerFirst: !p.a, reading: null })),
    vector: v.vectorA,
  };
  const sideB: Side = {
    products: pairs.map((p) => {
      return { array: `b${v.sameB[p.index]}`, innerFirst: p.b, reading: v.readB[p.index] ?? null };
    }),
    vector: v.vectorB,
  };
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
      ...fields(
        'f32',
        indices.filter((j) => jobs[j]?.activates?.bias).map((j) => `upBias${j}`),
      ),
      ...fields(
        element(v.vectorC),
        indices.filter((j) => jobs[j]?.through).flatMap((j) => sidesOf(jobs[j], j)),
      ),
    },
    outputs: {
      ...fields(element(v.vectorC), [
        ...results,
        ...indices.filter((j) => jobs[j]?.activates).flatMap((j) => sidesOf(jobs[j], j)),
        ...indices.filter((j) => jobs[j]?.through?.gated).map((j) => `dup${j}`),
      ]),
      ...fields('f32', apart),
    },
    uniforms: {
      ...fields(
        'u32',
        indices.flatMap((j) => [`m${j}`, `n${j}`, `across${j}`, `end${j}`]),
      ),
      ...fields(
        'u32',
        indices.filter((j) => jobs[j]?.to.shared).map((j) => `at${j}`),
      ),
      ...fields(
        'u32',
        summing.filter((j) => jobs[j]?.sumTo.shared).map((j) => `sumAt${j}`),
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
${activation ? activationText(activation) : ''}
${loader('loadA', sideA)}
${loader('loadB', sideB)}
${indices.map((j) => store(j, v)).join('')}`,
    body: `
  var job = 0u; var m = 0u; var n = 0u; var across = 1u; var first = 0u; var pair = 0u; var pairEnd = 0u;
  ${gated ? 'var upFrom = 0u;' : ''}
  ${indices
    .map(
      (j) => `if (group < u.end${j}) {
    job = ${j}u; m = u.m${j}; n = u.n${j}; across = u.across${j}; first = ${j === 0 ? '0u' : `u.end${j - 1}`};
    pair = ${firstPairs[j]}u; pairEnd = ${(firstPairs[j] as number) + (jobs[j] as JobVariant).terms.length}u;
    ${jobs[j]?.activates?.upTerms ? `upFrom = ${(firstPairs[j] as number) + (jobs[j]?.activates?.upTerms ?? 0)}u;` : ''}
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
  ${gated ? threadRows.map((h) => [0, 1, 2, 3].map((i) => `var g${h}${i} = vec4f(0.0);`).join(' ')).join('\n  ') : ''}
  ${sumsOver('a') ? threadRows.map((h) => `var sumA${h} = vec4f(0.0);`).join(' ') : ''}
  ${sumsOver('b') ? 'var sumB = vec4f(0.0);' : ''}
  for (; pair < pairEnd; pair++) {
    ${gated ? `if (pair == upFrom && upFrom > 0u) { ${threadRows.map((h) => [0, 1, 2, 3].map((i) => `g${h}${i} = c${h}${i}; c${h}${i} = vec4f(0.0);`).join(' ')).join(' ')} }` : ''}
    var depth = 0u; var scale = 1.0;
    ${pairs.map((p) => `if (pair == ${p.index}u) { depth = u.depth${p.index}; scale = u.scale${p.index}; }`).join(' else ')}
    for (var at = 0u; at < depth; at += ${DEPTH * tile.slices}u) {
      let k = at + slice * ${DEPTH}u;
      ${load(perSlice, loads)} if (part < ${tile.rows}u) {
        ${place(sideA, rows4, 'part')}
        let tileBlock = loadA(pair, row0 + outer * 4u, k + inner * 4u, m, depth);
        let to = (slice * ${DEPTH}u + inner * 4u) * ${strideA}u + outer;
        ${[0, 1, 2, 3].map((i) => `left[to + ${i * strideA}u] = tileBlock[${i}] * scale;`).join(' ')}
      } else${perSlice > loads ? ` if (part < ${loads}u)` : ''} {
        ${place(sideB, columns4, `(part - ${tile.rows}u)`)}
        let tileBlock = loadB(pair, column0 + outer * 4u, k + inner * 4u, n, depth);
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
          .map(
            (i) =>
              `put(job, row0 + ${h * (tile.rows / halves) + i}u + ty * 4u, column, m, n, c${h}${i}${gated ? `, g${h}${i}` : ''});`,
          )
          .join('\n    '),
      )
      .join('\n    ')}
    ${sumsOver('a') ? threadRows.map((h) => `if (column0 == 0u && tx == 0u) { putSumA(job, row0 + ${h * (tile.rows / halves)}u + ty * 4u, m, sumA${h}); }`).join('\n    ') : ''}
    ${sumsOver('b') ? 'if (row0 == 0u && ty == 0u) { putSumB(job, column, n, sumB); }' : ''}
  }`,
  } as KernelSource;

  /** WGSL: a thread loads one block, or several where a slice has fewer threads than blocks. */
  function load(threads: number, blocks: number): string {
    return threads < blocks
      ? `for (var part = lane; part < ${blocks}u; part += ${threads}u) {`
      : 'let part = lane;';
  }

  /** WGSL: which 4×4 block of the tile a thread loads. Neighbouring threads read neighbouring memory. */
  function place(side: Side, outerBlocks: number, index: string): string {
    const inner = [`${index} / ${outerBlocks}u`, `${index} % ${DEPTH / 4}u`] as const;
    const outer = [`${index} % ${outerBlocks}u`, `${index} / ${DEPTH / 4}u`] as const;
    const pick = ([no, yes]: readonly [string, string]) => choose(alongInner(side), yes, no);
    return `let inner = ${pick(inner)}; let outer = ${pick(outer)};`;
  }
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
function addSlices(v: Variant, perSlice: number, halves: number[]): string {
  const parts = halves.flatMap((h) => [0, 1, 2, 3].map((i) => `c${h}${i}`));
  // The sums over a side are added up in the same way.
  const over = (side: 'a' | 'b') => v.jobs.some((job) => job.sums === side);
  const extra = [...(over('a') ? halves.map((h) => `sumA${h}`) : []), ...(over('b') ? ['sumB'] : [])];
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
