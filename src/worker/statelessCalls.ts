// The calls of the page that need nothing of the session: text of a source, memory, problems of checks, files of runs.
// Not here: all others (session.ts, dataCalls.ts).

import type { CheckRule } from '../answerChecks';
import type { DataSource, MemoryReport } from '../contract';
import { memoryReport } from '../engine/device/device';
import { checkProblem } from '../metrics/checkRules';
import type { PackedRun } from '../storedRuns';
import { unpackRuns } from './runsFile';
import { textOf } from './sources';

export class StatelessCalls {
  async readText(source: DataSource): Promise<string> {
    return textOf(source);
  }

  async unpackRuns(file: Blob): Promise<PackedRun[]> {
    return unpackRuns(file);
  }

  async memory(): Promise<MemoryReport> {
    return memoryReport();
  }

  async checkProblem(checks: CheckRule[]): Promise<string | null> {
    return checkProblem(checks);
  }
}
