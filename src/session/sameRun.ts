// Whether a run that is prepared is the one that was interrupted.
// Not here: going on with it (run.ts : Run.resume), what was saved of it (engine/training/checkpoint.ts).

import type { RunConfig } from '../contract';
import { PlaygroundError } from '../errors';

const besideHash = ({ beside }: RunConfig, use: 'validation' | 'test') =>
  beside?.find((file) => file.use === use)?.hash;

/** What must be the same for a run to be resumed, in the words of its settings. @throws PlaygroundError `bad_checkpoint` */
export function assertSameRun(saved: RunConfig, now: RunConfig): void {
  // A run that was begun without goes on without, and so does one whose rows cannot be read now.
  const probed = saved.general?.hash;
  const parts: [string, unknown, unknown][] = [
    ['The model', saved.modelId, now.modelId],
    ['The version of the model', saved.modelCommit, now.modelCommit],
    ['The text of the data', saved.datasetHash, now.datasetHash],
    ['The text of the validation file', besideHash(saved, 'validation'), besideHash(now, 'validation')],
    ['The set of test rows', saved.test?.hash, now.test?.hash],
    ['The set of general rows', saved.replay?.hash, now.replay?.hash],
    ['The set of rows for forgetting', probed, (probed && now.general?.hash) || probed],
    ['The number of training rows', saved.trainRows, now.trainRows],
    ['The number of held-out rows', saved.validationRows, now.validationRows],
    ['The number of steps', saved.totalSteps, now.totalSteps],
    ['The number of parameters that learn', saved.trainableParameters, now.trainableParameters],
  ];
  const other = parts.find(([, before, after]) => before !== after);
  if (other === undefined) return;
  const [what, before, after] = other;
  throw new PlaygroundError({
    code: 'bad_checkpoint',
    message: `${what} is not that of the interrupted run: ${String(after ?? 'none')} now, ${String(before ?? 'none')} then.`,
    fix: 'Go on with the model and the rows that the run began with, or start a new run.',
  });
}
