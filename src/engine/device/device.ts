// Starting the engine's backend: adapter, GPUDevice, choice of backend with its reason, errors of the device.
// Not here: what is tested at start-up (selfTest.ts), the bridge to the backend's internals (kernels/webgpu/program.ts).
//
// How it works: (1) a WebGPU adapter is requested; a software one counts only when WebGPU is forced. (2) A device of our own with the adapter's
// highest limits becomes tfjs's backend. (3) The self-test runs tfjs's ops, then our kernels. If only our kernels fail, the plain reference
// kernels are used; if tfjs's ops fail, WebGPU is refused. (4) Otherwise wasm, tested in the same way, and last cpu. The report says why.

import * as tf from '@tensorflow/tfjs-core';
import type { BackendName, DeviceReport, MemoryReport } from '../../contract';
import { PlaygroundError } from '../../errors';
import { chooseKernels } from '../kernels';
import { chooseHalfReading } from '../kernels/packing/packed.wgsl';
import { packingOf } from '../kernels/packing/packing';
import { installSoftmax } from '../kernels/softmax/softmax.wgsl';
import { loadWasmKernels } from '../kernels/wasm/kernels.wasm';
import { isRelaxed, shareableModule, threadCount } from '../kernels/wasm/memory.wasm';
import type { ThreadHost } from '../kernels/wasm/threads.wasm';
import { takeKernelError } from '../kernels/webgpu/compile';
import { webGpuKernels } from '../kernels/webgpu/kernels.webgpu';
import { compileAhead, flush, releaseAtOnce, trimPool, webgpuBackend } from '../kernels/webgpu/program';
import { kernelChecks } from './kernelChecks';
import { type NumericCheck, type SelfTest, selfTest } from './selfTest';

export type { ThreadHost, ThreadStart } from '../kernels/wasm/threads.wasm';

export interface StartOptions {
  /** Forces one backend, and turns its failure into an error instead of a fall-back. */
  requested?: BackendName | undefined;
  /** Folder of the tfjs `.wasm` files: an address in the browser, a directory in Node. */
  wasmPath: string;
  /** Starts the threads of the wasm backend; null (or absent) where it computes on the calling thread alone. */
  threads?: ThreadHost | null | undefined;
  /** The GPU was lost (driver reset, laptop switched cards, memory). The worker must be started again. */
  onLost: (error: PlaygroundError) => void;
  /** The GPU refused a command. What it should have computed is wrong. */
  onError: (error: PlaygroundError) => void;
}

const FEATURES = ['shader-f16', 'subgroups', 'timestamp-query'] as const;

/** All raised to the adapter's maximum: the WebGPU defaults stop at 128 MiB bindings and eight storage buffers. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
] as const satisfies readonly (keyof GPUSupportedLimits)[];

/**
 * How many dispatches are collected before a submit. tfjs's default of 15 makes dozens of submits of one small step; with one
 * for the whole step the GPU would wait until all is recorded.
 */
const DISPATCHES_PER_SUBMIT = 64;

interface Adapter {
  gpu: GPUAdapter;
  report: NonNullable<DeviceReport['adapter']>;
}

/** The device in use. One per worker, like the tfjs engine itself. */
let current: OwnDevice | null = null;

interface OwnDevice {
  device: GPUDevice;
  /** Its first error since the last `takeDeviceError`. */
  error: PlaygroundError | null;
  /** Set once it is lost. */
  lost: PlaygroundError | null;
  /** It has passed its tests and is in use: from then on its loss is reported to `onLost`. */
  inUse: boolean;
}

/**
 * Chooses, starts and tests a backend: WebGPU where a real adapter passes the self-test, else wasm, else an error.
 * `requested` forces one: forced `webgpu` runs on a software adapter too, and fails when the self-test does.
 * @throws PlaygroundError `webgpu_unavailable`, `webgpu_wrong`, `gpu_lost`, `wasm_unavailable`, `wasm_wrong`, `cpu_wrong`
 */
export async function startDevice(options: StartOptions): Promise<DeviceReport> {
  const { requested } = options;
  if (requested === 'cpu') return startWithoutGpu('cpu', options, 'The cpu backend was asked for.');
  if (requested === 'wasm') return startWithoutGpu('wasm', options, 'The wasm backend was asked for.');
  const refusal = await tryWebGpu(options);
  if (!('reason' in refusal)) return refusal;
  if (requested === 'webgpu') throw refusal.error;
  try {
    return await startWithoutGpu('wasm', options, refusal.reason, refusal.adapter);
  } catch (thrown) {
    if (!(thrown instanceof PlaygroundError)) throw thrown;
    const because = `${refusal.reason} The wasm backend does not start either: ${thrown.message}`;
    return startWithoutGpu('cpu', options, because, refusal.adapter);
  }
}

