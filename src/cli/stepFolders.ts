// Weights of single steps in the output folder: a folder checkpoint-STEP each, as transformers names them, readable by `--adapter` and PEFT.
// Not here: which steps these are (session/keptSteps.ts), the checkpoint that a run is resumed from (checkpoints.ts).
//
// How it works: a folder is written under another name, flushed, and renamed, so that one that is there is whole; one that goes is renamed
// first. A file in each says which run it is of: no other folder is ever changed.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import * as nodeFiles from 'node:fs/promises';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { RunConfig } from '../contract';
import type { Learner } from '../engine/model/adapters';
import { jsonText, type LoadedModel, stepFiles } from '../engine/model/artifacts';
import { learnedTensors } from '../engine/training/learned';
import { errorDetails, PlaygroundError } from '../errors';
import type { StepsToStore } from '../session/keptSteps';
import type { Run } from '../session/run';
import { plural } from '../wording';
import type { Option } from './options';
import { STAGE, syncFolder, writeThrough } from './output';
import type { Say } from './workbench';

export const STEPS_OPTION: Option = {
  name: 'save_total_limit',
  value: 'N',
  kind: 'number',
  default: 0,
  help: 'Keep the weights of at most N steps, each in a folder checkpoint-STEP of --out: the best and the last, ends of epochs, evaluations, and an even choice between. 0 = none.',
};

/** @throws PlaygroundError `bad_usage` */
export function keptStepsOf(limit: number): number {
  if (limit === 0 || (Number.isInteger(limit) && limit >= 2)) return limit;
  throw new PlaygroundError({
    code: 'bad_usage',
    message: `--save_total_limit is 0, or a whole number from 2, not ${limit}: the best and the last weights are always among those that are kept.`,
    fix: 'Write for example --save_total_limit 12.',
    where: 'save_total_limit',
  });
}

/** In each folder: of which step of which run it is. */
const RECORD = 'checkpoint.json';
const nameOf = (step: number) => `checkpoint-${step}`;

/** Folders of this program in the output folder. */
function foldersIn(out: string): { step: number; runId: string }[] {
  if (!existsSync(out)) return [];
  return readdirSync(out).flatMap((name) => {
    const step = Number(/^checkpoint-(\d+)$/.exec(name)?.[1] ?? Number.NaN);
    const file = path.join(out, name, RECORD);
    if (!Number.isInteger(step) || !existsSync(file)) return [];
    try {
      const { run_id: runId } = JSON.parse(readFileSync(file, 'utf8')) as { run_id?: unknown };
      return typeof runId === 'string' ? [{ step, runId }] : [];
    } catch {
      // Not written by this program: it is left alone.
      return [];
    }
  });
}

/** Deletes the folders that an earlier run has left in its output folder, when a new one begins there. */
export async function dropStepFolders(out: string, say: Say): Promise<void> {
  const folders = foldersIn(out);
  for (const { step } of folders) await removeFolder(out, step);
  if (folders.length > 0)
    say(`The weights of ${plural(folders.length, 'step')} of the run before in ${out} were deleted.`);
}

async function removeFolder(out: string, step: number): Promise<void> {
  const going = path.join(out, `${STAGE}${process.pid}-old-${nameOf(step)}`);
  // Of a command that was killed and had the number of this process.
  await rm(going, { recursive: true, force: true });
  await rename(path.join(out, nameOf(step)), going);
  await rm(going, { recursive: true, force: true });
}

async function writeFolder(
  out: string,
  step: number,
  loaded: LoadedModel,
  learner: Learner,
  config: RunConfig,
): Promise<void> {
  const stage = path.join(out, `${STAGE}${process.pid}-${nameOf(step)}`);
  const record = {
    run_id: config.runId,
    step,
    epoch: step / config.stepsPerEpoch,
    model: config.modelId,
    dataset_hash: config.datasetHash,
    version: config.appVersion,
  };
  try {
    await rm(stage, { recursive: true, force: true });
    await mkdir(stage, { recursive: true });
    const files = [...(await stepFiles(loaded, learner)), { path: RECORD, bytes: jsonText(record) }];
    for (const file of files) await writeThrough(path.join(stage, file.path), file.bytes, nodeFiles);
    await syncFolder(stage, nodeFiles);
    await rename(stage, path.join(out, nameOf(step)));
    await syncFolder(out, nodeFiles);
  } catch (thrown) {
    await rm(stage, { recursive: true, force: true });
    throw thrown;
  }
}

/** None of these rejects: what is wrong is said, once. */
export interface StepFolders {
  /** Writes what is fresh. */
  write(run: Run, steps: StepsToStore): Promise<void>;
  /** Deletes what is not kept. */
  prune(run: Run, steps: Pick<StepsToStore, 'keep'>): Promise<void>;
  /** Of a run that goes on from its checkpoint: deletes steps after it, which are made again, and what is of another run. */
  dropLater(run: Run): Promise<void>;
  /** At the end: those that are left, and those of the best and the last weights, which a checkpoint holds until then. */
  storeEnds(run: Run): Promise<void>;
}

/** The folders of a run in `out`. */
export function stepFolders(out: string, loaded: LoadedModel, say: Say): StepFolders {
  let said = false;
  const guarded = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (thrown) {
      if (!said)
        say(`warning: Weights of single steps cannot be written to ${out}: ${errorDetails(thrown).message}`);
      said = true;
    }
  };
  const prune = ({ config }: Run, { keep }: Pick<StepsToStore, 'keep'>) =>
    guarded(async () => {
      for (const { step, runId } of foldersIn(out))
        if (runId !== config.runId || !keep.includes(step)) await removeFolder(out, step);
    });
  const write = (run: Run, { fresh }: StepsToStore) =>
    guarded(async () => {
      const { config } = run;
      for (const { step, learner } of fresh) {
        const tensors = learnedTensors(loaded.model, config.hyperparameters, { learner, best: null });
        try {
          if (!existsSync(path.join(out, nameOf(step))))
            await writeFolder(out, step, loaded, tensors.last, config);
        } finally {
          tensors.dispose();
        }
      }
      run.steps.stored(fresh);
    });
  return {
    write,
    prune,
    dropLater: (run) =>
      guarded(async () => {
        for (const { step, runId } of foldersIn(out))
          if (runId !== run.config.runId || step > run.step) await removeFolder(out, step);
      }),
    storeEnds: async (run) => {
      const { step, best, config } = run;
      const steps = run.steps.toStore(step, best?.step ?? null);
      await write(run, steps);
      await prune(run, steps);
      await guarded(async () => {
        for (const which of ['best', 'last'] as const) {
          const at = which === 'best' ? (best?.step ?? 0) : step;
          if (!steps.keep.includes(at) || existsSync(path.join(out, nameOf(at)))) continue;
          await writeFolder(out, at, loaded, run.learned(which).learner, config);
        }
        if (steps.keep.length > 0)
          say(
            `Weights of ${plural(foldersIn(out).length, 'step')} are kept in ${out}, in folders checkpoint-STEP.`,
          );
      });
    },
  };
}
