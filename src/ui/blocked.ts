// What is missing for a run, as a sentence.
// Not here: the state that it reads (workspace.svelte.ts).

import type { DatasetReport, LoadProgress, ModelInfo } from '../contract';
import type { HyperparameterProblem } from '../hyperparameters';
import { bytes, plural } from './format';

/** What of the page's state a run needs. */
export interface RunNeeds {
  engine: { dead: unknown };
  deviceError: unknown;
  modelLoading: { progress: LoadProgress | null } | null;
  model: ModelInfo | null;
  dataBusy: boolean;
  report: DatasetReport | null;
  form: { problems: readonly HyperparameterProblem[] };
}

/** Why there can be no run now; null when there can. */
export function missingForRun(workspace: RunNeeds): string | null {
  const { modelLoading, report } = workspace;
  if (workspace.engine.dead) return 'The engine has stopped. Restart it first.';
  if (workspace.deviceError) return 'The engine did not start.';
  if (modelLoading) {
    const p = modelLoading.progress;
    const part = p && p.totalBytes > 0 ? `: ${bytes(p.loadedBytes)} of ${bytes(p.totalBytes)}` : '';
    return `The model is loading${part}.`;
  }
  if (!workspace.model) return 'Choose a model first.';
  if (workspace.dataBusy) return 'Reading the rows.';
  if (!report) return 'Choose data: your own file, or a sample.';
  if (report.needsConsent) {
    const bad = report.badRows;
    // A file without rows has one problem, and that says it all.
    const only = report.rows === 0 ? report.issues.find((i) => i.severity === 'error') : undefined;
    if (only) return only.message;
    return `${plural(bad, 'row')} cannot be used. Mend ${bad === 1 ? 'it' : 'them'}, or agree to leave ${bad === 1 ? 'it' : 'them'} out.`;
  }
  if (report.trainRows === 0) return 'No row is left to train on.';
  return workspace.form.problems.find((p) => p.severity === 'error')?.message ?? null;
}
