// What a process asks of WebGPU, whichever engine runs in it: counts, bytes alive, and how long JavaScript itself worked.
// Not here: which engine (engines/), when to look (measure.ts).

export interface WorkCounts {
  dispatches: number;
  submits: number;
  bindGroups: number;
  buffers: number;
  /** Bytes brought in from JavaScript: writeBuffer, and buffers that are made mapped. */
  writtenBytes: number;
  /** Buffers mapped to be read. */
  readbacks: number;
}

const counts: WorkCounts = {
  dispatches: 0,
  submits: 0,
  bindGroups: 0,
  buffers: 0,
  writtenBytes: 0,
  readbacks: 0,
};
let aliveBytes = 0;
let peakBytes = 0;
let queue: GPUQueue | null = null;
const undo: (() => void)[] = [];

export const readCounts = (): WorkCounts => ({ ...counts });
export function countsSince(before: WorkCounts): WorkCounts {
  const keys = Object.keys(counts) as (keyof WorkCounts)[];
  return Object.fromEntries(keys.map((k) => [k, counts[k] - before[k]])) as unknown as WorkCounts;
}
/** Bytes of the buffers made and not destroyed. */
export const readAliveBytes = (): number => aliveBytes;
/** Most bytes of all buffers made and not yet destroyed, pools and staging included. */
export const readPeakBytes = (): number => peakBytes;
/** Starts the peak anew from what is alive now. */
export const resetPeakBytes = (): void => {
  peakBytes = aliveBytes;
};

// biome-ignore lint/suspicious/noExplicitAny: arguments of any method, handed on untouched
type Method = (...args: any[]) => any;

/** Runs `around` in place of a method of all objects of a kind. `restore` false keeps it for the life of the process. */
function wrap(
  kind: string,
  name: string,
  around: (original: Method, self: object) => Method,
  restore = true,
) {
  const prototype = (globalThis as unknown as Record<string, { prototype: object } | undefined>)[kind]
    ?.prototype;
  if (prototype === undefined) throw new Error(`There is no ${kind} here to count on.`);
  const before = Object.getOwnPropertyDescriptor(prototype, name);
  const original = (prototype as Record<string, Method>)[name];
  if (before === undefined || original === undefined) throw new Error(`${kind} has no ${name}.`);
  Object.defineProperty(prototype, name, {
    ...before,
    value(this: object, ...args: unknown[]) {
      return around(original, this).apply(this, args);
    },
  });
  if (restore) undo.push(() => Object.defineProperty(prototype, name, before));
}

/** Counts before or after the call, then hands it on. */
function note(kind: string, name: string, look: (args: unknown[], self: object, result: unknown) => void) {
  wrap(
    kind,
    name,
    (original) =>
      function (this: object, ...args: unknown[]) {
        const result = original.apply(this, args);
        look(args, this, result);
        return result;
      },
  );
}

/**
 * Counts from here on, on the prototypes, so that it sees every engine alike. Call before the engine starts.
 * `stopCounting` takes it all off again, so that timing runs without it.
 */
export function startCounting(): void {
  const sizes = new WeakMap<object, number>();
  // A buffer that is dropped without `destroy` lives until it is collected.
  const collected = new FinalizationRegistry<number>((size) => {
    aliveBytes -= size;
  });
  note('GPUDevice', 'createBuffer', ([descriptor], _device, buffer) => {
    const { size, mappedAtCreation } = descriptor as GPUBufferDescriptor;
    counts.buffers++;
    if (mappedAtCreation === true) counts.writtenBytes += size;
    sizes.set(buffer as object, size);
    collected.register(buffer as object, size, buffer as object);
    aliveBytes += size;
    peakBytes = Math.max(peakBytes, aliveBytes);
  });
  note('GPUBuffer', 'destroy', (_args, buffer) => {
    aliveBytes -= sizes.get(buffer) ?? 0;
    sizes.delete(buffer);
    collected.unregister(buffer);
  });
  note('GPUDevice', 'createBindGroup', () => {
    counts.bindGroups++;
  });
  note('GPUQueue', 'submit', (_args, self) => {
    counts.submits++;
    queue = self as GPUQueue;
  });
  note('GPUQueue', 'writeBuffer', ([, , data, offset, size]) => {
    const { byteLength, BYTES_PER_ELEMENT = 1 } = data as Uint8Array;
    const whole = byteLength - ((offset as number | undefined) ?? 0) * BYTES_PER_ELEMENT;
    counts.writtenBytes += size === undefined ? whole : (size as number) * BYTES_PER_ELEMENT;
  });
  for (const name of ['dispatchWorkgroups', 'dispatchWorkgroupsIndirect']) {
    note('GPUComputePassEncoder', name, () => {
      counts.dispatches++;
    });
  }
  note('GPUBuffer', 'mapAsync', () => {
    counts.readbacks++;
  });
}

export function stopCounting(): void {
  for (const one of undo.splice(0).reverse()) one();
}

/** Resolves when the GPU has done all that any engine of this process has submitted so far. */
export async function gpuDone(): Promise<void> {
  await queue?.onSubmittedWorkDone();
}

// ───────────────────────────── time in JavaScript ─────────────────────────────

let clockMs: () => number = () => performance.now();
let waitedMs = 0;
let waiting = 0;
let idleSince: number | null = null;

/** Calls back when the running task and its promises have come to rest. Timers are clamped in browsers; messages are not. */
const channel = new MessageChannel();
const atRest: (() => void)[] = [];
channel.port1.onmessage = () => atRest.shift()?.();
(channel.port1 as { unref?: () => void }).unref?.();
function whenAtRest(callback: () => void): void {
  atRest.push(callback);
  channel.port2.postMessage(0);
}

function rest(): void {
  whenAtRest(() => {
    if (waiting > 0 && idleSince === null) idleSince = clockMs();
  });
}

function awake(): void {
  waiting--;
  if (idleSince !== null) waitedMs += clockMs() - idleSince;
  idleSince = null;
  if (waiting > 0) rest();
}

/**
 * From here on, time is called waiting while JavaScript has come to rest and a promise of the GPU is open. Everything else (ops,
 * validation, recording, the driver's submit) is work of the JavaScript thread.
 * @param clock in ms; of the thread's own processor time it leaves out what Dawn in Node spends on asking the driver while it waits
 */
export function watchWaiting(clock = clockMs): void {
  clockMs = clock;
  for (const [kind, name] of [
    ['GPUBuffer', 'mapAsync'],
    ['GPUQueue', 'onSubmittedWorkDone'],
  ] as const) {
    wrap(
      kind,
      name,
      (original) =>
        function (this: object, ...args: unknown[]) {
          const promise = original.apply(this, args) as Promise<unknown>;
          waiting++;
          rest();
          promise.then(awake, awake);
          return promise;
        },
      false,
    );
  }
}

/** Milliseconds waited for the GPU so far. */
export const readWaitedMs = (): number => waitedMs;

// ───────────────────────────── the adapter ─────────────────────────────

export interface AdapterName {
  name: string;
  /** Arithmetic on the processor: its times say nothing about a GPU. */
  software: boolean;
  storageBuffersPerStage: number;
}

/** What every engine of this machine gets when it asks for the fast adapter; null where there is no WebGPU. */
export async function adapterName(): Promise<AdapterName | null> {
  const adapter = await globalThis.navigator?.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return null;
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const name = [description || device, vendor, architecture].filter(Boolean).join(' · ') || 'unnamed';
  return {
    name,
    software: isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe|basic render|software/i.test(name),
    storageBuffersPerStage: adapter.limits.maxStorageBuffersPerShaderStage,
  };
}
