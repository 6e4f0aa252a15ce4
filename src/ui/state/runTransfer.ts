// Runs to one file and back: which runs go in, which of a file are taken, and why one is not.
// Not here: the file (worker/runsFile.ts), the records inside (keptRecords.ts).

import { errorDetails } from '../../errors';
import type { RunStorage } from '../../storedRuns';
import { runFrom, runRecord } from './kept.svelte';
import { packPoints } from './keptRecords';
import type { RunView } from './run.svelte';

/** One file with these runs: curves, names, notes, answers and stored weights. */
export async function packed(session: RunStorage, runs: readonly RunView[]): Promise<Blob> {
  const entries = runs.flatMap((run) => {
    const record = runRecord(run);
    return record ? [{ runId: record.config.runId, record, points: [...run.points] }] : [];
  });
  return session.packRuns(entries);
}

export interface Taken {
  /** Newest first. */
  runs: RunView[];
  /** Sentences: what was not taken, and why. */
  remarks: string[];
}

/**
 * Reads a file of runs and stores their weights. A run that is here already is left as it is; one whose record is damaged is left out.
 * @param known ids of the runs that are here
 * @param number the first free one
 * @throws PlaygroundError `bad_runs_file`
 */
export async function unpacked(
  session: RunStorage,
  file: Blob,
  known: ReadonlySet<string>,
  number: number,
): Promise<Taken> {
  const { readKeptRun } = await import('./keptReading');
  const taken: Taken = { runs: [], remarks: [] };
  const seen = new Set(known);
  for (const [i, { record: value, points, weights, steps }] of (await session.unpackRuns(file)).entries()) {
    const which = `Run ${i + 1} of the file`;
    const fields = typeof value === 'object' && value !== null ? value : {};
    const { record, problem } = readKeptRun({ ...fields, points: packPoints(points) });
    if (record === null) {
      taken.remarks.push(`${which} was left out: its record is ${problem}.`);
      continue;
    }
    const { runId } = record.config;
    if (seen.has(runId)) {
      taken.remarks.push(`${which} is here already and was left as it is.`);
      continue;
    }
    seen.add(runId);
    const run = runFrom(record, number + taken.runs.length);
    taken.runs.unshift(run);
    if (weights === null) continue;
    try {
      await session.storeWeights(runId, weights, steps, record.summary, 'best');
    } catch (thrown) {
      taken.remarks.push(`${which} came without its weights: ${errorDetails(thrown).message}`);
    }
  }
  return taken;
}