/**
 * The first error the GPU has reported since the last call, or null. A WebGPU error throws nothing where it happens: the
 * command is dropped and its result is whatever was in the buffer. So callers check after each step whose numbers they have awaited.
 */
export function takeDeviceError(): PlaygroundError | null {
  if (current === null) return null;
  const refused = takeKernelError();
  const error = current.lost ?? current.error ?? (refused === null ? null : gpuError(refused.message));
  current.error = null;
  return error;
}

/** As `takeDeviceError`, after the GPU has finished what was submitted and its error events have been handled. */
export async function awaitDeviceError(): Promise<PlaygroundError | null> {
  if (current === null) return null;
  // On a lost device this may reject; the reason is then in `lost`.
  await current.device.queue.onSubmittedWorkDone().catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 0));
  return takeDeviceError();
}

/**
 * Frees the buffers that the pool keeps for reuse, and drops the errors of abandoned work.
 * @throws PlaygroundError `gpu_lost` when the device was lost
 */
export async function freeUnused(): Promise<void> {
  if (current === null) return;
  if (current.lost === null) trimPool();
  const error = await awaitDeviceError();
  if (error?.code === 'gpu_lost') throw error;
}

/**
 * Uploads tensors to the GPU now. tfjs does it at their first use and drops its copy then, so that a lack of memory in the middle of a step
 * would lose weights that cannot be read again.
 * @throws PlaygroundError when the GPU has no room for them
 */
export async function holdOnDevice(tensors: Iterable<tf.Tensor>): Promise<void> {
  if (current === null) return;
  const backend = webgpuBackend();
  for (const tensor of tensors) if (packingOf(tensor) === null) backend.uploadToGPU(tensor.dataId);
  flush(backend);
  const error = await awaitDeviceError();
  if (error) throw error;
}

/** Live tensors and their bytes; on WebGPU also what the buffer pool has allocated. */
export function memoryReport(): MemoryReport {
  const memory = tf.memory() as tf.MemoryInfo & { numBytesAllocatedInGPU?: number };
  return {
    tensors: memory.numTensors,
    tensorBytes: memory.numBytes,
    deviceBytes: memory.numBytesAllocatedInGPU ?? null,
  };
}

// ───────────────────────────── WebGPU ─────────────────────────────

interface Refusal {
  reason: string;
  error: PlaygroundError;
  adapter: DeviceReport['adapter'];
}

function refuse(code: string, reason: string, fix: string, adapter: DeviceReport['adapter'] = null): Refusal {
  const error = new PlaygroundError({ code, message: reason, fix, where: adapter?.description ?? 'WebGPU' });
  return { reason: `${reason} So the wasm backend runs.`, error, adapter };
}

async function tryWebGpu({ requested, onLost, onError }: StartOptions): Promise<DeviceReport | Refusal> {
  const gpu: GPU | undefined = globalThis.navigator?.gpu;
  if (!gpu) {
    const reason = 'This browser offers no WebGPU.';
    return refuse('webgpu_unavailable', reason, 'Use a recent Chrome, Edge or Safari, or choose wasm.');
  }
  const adapter = await findAdapter(gpu);
  if (adapter === null) {
    const reason = 'WebGPU is there, but it finds no graphics adapter.';
    return refuse(
      'webgpu_unavailable',
      reason,
      'Turn on hardware acceleration in the browser, or choose wasm.',
    );
  }
  if (adapter.report.software && requested !== 'webgpu') {
    const reason = `The only WebGPU adapter is a software one (${adapter.report.description}), slower than wasm.`;
    return refuse('webgpu_unavailable', reason, 'Turn on hardware acceleration.', adapter.report);
  }
  let device: GPUDevice;
  try {
    device = await openDevice(adapter.gpu);
  } catch (thrown) {
    const reason = `The adapter ${adapter.report.description} gives no device: ${messageOf(thrown)}`;
    return refuse(
      'webgpu_unavailable',
      reason,
      'Update the graphics driver, or choose wasm.',
      adapter.report,
    );
  }
  const own = watchDevice(device, adapter.report.description, onLost, onError);
  await useWebGpu(own, adapter.gpu.info);
  const { checks, failure, without } = await testAll();
  const { lost } = own;
  if (failure !== null) {
    current = null;
    tf.removeBackend('webgpu');
    device.destroy();
    const reason = lost
      ? `The graphics card ${adapter.report.description} was lost while it was tested.`
      : `WebGPU on ${adapter.report.description} computes wrong numbers (${failure}).`;
    return refuse(
      lost ? 'gpu_lost' : 'webgpu_wrong',
      reason,
      'Update the browser and the graphics driver, or choose wasm.',
      adapter.report,
    );
  }
  trimPool();
  own.inUse = true;
  const forced = requested === 'webgpu' ? 'WebGPU was asked for; ' : 'WebGPU is the fastest; ';
  return {
    backend: 'webgpu',
    because: `${forced}${adapter.report.description} passes all ${checks.length} numeric checks.${without}`,
    adapter: adapter.report,
    features: [...device.features].sort(),
    limits: Object.fromEntries(LIMITS.map((name) => [name, device.limits[name]])),
    selfTest: checks,
    threads: 0,
    simd: false,
    relaxedSimd: false,
  };
}

