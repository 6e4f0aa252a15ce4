// The kernel threads: the calls of one op are written into shared memory and claimed by free threads, the calling one included.
// Not here: what a thread does (engine/device/thread.mjs), starting one (worker/threads.ts, cli/threads.ts), cutting an op into calls (the other *.wasm.ts).

/** What a thread is started with. */
export interface ThreadStart {
  /** Which one it is, from 1; 0 is the calling thread. */
  index: number;
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  words: Int32Array;
  slots: Float64Array;
  place: typeof PLACE;
  slotSize: number;
}

/** Starts threads: the page's worker and Node do it differently. */
export interface ThreadHost {
  /** How many may compute at the same time, this thread included. */
  count: number;
  /** Starts thread.mjs, sends it `start` as its message, and resolves when it answers that it is ready. */
  open(start: ThreadStart): Promise<{ end(): void }>;
  /** Reads a file of tfjs. */
  read(path: string): Promise<Uint8Array>;
}

/**
 * Indices in the shared words, each on a cache line of its own. `left` counts the calls that are not claimed; claiming is one atomic subtraction,
 * so a thread that wakes up late, in the next op, claims a call of that op or none. `unfinished` counts calls that have not returned.
 */
const PLACE = { generation: 0, left: 16, unfinished: 32, failure: 48, failureText: 64, failureLength: 200 };

/** Numbers of one call: kernel, address of thread 0's scratch, bytes of scratch a thread, how many values, the values. */
const SLOT_SIZE = 32;

/**
 * Calls of one op for each thread. With one each, all would wait for the slowest core: laptops and phones have slow and fast cores, and any
 * core may be busy with something else.
 */
export const CALLS_PER_THREAD = 4;

/** More threads only share the memory's bandwidth, and wait for the slowest. */
const MAX_THREADS = 8;

/** How often the end is polled before sleeping. */
const POLLS = 20_000;

/** A kernel by its index among the module's exports, and its arguments. */
export interface KernelCall {
  kernel: number;
  values: readonly (number | boolean)[];
}

/** Scratch memory: `bytes` for each thread, one after the other. Kernels that need it take its address as their last argument. */
export interface Scratch {
  address: number;
  bytes: number;
}

type Kernel = (...values: (number | boolean)[]) => void;

export class KernelThreads {
  /** How many threads compute, this one included. */
  readonly count: number;
  readonly #kernels: Kernel[];
  readonly #threads: { end(): void }[];
  readonly #words: Int32Array;
  readonly #slots: Float64Array;
  readonly #maySleep: boolean;

  private constructor(
    exports: WebAssembly.Exports,
    threads: { end(): void }[],
    words: Int32Array,
    slots: Float64Array,
  ) {
    this.count = 1 + threads.length;
    this.#kernels = Object.values(exports) as Kernel[];
    this.#threads = threads;
    this.#words = words;
    this.#slots = slots;
    this.#maySleep = threads.length > 0 && maySleep(words);
  }

  /** The calling thread alone. */
  static alone(exports: WebAssembly.Exports): KernelThreads {
    return new KernelThreads(exports, [], new Int32Array(), new Float64Array());
  }

  /**
   * As many threads as `host` allows, up to eight, on one shared memory.
   * @throws what the host throws when one does not start; those that did are ended
   */
  static async open(
    host: ThreadHost,
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    exports: WebAssembly.Exports,
  ): Promise<KernelThreads> {
    const count = Math.min(host.count, MAX_THREADS);
    const words = new Int32Array(new SharedArrayBuffer(4 * (PLACE.failureText + PLACE.failureLength)));
    const slots = new Float64Array(new SharedArrayBuffer(8 * SLOT_SIZE * CALLS_PER_THREAD * count));
    const start = { module, memory, words, slots, place: PLACE, slotSize: SLOT_SIZE };
    const opened = await Promise.allSettled(
      Array.from({ length: count - 1 }, (_, i) => host.open({ ...start, index: i + 1 })),
    );
    const threads = opened.flatMap((o) => (o.status === 'fulfilled' ? [o.value] : []));
    const failed = opened.find((o) => o.status === 'rejected');
    if (failed) {
      for (const thread of threads) thread.end();
      throw failed.reason;
    }
    return new KernelThreads(exports, threads, words, slots);
  }

  /**
   * Runs at most CALLS_PER_THREAD · `count` calls that write to different places, and returns when all are done.
   * @throws Error when a call trapped, here or in another thread
   */
  run(calls: readonly KernelCall[], scratch: Scratch | null): void {
    const own = scratch ? [scratch.address] : [];
    const [only] = calls;
    if (calls.length === 1 && only) {
      this.#kernels[only.kernel]?.(...only.values, ...own);
      return;
    }
    const words = this.#words;
    for (const [i, { kernel, values }] of calls.entries()) {
      const slot = i * SLOT_SIZE;
      this.#slots[slot] = kernel;
      this.#slots[slot + 1] = scratch?.address ?? 0;
      this.#slots[slot + 2] = scratch?.bytes ?? 0;
      this.#slots[slot + 3] = values.length;
      for (let j = 0; j < values.length; j++) this.#slots[slot + 4 + j] = Number(values[j]);
    }
    Atomics.store(words, PLACE.unfinished, calls.length);
    Atomics.store(words, PLACE.left, calls.length);
    Atomics.add(words, PLACE.generation, 1);
    Atomics.notify(words, PLACE.generation, calls.length - 1);
    try {
      for (let call = this.#claim(); call >= 0; call = this.#claim()) {
        // Counted even when it traps: this thread waits for the others either way.
        Atomics.sub(words, PLACE.unfinished, 1);
        const { kernel, values } = calls[call] as KernelCall;
        this.#kernels[kernel]?.(...values, ...own);
      }
    } finally {
      this.#waitForOthers();
    }
    const length = Atomics.exchange(words, PLACE.failure, 0);
    if (length > 0) {
      const text = String.fromCharCode(...words.subarray(PLACE.failureText, PLACE.failureText + length));
      throw new Error(`A kernel thread failed: ${text}`);
    }
  }

  end(): void {
    for (const thread of this.#threads) thread.end();
  }

  #claim(): number {
    return Atomics.sub(this.#words, PLACE.left, 1) - 1;
  }

  #waitForOthers(): void {
    const words = this.#words;
    let polls = POLLS;
    for (;;) {
      const unfinished = Atomics.load(words, PLACE.unfinished);
      if (unfinished <= 0) return;
      if (polls > 0) polls--;
      else if (this.#maySleep) Atomics.wait(words, PLACE.unfinished, unfinished);
    }
  }
}

/** Whether this thread may block in Atomics.wait. A page's main thread may not; there it polls. */
function maySleep(words: Int32Array): boolean {
  try {
    Atomics.wait(words, PLACE.generation, -1);
    return true;
  } catch (thrown) {
    if (thrown instanceof TypeError) return false;
    throw thrown;
  }
}
