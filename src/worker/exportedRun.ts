// What a run has learned as one zip file, for the page to save.
// Not here: which files these are (session/results.ts), the packed file of several runs (runsFile.ts).

import { zipSync } from 'fflate';
import type { TunedWeights } from '../contract';
import type { OutFile } from '../engine/model/weightFiles';
import type { BaseModel } from '../session/model';
import type { RestoredRun } from '../session/restoredRun';
import { type LearnedWeights, runFiles } from '../session/results';
import type { Run } from '../session/run';
import { needed } from './refusals';

/** @throws PlaygroundError `no_tuned_model` before the run has ended */
export async function exportedRun(
  base: BaseModel,
  run: Run | RestoredRun,
  learned: LearnedWeights,
): Promise<Blob> {
  return zipOf(await runFiles(base, learned, needed('run', run.summary), run));
}

/** The same of a run that was restored for it, and is freed. */
export async function exportedStoredRun(
  base: BaseModel,
  run: RestoredRun,
  which: TunedWeights,
): Promise<Blob> {
  try {
    return await exportedRun(base, run, run.learned(which));
  } finally {
    run.dispose();
  }
}

/** Files as one zip, not compressed: weights hardly get smaller. */
function zipOf(files: readonly OutFile[]): Blob {
  const text = new TextEncoder();
  const entries = files.map(({ path, bytes }) => [
    path,
    typeof bytes === 'string' ? text.encode(bytes) : bytes,
  ]);
  const zip = zipSync(Object.fromEntries(entries), { level: 0 });
  return new Blob([zip as Uint8Array<ArrayBuffer>], { type: 'application/zip' });
}
