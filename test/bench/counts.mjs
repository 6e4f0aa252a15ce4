// `npm run bench -- --counts`: the figures of a step that need no particular hardware, for every kind of model.
// Not here: the counting itself (countSteps.ts), the time of the JavaScript thread (scriptTime.ts).

import { runChild } from './children.mjs';

/** On SwiftShader, so that the whole ends within two minutes: no kind is begun after this. */
const PATIENCE_MS = 80_000;

const KINDS = ['llama', 'lora', 'gpt2', 'qwen3', 'gpt_neox', 'gemma3_text'];

/**
 * Prints a line a kind. On SwiftShader, which compiles for minutes, all kinds share a process and only the first one's memory is measured.
 * @param {import('./children.mjs').Place} place
 * @param {import('./instruments').AdapterName} adapter
 * @param {(line: string) => void} say
 * @param {number} [patienceMs]
 * @returns {Promise<Record<string, unknown>>} the Llama's figures at the top, the other kinds' under `others`
 */
export async function counts(place, adapter, say, patienceMs = PATIENCE_MS) {
  const slow = /swiftshader/i.test(adapter.name);
  const groups = slow ? [KINDS] : KINDS.map((kind) => [kind]);
  /** @type {Record<string, object>} */
  const byKind = {};
  say(`${adapter.name}: ${adapter.storageBuffersPerStage} storage buffers a stage.`);
  for (const kinds of groups) {
    /** @type {import('./countSteps').StepFigures[]} */
    const figures = await runChild(place, { task: 'counts', kinds, slow, ...(slow ? { patienceMs } : {}) });
    for (const { kind, adapter: _adapter, memory, ...step } of figures) {
      byKind[kind] = { ...step, ...memory };
      say(
        `${kind.padEnd(12)} ${step.dispatchesPerLayer} dispatches a layer and ${step.dispatchesOutside} outside, ` +
          `${step.submitsPerStep} submits, ${step.bindGroupsPerStep} bind groups, ${step.buffersPerStep} buffers a step` +
          (memory
            ? `; peak ${(memory.peakBytes / 1e6).toFixed(1)} MB = ${memory.peakByIdeal} × ideal (${memory.tokens} tokens)`
            : '') +
          (step.steady ? '' : '; NOT STEADY: the counted steps differ'),
      );
    }
  }
  /** @type {import('./scriptTime').TimesByMethod} */
  const times =
    slow && patienceMs <= PATIENCE_MS
      ? { full: null, lora: null } // its compiler alone takes longer than that
      : await runChild(place, { task: 'scriptTimes', ...(slow ? { patienceMs } : {}) });
  for (const [method, t] of Object.entries(times)) {
    if (t === null) say(`${method}: the JavaScript thread was not timed: no Linux, or too little patience.`);
    else
      say(
        `${method.padEnd(12)} JavaScript thread, processor ms an update: replayed ${t.replayMs}, the same bodies anew ${t.anewMs}, op by op ` +
          `${t.eagerMs}; ${t.replayCpuOverAnew} and ${t.replayCpuOverEager} (${t.updates} updates)`,
      );
  }
  const { llama, ...others } = byKind;
  const notCounted = KINDS.filter((kind) => byKind[kind] === undefined);
  if (notCounted.length > 0)
    say(`Not counted, out of patience (--patience SECONDS): ${notCounted.join(', ')}.`);
  return {
    ...llama,
    replayCpuOverEager: times.full?.replayCpuOverEager ?? null,
    replayCpuOverAnew: times.full?.replayCpuOverAnew ?? null,
    scriptTimes: times,
    adapter: adapter.name,
    storageBuffersPerStage: adapter.storageBuffersPerStage,
    others,
    notCounted,
  };
}
