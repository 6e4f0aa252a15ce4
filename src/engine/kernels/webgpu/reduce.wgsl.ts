// WGSL text that kernels share: sums and maxima over the threads of one workgroup.
// Not here: kernels.

/**
 * WGSL that declares `fn NAME(value: TYPE, thread: u32) -> TYPE`: combines the values of a workgroup of `threads` threads (a power of two) and
 * returns the result on every thread. A binary tree of fixed shape in workgroup memory, log2(threads) barriers, so the result
 * does not depend on timing. Call it in uniform control flow only.
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

/** Threads for one row of `columns` numbers: more for long rows, and few enough that short rows leave none idle. */
export const threadsForRow = (columns: number): number => (columns <= 512 ? 64 : 256);
