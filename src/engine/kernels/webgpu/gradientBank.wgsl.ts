// Gradients and moments of all parameters in few large buffers, so that the global norm and AdamW take a handful of dispatches.
// Not here: which tensors decay and the schedule (engine/training/optimizer.ts), the plain reference (adamw/adamw.ts).

import * as tf from '@tensorflow/tfjs-core';
import type { AdamWStep } from '../adamw/adamw';
import { MIN_LOSS } from '../crossEntropy/crossEntropy';
import type { Destination } from '../destination';
import { type Kernel, kernel, programName, variants } from './kernel';
import {
  dispatch,
  empty,
  flush,
  readLater,
  storageBufferLimit,
  upload,
  viewOf,
  webgpuBackend,
} from './program';
import { reduction } from './reduce.wgsl';

/** A tensor that learns. It is updated in place; the caller disposes it. */
export interface BankItem {
  name: string;
  parameter: tf.Tensor;
  /** Decoupled: p ← p·(1 − learningRate·weightDecay) before the Adam step. */
  weightDecay: number;
}

interface Place extends BankItem {
  gradient: tf.Tensor;
  /** All gradients of its bank. */
  whole: tf.Tensor;
  /** First element in its bank. */
  start: number;
}

/** Buffers for as many parameters as a binding holds. */
interface Bank {
  places: Place[];
  size: number; // elements, gaps between tensors included; these stay zero
  /** One buffer of gradients, then first, then second moments, which leaves bindings for parameters; or three, where one is larger than a binding. */
  buffers: readonly GPUBuffer[];
  gradients: tf.Tensor; // [size]
  /** What `update` binds: `bank` [3·size], or `gradients`, `m` and `v` [size]. */
  bound: Readonly<Record<string, tf.Tensor>>;
}

/** The numbers of an update that change from step to step, by the names of their live uniforms. */
export type UpdateValues = Record<
  'learningRate' | 'beta1' | 'beta2' | 'epsilon' | 'stepSize' | 'rootCorrection2',
  number
>;

export function updateValues(step: Omit<AdamWStep, 'gradientScale'>): UpdateValues {
  const { learningRate, beta1, beta2, epsilon, count } = step;
  return {
    learningRate,
    beta1,
    beta2,
    epsilon,
    stepSize: learningRate / (1 - beta1 ** count),
    rootCorrection2: Math.sqrt(1 - beta2 ** count),
  };
}

// One update: kernels write each gradient at its place in the bank, the later micro-batches add to it. Then `norm`: each workgroup squares and
// sums SPAN gradients into a partial sum, and one more workgroup turns those into the global norm, the clip coefficient and a flag that is set
// when loss or norm are not finite or the loss is impossible. Then `update`: AdamW reads coefficient and flag on the GPU and does nothing when
// the flag is set, so JavaScript need not wait between the two. The flag stays set for the life of the bank.
// Memory: three floats a parameter (gradient and both moments), each tensor's start aligned so that it can be bound by itself.

const THREADS = 256;
/** Elements one workgroup squares and adds: a fixed partition, so that the sum does not depend on timing. */
const SPAN = THREADS * 32;

/** Indices in `control`. */
const LOSS = 0;
const NORM = 1;
const CLIP = 2;
const FAILED = 3;
const CONTROL_SIZE = 4;

const squares = kernel({
  name: 'bank_squares',
  inputs: { gradients: 'f32' },
  outputs: { partial: 'f32' },
  uniforms: { first: 'u32', size: 'u32' },
  workgroup: THREADS,
  declare: reduction('total', THREADS),
  body: `
  let begin = group * ${SPAN}u;
  let to = min(begin + ${SPAN}u, u.size);
  var sum = 0.0;
  for (var e = begin + thread; e < to; e += ${THREADS}u) { sum += gradients[e] * gradients[e]; }
  sum = total(sum, thread);
  if (thread == 0u) { partial[u.first + group] = sum; }`,
});

/** Norm, clip coefficient as PyTorch's clip_grad_norm_, and whether the update may be made. Bits are compared: compilers may assume no NaN. */
const finish = kernel({
  name: 'bank_norm',
  inputs: { partial: 'f32' },
  outputs: { control: 'f32' },
  uniforms: { count: 'u32', maxNorm: 'f32' },
  workgroup: THREADS,
  declare: `
${reduction('total', THREADS)}
fn isFinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }`,
  body: `
  var sum = 0.0;
  for (var e = thread; e < u.count; e += ${THREADS}u) { sum += partial[e]; }
  sum = total(sum, thread);
  if (thread == 0u) {
    let norm = sqrt(sum);
    control[${NORM}] = norm;
    control[${CLIP}] = select(1.0, min(1.0, u.maxNorm / (norm + 1e-6)), u.maxNorm > 0.0);
    if (!isFinite(sum) || !isFinite(control[${LOSS}]) || control[${LOSS}] < ${MIN_LOSS}) { control[${FAILED}] = 1.0; }
  }`,
});

