// One kernel thread: the SIMD module once more, on the same memory, working off the calls that kernels/wasm/threads.wasm.ts writes down.
// Not here: cutting an op into calls. It imports nothing, so that Node can start it from its text.

/** How often to look for work before sleeping: waking a thread takes as long as a small product. */
const LOOKS = 4000;

/** @param {{ data: import('../kernels/wasm/threads.wasm').ThreadStart }} event */
globalThis.onmessage = async ({ data }) => {
  const { index, module, memory, words, slots, place, slotSize } = data;
  const { exports } = await WebAssembly.instantiate(module, { env: { memory, log: Math.log } });
  const kernels = /** @type {((...values: number[]) => void)[]} */ (Object.values(exports));
  postMessage('ready');
  let seen = 0;
  for (;;) {
    let looks = LOOKS;
    while (Atomics.load(words, place.generation) === seen && looks > 0) looks--;
    if (looks === 0) Atomics.wait(words, place.generation, seen);
    seen = Atomics.load(words, place.generation);
    for (let call = claim(); call >= 0; call = claim()) {
      const first = call * slotSize + 4;
      const [kernel = 0, address = 0, bytes = 0, count = 0] = slots.subarray(first - 4, first);
      const scratch = bytes > 0 ? [address + index * bytes] : [];
      try {
        kernels[kernel]?.(...slots.subarray(first, first + count), ...scratch);
      } catch (thrown) {
        const text = String(thrown).slice(0, place.failureLength);
        for (let i = 0; i < text.length; i++) words[place.failureText + i] = text.charCodeAt(i);
        Atomics.store(words, place.failure, text.length);
      }
      if (Atomics.sub(words, place.unfinished, 1) === 1) Atomics.notify(words, place.unfinished);
    }
  }

  /** The number of a call that is now this thread's, below 0 when none is left. */
  function claim() {
    return Atomics.sub(words, place.left, 1) - 1;
  }
};