/** Collects the errors of a device, and reports its loss once it is in use. */
function watchDevice(
  device: GPUDevice,
  description: string,
  onLost: StartOptions['onLost'],
  onError: StartOptions['onError'],
): OwnDevice {
  const own: OwnDevice = { device, error: null, lost: null, inUse: false };
  device.addEventListener('uncapturederror', (event) => {
    const error = gpuError(event.error.message, event.error instanceof GPUOutOfMemoryError);
    // A lack of memory leaves invalid buffers, whose errors may come first: the lack of memory is the error to report.
    if (own.error === null || error.code === 'gpu_memory') own.error = error;
    onError(error);
  });
  device.lost.then(({ message }) => {
    // A device that was refused, or replaced by another, needs no report.
    if (current !== own) return;
    const error = new PlaygroundError({
      code: 'gpu_lost',
      message: `The browser took the graphics card away from this page: ${message.trim().replace(/\.$/, '') || 'no reason given'}.`,
      fix: 'Start the engine again. If it comes back, a smaller batch or shorter rows need less of it, and the wasm backend needs none.',
      where: description,
    });
    own.lost = error;
    if (own.inUse) onLost(error);
  });
  return own;
}

/** Makes this device tfjs's backend, with our kernels. */
async function useWebGpu(own: OwnDevice, info: GPUAdapterInfo): Promise<void> {
  const { WebGPUBackend } = await import('@tensorflow/tfjs-backend-webgpu');
  tf.env().set('WEBGPU_MATMUL_PROGRAM_TYPE', 3); // tfjs's own choice, split-K, is wrong for a transposed right side
  tf.env().set('WEBGPU_CPU_FORWARD', false); // every op where its tensors are, so that a step can be captured
  tf.env().set('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE', DISPATCHES_PER_SUBMIT);
  // The package registers its own device under the name its kernels are bound to; ours takes its place.
  if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu');
  tf.registerBackend('webgpu', () => new WebGPUBackend(own.device, info), 3);
  installSoftmax();
  current = own;
  await tf.setBackend('webgpu');
  releaseAtOnce(webgpuBackend());
  chooseKernels(webGpuKernels());
  await chooseHalfReading();
}

/**
 * tfjs's ops first, then our kernels. When only ours fail, the plain reference kernels are used.
 * @returns `without`: a sentence that says so, or nothing
 */
async function testAll(): Promise<SelfTest & { without: string }> {
  // The device's errors are awaited after each set, so that they are not attributed to what is tested next.
  const run = async (given?: readonly NumericCheck[]) => {
    const { checks, failure } = await selfTest(given);
    const error = await awaitDeviceError();
    return { checks, failure: failure ?? error?.message ?? null };
  };
  const ops = await run();
  if (ops.failure !== null) return { ...ops, without: '' };
  if (tf.getBackend() === 'webgpu') await compileAhead(() => kernelChecks().map(dispatchOf));
  const own = await run(kernelChecks());
  if (own.failure === null) return { checks: [...ops.checks, ...own.checks], failure: null, without: '' };
  chooseKernels({});
  const plain = await run(kernelChecks());
  const without = ` The fast kernels are off, because one is wrong here (${own.failure}).`;
  return { checks: [...ops.checks, ...plain.checks], failure: plain.failure, without };
}

/** Runs a check for its dispatches alone. What it throws here, it throws again in the test, which then fails. */
function dispatchOf({ actual }: NumericCheck): tf.Tensor | null {
  try {
    return actual();
  } catch {
    return null;
  }
}

