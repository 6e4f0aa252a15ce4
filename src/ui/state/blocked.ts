// What is missing for a run, as a sentence.
// Not here: the state that it reads (workspace.svelte.ts).

import type { DatasetReport } from '../../contract';
import type { ErrorDetails } from '../../errors';
import type { HyperparameterProblem } from '../../hyperparameterChecks';
import type { LoadProgress, ModelInfo } from '../../modelContract';
import { bytes, plural } from '../parts/format';

/** The part of the workspace that a run depends on. */
interface Needs {
  readonly dead: ErrorDetails | null;
  readonly deviceError: ErrorDetails | null;
  readonly modelLoading: { progress: LoadProgress | null } | null;
  readonly model: ModelInfo | null;
  readonly data: { readonly busy: boolean; readonly report: DatasetReport | null };
  readonly form: { readonly problems: readonly HyperparameterProblem[] };
}

/** Why there can be no run now; null when there can. */
export function missingForRun(workspace: Needs): string | null {
  const { modelLoading, data } = workspace;
  const { report } = data;
  if (workspace.dead) return 'The engine has stopped. Restart it first.';
  if (workspace.deviceError) return 'The engine did not start.';
  if (modelLoading) {
    const p = modelLoading.progress;
    const part = p && p.totalBytes > 0 ? `: ${bytes(p.loadedBytes)} of ${bytes(p.totalBytes)}` : '';
    return `The model is loading${part}.`;
  }
  if (!workspace.model) return 'Choose a model first.';
  if (data.busy) return 'Reading the rows.';
  if (!report) return 'Choose data: your own file, or a sample.';
  if (report.needsConsent) {
    const bad = report.rows - report.usableRows;
    return `${plural(bad, 'row')} cannot be used. Mend ${bad === 1 ? 'it' : 'them'}, or agree to leave ${bad === 1 ? 'it' : 'them'} out.`;
  }
  if (report.trainRows === 0) return 'No row is left to train on.';
  return workspace.form.problems.find((p) => p.severity === 'error')?.message ?? null;
}
