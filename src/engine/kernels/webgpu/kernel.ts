// What a kernel is: a WGSL program described by its bindings, its uniforms and its body; and the WGSL text written from the description.
// Not here: compiling it (compile.ts), running it on tensors (program.ts).

export type Scalar = 'f32' | 'i32' | 'u32';
export type Element = Scalar | 'vec2f' | 'vec4f' | 'vec2u' | 'vec4u' | 'atomic<u32>' | 'f16' | 'vec4h';

/** A WGSL program, described; declarations of bindings and uniforms are written from this, so they cannot disagree. */
export interface KernelSource {
  /** Names the pipeline: two sources with one name must have the same text. */
  name: string;
  /** Storage arrays that are only read, by the name the body uses. */
  inputs: Readonly<Record<string, Element>>;
  /** Storage arrays that are written, and may be read: results, and what is updated in place. */
  outputs: Readonly<Record<string, Element>>;
  /** Read in the body as `u.name`. Determined by shapes and options; equal values share one immutable buffer. */
  uniforms?: Readonly<Record<string, Scalar>>;
  /** Read as `live.name`. What changes from step to step: a captured step is replayed with new values for these names. */
  live?: Readonly<Record<string, Scalar>>;
  /** Threads of a workgroup. */
  workgroup: number | readonly [number, number];
  /** WGSL language extensions that the text needs. */
  extensions?: readonly ('f16' | 'subgroups')[];
  /** Module-scope declarations: constants, workgroup variables, functions. */
  declare?: string;
  /**
   * Body of `main`. In scope: `thread` (index in the workgroup), `local`, `workgroup` (vec3u), and `group`: the linear index of
   * the workgroup when the dispatch names a plain number of them, which may exceed 65,535.
   */
  body: string;
}

export interface Kernel<S extends KernelSource = KernelSource> {
  readonly source: S;
  readonly code: string;
}

/** The uniform that holds the number of workgroups where a plain number of them is folded over two dimensions. */
export const GROUP_COUNT = 'groupCount';

/** Describes a program; nothing is compiled before its first dispatch. */
export function kernel<const S extends KernelSource>(source: S): Kernel<S> {
  return { source, code: wgsl(source) };
}

/** A family of programs that differ by sizes or switches written into their text. `settings` is plain JSON; each program is described once. */
export function variants<A extends object, const S extends KernelSource>(
  source: (settings: A) => S,
): (settings: A) => Kernel<S> {
  const made = new Map<string, Kernel<S>>();
  return (settings) => {
    const key = JSON.stringify(settings);
    let program = made.get(key);
    if (!program) {
      program = kernel(source(settings));
      made.set(key, program);
    }
    return program;
  };
}

/** A program's name from its op and settings: switches that are on by their key, numbers and texts as `key=value`. */
export function programName(
  op: string,
  settings: Readonly<Record<string, string | number | boolean>>,
): string {
  const parts = Object.entries(settings).flatMap(([key, value]) =>
    value === false ? [] : [value === true ? key : `${key}=${value}`],
  );
  return [op, ...parts].join('_');
}

/** The whole WGSL text of a program. */
export function wgsl(source: KernelSource): string {
  const { inputs, outputs, uniforms = {}, live = {}, extensions = [] } = source;
  const lines: string[] = extensions.map((name) => `enable ${name};`);
  let binding = 0;
  for (const [name, element] of Object.entries(inputs)) {
    lines.push(`@group(0) @binding(${binding++}) var<storage, read> ${name}: array<${element}>;`);
  }
  for (const [name, element] of Object.entries(outputs)) {
    lines.push(`@group(0) @binding(${binding++}) var<storage, read_write> ${name}: array<${element}>;`);
  }
  const struct = (type: string, fields: readonly [string, Scalar][]) =>
    `struct ${type} { ${fields.map(([name, scalar]) => `${name}: ${scalar}`).join(', ')} }`;
  const fixed: [string, Scalar][] = [[GROUP_COUNT, 'u32'], ...Object.entries(uniforms)];
  lines.push(struct('Uniforms', fixed), `@group(0) @binding(${binding++}) var<uniform> u: Uniforms;`);
  if (Object.keys(live).length > 0) {
    lines.push(
      struct('Live', Object.entries(live)),
      `@group(0) @binding(${binding}) var<uniform> live: Live;`,
    );
  }
  const [x, y] = typeof source.workgroup === 'number' ? [source.workgroup, 1] : source.workgroup;
  lines.push(
    source.declare ?? '',
    `@compute @workgroup_size(${x}, ${y})`,
    'fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u,',
    '    @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) thread: u32) {',
    // Folding over two dimensions starts more workgroups than were asked for.
    '  let group = workgroup.x + workgroup.y * workgroups.x;',
    `  if (u.${GROUP_COUNT} != 0u && group >= u.${GROUP_COUNT}) { return; }`,
    source.body,
    '}',
  );
  return lines.join('\n');
}
