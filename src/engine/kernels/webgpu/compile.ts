// Compiles the description of a program to a pipeline, once for each device: synchronously, or ahead of time in the background.
// Not here: what a description is (kernel.ts), what is done with pipelines (program.ts).

import type { Kernel, KernelSource } from './kernel';

interface Compiled {
  pipeline: GPUComputePipeline;
  layout: GPUBindGroupLayout;
}

interface Cache {
  compiled: Map<string, Compiled>;
  layouts: Map<string, GPUBindGroupLayout>;
}

const devices = new WeakMap<GPUDevice, Cache>();
const compiling = new Set<Promise<void>>();
let kernelError: Error | null = null;

export function isCompiled(device: GPUDevice, program: Kernel): boolean {
  return cacheOf(device).compiled.has(program.source.name);
}

/** The pipeline of a program; compiles synchronously unless it is cached. A browser's GPU process does nothing else meanwhile. */
export function compile(device: GPUDevice, program: Kernel): Compiled {
  const state = cacheOf(device);
  const { name } = program.source;
  const known = state.compiled.get(name);
  if (known) return known;
  device.pushErrorScope('validation');
  const { layout, module, descriptor } = describe(device, program);
  const pipeline = device.createComputePipeline(descriptor);
  // Rejects only when the device is lost, which `device.lost` reports.
  const popped = device.popErrorScope().catch(() => null);
  const checked = popped.then(async (refused) => {
    if (refused === null) return;
    const { messages } = await module.getCompilationInfo();
    const lines = program.code.split('\n');
    const details = messages.map((m) => `${m.message} at "${lines[m.lineNum - 1]?.trim() ?? ''}"`);
    kernelError ??= new Error(
      `The kernel ${name} does not compile: ${[refused.message, ...details].join('\n')}`,
    );
  });
  compiling.add(checked);
  void checked.finally(() => compiling.delete(checked));
  const compiled = { pipeline, layout };
  state.compiled.set(name, compiled);
  return compiled;
}

/** Compiles in the background. Errors are ignored here: `compile` will meet the same program and report them. */
export async function compileSoon(device: GPUDevice, program: Kernel): Promise<void> {
  device.pushErrorScope('validation');
  const { layout, descriptor } = describe(device, program);
  const [made] = await Promise.allSettled([
    device.createComputePipelineAsync(descriptor),
    device.popErrorScope(),
  ]);
  const { compiled } = cacheOf(device);
  const { name } = program.source;
  if (made.status === 'fulfilled' && !compiled.has(name))
    compiled.set(name, { pipeline: made.value, layout });
}

function describe(device: GPUDevice, program: Kernel) {
  const { name } = program.source;
  const layout = bindGroupLayout(device, cacheOf(device), program.source);
  const module = device.createShaderModule({ label: name, code: program.code });
  const descriptor = {
    label: name,
    layout: device.createPipelineLayout({ label: name, bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: 'main' },
  };
  return { layout, module, descriptor };
}

/** An explicit layout, so that a body need not use all its bindings; shared by programs of the same signature. */
function bindGroupLayout(device: GPUDevice, state: Cache, source: KernelSource): GPUBindGroupLayout {
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

/** The first compile error since the last call, or null. */
export function takeKernelError(): Error | null {
  const error = kernelError;
  kernelError = null;
  return error;
}

/** Waits until every program so far is compiled. @throws Error with the compiler's messages for the first that failed since the last call */
export async function settleKernels(): Promise<void> {
  await Promise.all(compiling);
  const error = takeKernelError();
  if (error !== null) throw error;
}

function cacheOf(device: GPUDevice): Cache {
  let cache = devices.get(device);
  if (!cache) {
    cache = { compiled: new Map(), layouts: new Map() };
    devices.set(device, cache);
  }
  return cache;
}
