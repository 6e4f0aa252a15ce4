// The result of a run in its folder: which weights are written, and what is said of them. For `train` and `sweep`.
// Not here: the files (session/results.ts), putting them in place (output.ts), the run itself (train.ts, sweep.ts).

import type { RunSummary, TunedWeights } from '../contract';
import { keepInMemory, type OutFile } from '../engine/model/weightFiles';
import { PlaygroundError } from '../errors';
import { proofSentence } from '../metrics/exportClaims';
import type { Dataset } from '../session/dataset';
import { makeExport } from '../session/exports';
import type { BaseModel } from '../session/model';
import type { Platform } from '../session/platform';
import { type LearnedWeights, runFiles } from '../session/results';
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
  at: Proving,
): Promise<{ sentences: string[]; failed: boolean; folder: string }> {
  if (summary.step === 0 && holdsResult(out)) {
    return {
      sentences: [`Nothing was learned. The result that lies in ${out} was left as it is.`],
      failed: false,
      folder: out,
    };
  }
  const learned = summary.step === 0 ? null : learnedOf(args, run);
  const { files, proved, refused } = await provedFiles(
    { base, run, learned, summary },
    exportOptions(args),
    at,
  );
  const { folder, failure } = await writeSomewhere(out, files);
  const written = refused
    ? 'Only the record of the run is written.'
    : weightsSentence(run, learned?.which ?? null);
  const sentences = [`${written} Written to ${folder}.`, ...proved];
  if (refused) sentences.unshift(`error: ${refused.message}\n  fix: ${refused.fix}`);
  if (failure) {
    sentences.unshift(
      `error: ${failure.message}\n  fix: ${failure.fix} Until then the result lies in ${folder}.`,
    );
  }
  return { sentences, failed: failure !== null || refused !== null, folder };
}

/** What the proof of a result needs beside the run. */
export interface Proving {
  /** Its rows are the prompts of the proof; null without any. */
  dataset: Dataset | null;
  platform: Platform;
}

interface ToWrite {
  base: BaseModel;
  run: Run;
  /** Null where no step was made. */
  learned: LearnedWeights | null;
  summary: RunSummary;
}

/** The files of a result, read again and compared; without the weights where these do not give the model that was trained. */
export async function provedFiles(
  { base, run, learned, summary }: ToWrite,
  options: { includeBase?: boolean },
  { dataset, platform }: Proving,
): Promise<{ files: OutFile[]; proved: string[]; refused: PlaygroundError | null }> {
  const record = () => runFiles(base, null, summary, run);
  if (learned === null) return { files: await record(), proved: [], refused: null };
  const { learner } = learned;
  const { points, weights } = run;
  try {
    const { files, proof, notices } = await makeExport(
      { base, learner, run: { summary, learned, points, weights }, dataset },
      { ...(learner.adapters ? { format: 'adapter' } : { format: 'merged', dtype: 'F32' }), ...options },
      keepInMemory,
      platform,
      // What was learned is written whole, also after a signal.
      { onProgress: () => {}, cancelled: () => false },
    );
    return { files, proved: [...notices, ...(proof ? [proofSentence(proof)] : [])], refused: null };
  } catch (thrown) {
    if (!(thrown instanceof PlaygroundError)) throw thrown;
    if (REFUSED.has(thrown.code)) return { files: await record(), proved: [], refused: thrown };
    throw thrown;
  }
}

const REFUSED: ReadonlySet<string> = new Set(['export_differs', 'export_not_finite']);

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
