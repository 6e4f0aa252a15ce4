// Counts dispatches, submits, buffers and bytes of a stretch of work: the figures of a step that do not depend on the hardware.
// Not here: timing (test/bench/), what the numbers should be (test/dispatches.gpu.test.ts).

import { webgpuBackend } from './program';

export interface WorkCount {
  dispatches: number;
  passes: number;
  submits: number;
  bindGroups: number;
  buffers: number;
  /** Bytes of the buffers created. */
  bufferBytes: number;
  /** Bytes written from JavaScript through the queue. */
  writtenBytes: number;
  /** Bytes copied from buffer to buffer: what is read back. */
  copiedBytes: number;
  /** Peak of bytes in use, uniforms and staging included; free buffers in a pool are not. */
  peakBytes: number;
}

export interface WorkCounter {
  /** Since the start, or since the last `reset`. */
  read(): WorkCount;
  reset(): void;
  /** Takes the counter off the device again. */
  stop(): void;
}

/** Counts all calls on the webgpu backend's device, those of tfjs's own ops as well. One counter at a time. */
export function countWork(): WorkCounter {
  const backend = webgpuBackend();
  const { device, queue } = backend;
  const none = (): WorkCount => ({
    dispatches: 0,
    passes: 0,
    submits: 0,
    bindGroups: 0,
    buffers: 0,
    bufferBytes: 0,
    writtenBytes: 0,
    copiedBytes: 0,
    peakBytes: backend.bufferManager.numBytesUsed,
  });
  let count = none();
  const look = () => {
    count.peakBytes = Math.max(count.peakBytes, backend.bufferManager.numBytesUsed);
  };
  const undo = [
    before(device, 'createBuffer', ([descriptor]) => {
      count.buffers++;
      count.bufferBytes += descriptor.size;
      look();
    }),
    before(device, 'createBindGroup', () => {
      count.bindGroups++;
      look();
    }),
    before(queue, 'submit', () => {
      count.submits++;
      look();
    }),
    before(queue, 'writeBuffer', ([, , data, , size]) => {
      count.writtenBytes += size ?? data.byteLength;
    }),
  ];
  // On the prototypes, since passes and encoders are short-lived objects of the backend.
  const passType = GPUComputePassEncoder.prototype;
  const encoderType = GPUCommandEncoder.prototype;
  undo.push(
    before(passType, 'dispatchWorkgroups', () => {
      count.dispatches++;
      look();
    }),
    before(encoderType, 'beginComputePass', () => {
      count.passes++;
    }),
    before(encoderType, 'copyBufferToBuffer', (args: unknown[]) => {
      count.copiedBytes += args.at(-1) as number;
    }),
  );
  return {
    read: () => ({ ...count }),
    reset: () => {
      count = none();
    },
    stop: () => {
      for (const one of undo) one();
    },
  };
}

/** Calls `note` before each call of a method; returns how to undo it. */
function before<T extends object, K extends keyof T>(
  target: T,
  name: K,
  note: (args: T[K] extends (...args: infer A) => unknown ? A : never) => void,
): () => void {
  const descriptor = Object.getOwnPropertyDescriptor(target, name);
  const original = target[name] as (...args: unknown[]) => unknown;
  Object.defineProperty(target, name, {
    configurable: true,
    writable: true,
    value(this: unknown, ...args: unknown[]) {
      note(args as Parameters<typeof note>[0]);
      return original.apply(this, args);
    },
  });
  return () => {
    if (descriptor) Object.defineProperty(target, name, descriptor);
    else Reflect.deleteProperty(target, name);
  };
}