interface UpdateSettings {
  /** Parameters of one dispatch. */
  tensors: number;
  /** Gradients and moments in one buffer, else in three. */
  joined: boolean;
}

const update = variants(({ tensors, joined }: UpdateSettings) => {
  const list = Array.from({ length: tensors }, (_, i) => i);
  const [g, m, v] = joined
    ? ['bank[at]', 'bank[u.size + at]', 'bank[2u * u.size + at]']
    : ['gradients[at]', 'm[at]', 'v[at]'];
  const named = <T extends string>(prefix: string, type: T) =>
    Object.fromEntries(list.map((i) => [`${prefix}${i}`, type]));
  return {
    name: programName('bank_adamw', { tensors, joined }),
    inputs: { control: 'f32', ...(joined ? {} : { gradients: 'f32' as const }) },
    outputs: {
      ...(joined ? { bank: 'f32' as const } : { m: 'f32' as const, v: 'f32' as const }),
      ...named('p', 'f32'),
    },
    uniforms: { size: 'u32', ...named('decay', 'f32'), ...named('end', 'u32'), ...named('start', 'u32') },
    live: {
      learningRate: 'f32',
      beta1: 'f32',
      beta2: 'f32',
      epsilon: 'f32',
      stepSize: 'f32',
      rootCorrection2: 'f32',
    },
    workgroup: THREADS,
    // WGSL cannot index an array of buffers: one chain of ifs reads the parameter, one writes it, with the arithmetic once between them.
    body: `
  if (control[${FAILED}] != 0.0) { return; }
  let i = group * ${THREADS}u + thread;
  var which = 0u;
  var e = i;
  var start = 0u;
  var decay = 0.0;
  var p = 0.0;
  ${list
    .map((t) => {
      const from = t === 0 ? 'i' : `i - u.end${t - 1}`;
      return `if (i < u.end${t}) { which = ${t}u; e = ${from}; start = u.start${t}; decay = u.decay${t}; p = p${t}[e]; }`;
    })
    .join(' else ')} else { return; }
  let at = start + e;
  let g = ${g} * control[${CLIP}];
  let nextM = live.beta1 * ${m} + (1.0 - live.beta1) * g;
  let nextV = live.beta2 * ${v} + (1.0 - live.beta2) * g * g;
  ${m} = nextM;
  ${v} = nextV;
  let change = live.stepSize * nextM / (sqrt(nextV) / live.rootCorrection2 + live.epsilon);
  p = p * (1.0 - live.learningRate * decay) - change;
  ${list.map((t) => `if (which == ${t}u) { p${t}[e] = p; }`).join(' else ')}`,
  };
});

/** Copies a gradient that was made in a tensor of its own into the bank, or adds it. */
const put = variants(({ add }: { add: boolean }) => ({
  name: programName('bank_put', { add }),
  inputs: { x: 'f32' },
  outputs: { gradient: 'f32' },
  uniforms: { size: 'u32' },
  workgroup: THREADS,
  body: `
  let i = group * ${THREADS}u + thread;
  if (i < u.size) { gradient[i] ${add ? '+=' : '='} x[i]; }`,
}));

export class GradientBank {
  /** [loss, gradient norm, clip coefficient, failed]: the loss is written by cross-entropy, the rest by `norm`. */
  readonly control: tf.Tensor1D;
  readonly #maxElements: number;
  readonly #banks: Bank[] = [];
  readonly #places = new Map<string, Place>();
  readonly #written = new Set<string>();
  /** Every parameter that ever received a gradient: the others are left alone, decay included. */
  readonly #learning = new Set<string>();

  /** @param maxElements floats that one binding of the device holds */
  constructor(items: readonly BankItem[], maxElements = elementsOfBinding()) {
    const { limits } = webgpuBackend().device;
    this.#maxElements = maxElements;
    const most = maxElements / 3;
    const step = Math.max(64, limits.minStorageBufferOffsetAlignment / 4);
    let open: (BankItem & { start: number })[] = [];
    let size = 0;
    for (const item of items) {
      const takes = Math.ceil(item.parameter.size / step) * step;
      if (size > 0 && size + takes > most) {
        this.#open(open, size);
        open = [];
        size = 0;
      }
      open.push({ ...item, start: size });
      size += takes;
    }
    if (size > 0) this.#open(open, size);
    this.control = tf.keep(upload<tf.Tensor1D>('control', new Float32Array(CONTROL_SIZE), [CONTROL_SIZE]));
  }

