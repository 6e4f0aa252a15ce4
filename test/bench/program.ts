// One engine's process: reads a job, runs it, answers with a report. Works in Node and, without the part for Node, in a page.
// Not here: the stages (measure.ts), the counting job (countSteps.ts).

import type { Job, StartEngine } from './engines/engine';
import { measure, type Report } from './measure';

/** Imported late, so that a process holds one engine only. */
const ENGINES: Record<string, () => Promise<StartEngine>> = {
  ours: async () => (await import('./engines/ours')).ours,
  wasm: async () => (await import('./engines/ours')).wasm,
  reference: async () => (await import('./engines/ours')).reference,
  floor: async () => (await import('./engines/floor')).start,
  jax: async () => (await import('./engines/jax')).start,
  nanogpt: async () => (await import('./engines/nanogpt')).start,
};

const WITHOUT_GPU = ['wasm', 'reference'];

export async function runJob(job: Job): Promise<Report> {
  const load = ENGINES[job.engine];
  if (load === undefined) throw new Error(`There is no engine “${job.engine}”.`);
  return measure(job, await load(), !WITHOUT_GPU.includes(job.engine));
}
