// The TensorBoard event file of a run in its output folder, appended while the run goes on, so that `tensorboard --logdir` follows it.
// Not here: what is in it (metrics/eventFile.ts), the whole file that lies with the result (session/results.ts).

import { appendFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { MetricPoint, RunConfig } from '../contract';
import { EVENT_FILE_SUFFIX, eventFile, eventFileName, eventRecords } from '../metrics/eventFile';
import { reasonOf } from './disk';
import { recordedFiles } from './output';
import type { Say } from './workbench';

export interface EventLog {
  append(points: readonly MetricPoint[]): void;
  /** When the result was written: without one in this folder, nothing of the run stays there. */
  end(): void;
}

/**
 * Begins the file with the points of a run that goes on; the records after them come again from the run. Event files of runs that were
 * ended without a result are removed: TensorBoard would draw all files of a folder as one run. A file that cannot be written is said once,
 * and the run goes on.
 */
export function openEventLog(
  folder: string,
  config: RunConfig,
  points: readonly MetricPoint[],
  say: Say,
): EventLog {
  const file = path.join(folder, eventFileName(config));
  let failed = false;
  const attempt = (write: () => void) => {
    if (failed) return;
    try {
      write();
    } catch (thrown) {
      failed = true;
      say(
        `TensorBoard cannot follow this run, ${path.basename(file)} cannot be written: ${reasonOf(thrown)}`,
      );
    }
  };
  attempt(() => {
    mkdirSync(folder, { recursive: true });
    const ofResult = recordedFiles(folder);
    const stale = (name: string) =>
      /^events\.out\.tfevents\..*/.test(name) && name.endsWith(EVENT_FILE_SUFFIX);
    for (const name of readdirSync(folder))
      if (stale(name) && !ofResult.has(name)) rmSync(path.join(folder, name));
    writeFileSync(file, eventFile(config, points));
  });
  return {
    append: (more) => attempt(() => more.length > 0 && appendFileSync(file, eventRecords(config, more))),
    end: () => {
      if (existsSync(file) && !recordedFiles(folder).has(path.basename(file))) rmSync(file);
    },
  };
}
