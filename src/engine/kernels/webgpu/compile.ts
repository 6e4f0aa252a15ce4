// From the description of a program to its pipeline, compiled once for each device: at once, or ahead and beside others.
// Not here: what a description is and what is done with pipelines (program.ts).

import type { Kernel, KernelSource } from './kernel';

interface Compiled {
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
}

interface Made {
  compiled: Map<string, Compiled>;
  layouts: Map<string, GPUBindGroupLayout>;
}

const devices = new WeakMap<GPUDevice, Made>();
const compiling = new Set<Promise<void>>();
let kernelError: Error | null = null;

export function isCompiled(device: GPUDevice, program: Kernel): boolean {
  return madeFor(device).compiled.has(program.source.name);
}

/** Compiles now, unless it was before. A browser's GPU process does nothing else meanwhile. */
export function compile(device: GPUDevice, program: Kernel): Compiled {
  const state = madeFor(device);
  const { name } = program.source;
  const known = state.compiled.get(name);
  if (known) return known;
  device.pushErrorScope('validation');
  const { layout, module, descriptor } = describe(device, program);
  const pipeline = device.createComputePipeline(descriptor);
  // It rejects only when the device is gone, which `device.lost` tells.
  const heard = device.popErrorScope().catch(() => null);
  const verdict = heard.then(async (refused) => {
    if (refused === null) return;
    const { messages } = await module.getCompilationInfo();
    const lines = program.code.split('\n');
    const details = messages.map((m) => `${m.message} at "${lines[m.lineNum - 1]?.trim() ?? ''}"`);
    kernelError ??= new Error(
      `The kernel ${name} does not compile: ${[refused.message, ...details].join('\n')}`,
    );
  });
  compiling.add(verdict);
  void verdict.finally(() => compiling.delete(verdict));
  const compiled = { pipeline, layout };
  state.compiled.set(name, compiled);
  return compiled;
}

/** Compiles in the background. One that does not compile is left to `compile`, which says what is wrong with it. */
export async function compileSoon(device: GPUDevice, program: Kernel): Promise<void> {
  device.pushErrorScope('validation');
  const { layout, descriptor } = describe(device, program);
  const [made] = await Promise.allSettled([
    device.createComputePipelineAsync(descriptor),
    device.popErrorScope(),
  ]);
  const { compiled } = madeFor(device);
  const { name } = program.source;
  if (made.status === 'fulfilled' && !compiled.has(name))
    compiled.set(name, { pipeline: made.value, layout });
}

function describe(device: GPUDevice, program: Kernel) {
  const { name } = program.source;
  const layout = bindGroupLayout(device, madeFor(device), program.source);
  const module = device.createShaderModule({ label: name, code: program.code });
  const descriptor = {
    label: name,
    layout: device.createPipelineLayout({ label: name, bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: 'main' },
  };
  return { layout, module, descriptor };
}

/** Explicit, so that a body need not use all it is given; shared by programs of the same signature. */
function bindGroupLayout(device: GPUDevice, state: Made, source: KernelSource): GPUBindGroupLayout {
  const types: GPUBufferBindingType[] = [
    ...Object.keys(source.inputs).map(() => 'read-only-storage' as const),
    ...Object.keys(source.outputs).map(() => 'storage' as const),
    'uniform',
    ...(source.live === undefined ? [] : (['uniform'] as const)),
  ];
  const key = types.join();
  let layout = state.layouts.get(key);
  if (!layout) {
    const entries = types.map((type, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type },
    }));
    layout = device.createBindGroupLayout({ label: key, entries });
    state.layouts.set(key, layout);
  }
  return layout;
}

/** The first compile error that nobody has taken yet, or null. */
export function takeKernelError(): Error | null {
  const error = kernelError;
  kernelError = null;
  return error;
}

/** Waits until the compiler has spoken about every program so far. @throws Error with its messages when it refused one */
export async function settleKernels(): Promise<void> {
  await Promise.all(compiling);
  const error = takeKernelError();
  if (error !== null) throw error;
}

function madeFor(device: GPUDevice): Made {
  let made = devices.get(device);
  if (!made) {
    made = { compiled: new Map(), layouts: new Map() };
    devices.set(device, made);
  }
  return made;
}