  /** Bytes of gradients and moments. */
  get bytes(): number {
    return this.#banks.reduce((sum, b) => sum + 3 * 4 * b.size, 0);
  }

  /** From here on gradients overwrite those of an earlier update; with `keep`, they are added to them. */
  begin(keep = false): void {
    this.#written.clear();
    if (keep) for (const name of this.#learning) this.#written.add(name);
  }

  /** The destination of a parameter's gradient: overwritten the first time after `begin`, added to after that. Null for an unknown name. */
  destination(name: string): Destination | null {
    const place = this.#places.get(name);
    if (!place) return null;
    const within = { tensor: place.whole, start: place.start };
    return { tensor: place.gradient, add: this.#written.has(name), within };
  }

  /** Takes a gradient: notes one that was written in place; copies any other into the bank and disposes it. */
  add(name: string, gradient: tf.Tensor): void {
    const place = this.#places.get(name);
    if (!place) throw new Error(`There is no parameter named ${name} in this bank.`);
    if (gradient !== place.gradient) {
      const size = gradient.size;
      const program = put({ add: this.#written.has(name) }) as Kernel;
      dispatch(program, { x: gradient, gradient: place.gradient }, { size }, Math.ceil(size / THREADS));
      gradient.dispose();
    }
    this.#written.add(name);
    this.#learning.add(name);
  }

  /** Writes the global L2 norm of all gradients, the clip coefficient for `maxNorm` (0 = none), and whether the update may be made, into `control`. */
  norm(maxNorm: number): void {
    const groups = this.#banks.map((b) => Math.ceil(b.size / SPAN));
    const count = groups.reduce((a, b) => a + b, 0);
    const partial = empty([count]);
    let first = 0;
    for (const [i, { size, gradients }] of this.#banks.entries()) {
      const own = groups[i] as number;
      dispatch(squares, { gradients, partial }, { first, size }, own);
      first += own;
    }
    dispatch(finish, { partial, control: this.control }, { count, maxNorm }, 1);
    partial.dispose();
  }

  /** AdamW (Loshchilov & Hutter 2019, PyTorch's order of operations) on every parameter, in place; nothing when `control` says failed. */
  update(values: UpdateValues): void {
    for (const { places, bound: own, size } of this.#banks) {
      const perDispatch = Math.max(1, storageBufferLimit() - 1 - Object.keys(own).length);
      const learning = places.filter((p) => this.#learning.has(p.name));
      for (let at = 0; at < learning.length; at += perDispatch) {
        const some = learning.slice(at, at + perDispatch);
        const bound: Record<string, tf.Tensor> = { ...own, control: this.control };
        const numbers: Record<string, number> = { ...values, size };
        let end = 0;
        for (const [i, { parameter, weightDecay, start }] of some.entries()) {
          end += parameter.size;
          bound[`p${i}`] = parameter;
          Object.assign(numbers, { [`decay${i}`]: weightDecay, [`end${i}`]: end, [`start${i}`]: start });
        }
        const program = update({ tensors: some.length, joined: 'bank' in own }) as Kernel;
        dispatch(program, bound, numbers, Math.ceil(end / THREADS));
      }
    }
  }

  /** `control` as the last update left it, once the GPU has computed it. */
  async result(): Promise<{ loss: number; gradNorm: number; failed: boolean }> {
    const buffer = webgpuBackend().tensorMap.get(this.control.dataId).resource as GPUBuffer;
    const values = new Float32Array(await readLater(buffer, 0, 4 * CONTROL_SIZE));
    return { loss: values[LOSS] as number, gradNorm: values[NORM] as number, failed: values[FAILED] !== 0 };
  }

  /** First and second moments of every parameter that has received a gradient. */
  async moments(): Promise<Map<string, { m: Float32Array; v: Float32Array }>> {
    const found = new Map<string, { m: Float32Array; v: Float32Array }>();
    for (const bank of this.#banks) {
      for (const { name, parameter, start } of bank.places) {
        if (!this.#learning.has(name)) continue;
        const read = async ({ buffer, offset }: { buffer: GPUBuffer; offset: number }) =>
          new Float32Array(await readLater(buffer, offset + 4 * start, 4 * parameter.size));
        const [first, second] = momentsOf(bank);
        found.set(name, { m: await read(first), v: await read(second) });
      }
    }
    return found;
  }

  /** Writes moments of an earlier run into the bank, before its first update. */
  restoreMoments(moments: ReadonlyMap<string, { m: Float32Array; v: Float32Array }>): void {
    const backend = webgpuBackend();
    flush(backend);
    for (const bank of this.#banks) {
      for (const { name, start } of bank.places) {
        const own = moments.get(name);
        if (!own) continue;
        const [first, second] = momentsOf(bank);
        backend.queue.writeBuffer(first.buffer, first.offset + 4 * start, own.m as BufferSource);
        backend.queue.writeBuffer(second.buffer, second.offset + 4 * start, own.v as BufferSource);
        this.#learning.add(name);
      }
    }
  }

  /** The first bit that differs from a bank of the same parameters, in words; null when all are equal. */
  async differenceFrom(other: GradientBank): Promise<string | null> {
    const [own, its] = await Promise.all([this.result(), other.result()]);
    if (!Object.is(own.loss, its.loss)) return `the loss is ${own.loss}, and ${its.loss} there`;
    for (const name of this.#places.keys()) {
      const [a, b] = await Promise.all([this.gradientOf(name), other.gradientOf(name)]);
      const at = a.findIndex((x, i) => !Object.is(x, b[i]));
      if (at >= 0) return `element ${at} of the gradient of ${name} is ${a[at]}, and ${b[at]} there`;
    }
    return null;
  }

  /** The gradient of one parameter as it is now. */
  async gradientOf(name: string): Promise<Float32Array> {
    for (const { places, buffers } of this.#banks) {
      const place = places.find((p) => p.name === name);
      if (!place) continue;
      return new Float32Array(
        await readLater(buffers[0] as GPUBuffer, 4 * place.start, 4 * place.parameter.size),
      );
    }
    throw new Error(`There is no parameter named ${name} in this bank.`);
  }

  dispose(): void {
    const backend = webgpuBackend();
    flush(backend);
    for (const { places, buffers, gradients, bound } of this.#banks) {
      for (const { gradient } of places) gradient.dispose();
      for (const tensor of [gradients, ...Object.values(bound)]) tensor.dispose();
      for (const buffer of buffers) {
        backend.bufferManager.numBytesAllocated -= buffer.size;
        backend.bufferManager.numBytesUsed -= buffer.size;
        buffer.destroy();
      }
    }
    this.#banks.length = 0;
    this.#places.clear();
    this.control.dispose();
  }

  #open(items: (BankItem & { start: number })[], size: number): void {
    const joined = 3 * size <= this.#maxElements;
    const buffers = joined ? [storage(3 * size)] : [storage(size), storage(size), storage(size)];
    const [first, second, third] = buffers as [GPUBuffer, GPUBuffer, GPUBuffer];
    const whole = (buffer: GPUBuffer, length = size) => viewOf(buffer, 0, [length]);
    const gradients = whole(first);
    const bound: Bank['bound'] = joined
      ? { bank: whole(first, 3 * size) }
      : { gradients, m: whole(second), v: whole(third) };
    const places = items.map((item): Place => {
      const gradient = viewOf(first, 4 * item.start, item.parameter.shape);
      return { ...item, gradient, whole: gradients };
    });
    for (const place of places) this.#places.set(place.name, place);
    this.#banks.push({ places, size, buffers, gradients, bound });
  }
}

/** Where the first and second moments of a bank begin: behind the gradients in one buffer, or in buffers of their own. */
function momentsOf({ buffers, size }: Bank) {
  const [first, second = first, third = first] = buffers as [GPUBuffer, GPUBuffer?, GPUBuffer?];
  const joined = buffers.length === 1;
  return [
    { buffer: second, offset: joined ? 4 * size : 0 },
    { buffer: third, offset: joined ? 8 * size : 0 },
  ] as const;
}

function elementsOfBinding(): number {
  const { maxStorageBufferBindingSize, maxBufferSize } = webgpuBackend().device.limits;
  return Math.min(maxStorageBufferBindingSize, maxBufferSize) / 4;
}

/** Zeros, which is how WebGPU makes every buffer. */
function storage(size: number): GPUBuffer {
  const { device, bufferManager } = webgpuBackend();
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ size: 4 * size, usage });
  bufferManager.numBytesAllocated += buffer.size;
  bufferManager.numBytesUsed += buffer.size;
  return buffer;
}
