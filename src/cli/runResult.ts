// The result of a run in its folder: which weights are written, and what is said of them. For `train` and `sweep`.
// Not here: the files (session/results.ts), putting them in place (output.ts), the run itself (train.ts, sweep.ts).

import type { RunSummary, TunedWeights } from '../contract';
import type { BaseModel } from '../session/model';
import { runFiles } from '../session/results';
import type { Run } from '../session/run';
import { plural } from '../wording';
import type { Arguments, Option } from './options';
import { holdsResult, writeSomewhere } from './output';

export const WEIGHTS_OPTION: Option = {
  name: 'weights',
  value: 'WHICH',
  kind: 'text',
  choices: ['best', 'last'],
  default: 'best',
  help: 'Which weights are written: those with the lowest validation loss, or those after the last step. Of a run that is stopped before it was measured again, the best are those after the last step.',
};

export const INCLUDE_BASE_OPTION: Option = {
  name: 'include_base_model',
  kind: 'switch',
  help: 'Put the base model beside an adapter, as a small one always is. Otherwise its README.md says where it belongs.',
};

export const SAVE_OPTION: Option = {
  name: 'save_seconds',
  value: 'N',
  kind: 'number',
  default: 30,
  help: 'While it trains, save the run to its folder at most this often, so that it can be resumed after the program was ended; 0 = never.',
};

export const exportOptions = (args: Arguments) => ({ includeBase: args.has('include_base_model') });

/** Which weights are asked for and written. */
export function learnedOf(args: Arguments, run: Run) {
  const asked = args.text('weights') as TunedWeights;
  return run.learned(asked === 'best' ? run.kept : asked);
}

/** Writes what the run has learned and its record to a folder, and says which weights these are and where they lie. */
export async function writeRun(
  args: Arguments,
  out: string,
  base: BaseModel,
  run: Run,
  summary: RunSummary,
): Promise<{ sentences: string[]; failed: boolean; folder: string }> {
  if (summary.step === 0 && holdsResult(out)) {
    return {
      sentences: [`Nothing was learned. The result that lies in ${out} was left as it is.`],
      failed: false,
      folder: out,
    };
  }
  const learned = summary.step === 0 ? null : learnedOf(args, run);
  const files = await runFiles(base, learned, summary, run, exportOptions(args));
  const { folder, failure } = await writeSomewhere(out, files);
  const sentences = [`${weightsSentence(run, learned?.which ?? null)} Written to ${folder}.`];
  if (failure) {
    sentences.unshift(
      `error: ${failure.message}\n  fix: ${failure.fix} Until then the result lies in ${folder}.`,
    );
  }
  return { sentences, failed: failure !== null, folder };
}

function weightsSentence(run: Run, which: TunedWeights | null): string {
  const { step, best } = run.trainer;
  if (which === null) return 'Nothing was learned; only the record of the run is kept.';
  const steps = `${plural(step, 'step')}.`;
  if (which === 'best' && best?.step === 0) {
    return `${steps} No step made the validation loss lower than before training, so the weights are those of the base model, unchanged.`;
  }
  if (best?.step === step)
    return `${steps} The weights are those after the last step, where validation loss was lowest.`;
  if (which === 'best')
    return `${steps} The weights are those of step ${best?.step}, where validation loss was lowest.`;
  return run.measuredStep === step
    ? `${steps} The weights are those after the last step; validation loss was lowest at step ${best?.step}.`
    : `${steps} The weights are those after the last step; validation loss was last measured at step ${run.measuredStep}.`;
}
