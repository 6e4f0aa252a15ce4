// WGSL text that kernels share: sums and maxima over the threads of one workgroup.
// Not here: kernels.

/**
 * Declares `fn NAME(value: TYPE, thread: u32) -> TYPE`, the combination over a workgroup of `threads` (a power of two), the same on
 * every thread. A tree of fixed shape, so the result does not depend on timing. Call it in uniform control flow only.
 */
export function reduction(
  name: string,
  threads: number,
  { type = 'f32', combine = 'a + b' }: { type?: string; combine?: string } = {},
): string {
  return `
var<workgroup> ${name}Part: array<${type}, ${threads}>;
fn ${name}Pair(a: ${type}, b: ${type}) -> ${type} { return ${combine}; }
fn ${name}(value: ${type}, thread: u32) -> ${type} {
  ${name}Part[thread] = value;
  workgroupBarrier();
  for (var half = ${threads / 2}u; half > 0u; half >>= 1u) {
    if (thread < half) { ${name}Part[thread] = ${name}Pair(${name}Part[thread], ${name}Part[thread + half]); }
    workgroupBarrier();
  }
  let all = ${name}Part[0];
  workgroupBarrier();
  return all;
}`;
}

/** Threads for one row of `columns` numbers: enough to be busy, few enough that short rows leave none idle. */
export const threadsForRow = (columns: number): number => (columns <= 512 ? 64 : 256);