async function findAdapter(gpu: GPU): Promise<Adapter | null> {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) return null;
  const { vendor, architecture, description, device, isFallbackAdapter } = adapter.info;
  // Browsers leave fields empty against fingerprinting.
  const name =
    description || device || [vendor, architecture].filter(Boolean).join(' ') || 'an unnamed adapter';
  const software =
    isFallbackAdapter === true ||
    architecture === 'swiftshader' ||
    /swiftshader|llvmpipe|lavapipe|basic render|software/i.test(`${name} ${architecture}`);
  return { gpu: adapter, report: { vendor, architecture, description: name, software } };
}

function openDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  return adapter.requestDevice({
    label: 'finetune-playground',
    requiredFeatures: FEATURES.filter((name) => adapter.features.has(name)),
    requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
  });
}

/** @param isOutOfMemory whether it is a GPUOutOfMemoryError; a single buffer above the limit is reported as a validation error */
function gpuError(message: string, isOutOfMemory = false): PlaygroundError {
  const memory =
    isOutOfMemory ||
    /out.?of.?(device.|host.)?memory|allocation|exceeds the max|larger than the max/i.test(message);
  return new PlaygroundError({
    code: memory ? 'gpu_memory' : 'gpu_error',
    message: `The GPU refused a command, so its last results are wrong: ${message.trim()}`,
    fix: memory
      ? 'It is about memory. Train with a smaller batch_size or max_length, or with gradient_checkpointing on; let it answer with fewer max_new_tokens or after a shorter conversation; or choose a smaller model.'
      : 'Start the engine again. If it comes back, choose the wasm backend and report the text of this message.',
    where: 'WebGPU',
  });
}

// ───────────────────────────── wasm and cpu ─────────────────────────────

async function startWithoutGpu(
  backend: 'wasm' | 'cpu',
  { wasmPath, threads: host = null }: StartOptions,
  because: string,
  adapter: DeviceReport['adapter'] = null,
): Promise<DeviceReport> {
  current = null;
  const start = backend === 'wasm' ? await startWasm(wasmPath, host) : await startCpu();
  const { threads, simd, relaxedSimd, singleThread } = start;
  const { checks, failure, without } = await testAll();
  if (failure !== null) {
    throw new PlaygroundError({
      code: `${backend}_wrong`,
      message: `The ${backend} backend computes wrong numbers (${failure}).`,
      fix: 'Update the browser. If it is up to date, report the text of this message.',
      where: backend,
    });
  }
  return {
    ...{ backend, because: `${because}${singleThread}${without}`, adapter, features: [], limits: {} },
    ...{ selfTest: checks, threads, simd, relaxedSimd },
  };
}

interface PlainStart {
  threads: number;
  simd: boolean;
  relaxedSimd: boolean;
  /** Why there is one thread where several were asked for; a sentence with a space before it, or nothing. */
  singleThread: string;
}

async function startCpu(): Promise<PlainStart> {
  await import('@tensorflow/tfjs-backend-cpu');
  await tf.setBackend('cpu');
  chooseKernels({});
  return { threads: 1, simd: false, relaxedSimd: false, singleThread: '' };
}

async function startWasm(wasmPath: string, host: ThreadHost | null): Promise<PlainStart> {
  try {
    const wasm = await import('@tensorflow/tfjs-backend-wasm');
    const simd = (await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT')) === true;
    // tfjs's own threads would run its own products only, which our kernels replace.
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
    const folder = wasmPath.endsWith('/') ? wasmPath : `${wasmPath}/`;
    let singleThread = '';
    const noThreads = (thrown: unknown) => {
      singleThread = ` It computes on one thread, because several do not start: ${messageOf(thrown)}.`;
      return null;
    };
    const wanted = simd && host !== null && host.count > 1 ? host : null;
    const files = wanted && (await shareableModule(wanted, folder).catch(noThreads));
    if (files) wasm.setWasmPaths(files, true);
    else wasm.setWasmPaths(folder);
    if (!(await tf.setBackend('wasm'))) throw new Error(`nothing usable under ${wasmPath}`);
    const kernels =
      (files && (await loadWasmKernels(wanted).catch(noThreads))) ?? (await loadWasmKernels(null));
    chooseKernels(kernels);
    return { threads: threadCount(), simd, relaxedSimd: isRelaxed(), singleThread };
  } catch (thrown) {
    throw new PlaygroundError(
      {
        code: 'wasm_unavailable',
        message: `The wasm backend does not start: ${messageOf(thrown)}`,
        fix: 'Check that the page serves the three tfjs .wasm files, and that the browser allows WebAssembly.',
        where: wasmPath,
      },
      { cause: thrown },
    );
  }
}

function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  // tfjs-backend-wasm rejects with a plain {message}.
  if (typeof thrown === 'object' && thrown !== null && 'message' in thrown) return String(thrown.message);
  return String(thrown);
}
