// The checkpoint of a run in its output folder: written while it trains, read to go on, removed at its end.
// Not here: what is in it (engine/training/checkpoint.ts), when it is due (session/run.ts).

import { existsSync, openAsBlob } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { RunConfig } from '../contract';
import { type Checkpoint, readCheckpoint } from '../engine/training/checkpoint';
import { PlaygroundError } from '../errors';
import type { Run } from '../session/run';
import type { CheckpointKeeper } from '../session/runExtras';
import type { Arguments } from './options';
import { CHECKPOINT_FILE, replaceFile } from './output';
import type { StepFolders } from './stepFolders';
import type { Say } from './workbench';

/**
 * The interrupted run in the output folder. Settings that are given must be its own.
 * @throws PlaygroundError `no_checkpoint`, `bad_usage`, `bad_checkpoint`
 */
export async function savedRun(args: Arguments, out: string): Promise<Checkpoint> {
  const file = path.join(out, CHECKPOINT_FILE);
  if (!existsSync(file)) {
    throw new PlaygroundError({
      code: 'no_checkpoint',
      message: `${out} holds no run that was interrupted: there is no ${CHECKPOINT_FILE}.`,
      fix: 'Give the --out of the run that was interrupted, or leave out --resume.',
      where: out,
    });
  }
  const checkpoint = await readCheckpoint(await openAsBlob(file));
  const { hyperparameters: saved } = checkpoint.config;
  for (const name of args.given) {
    if (args.hyperparameters[name] === saved[name]) continue;
    throw new PlaygroundError({
      code: 'bad_usage',
      message: `--${name} is ${args.hyperparameters[name]}, and the interrupted run has ${saved[name]}.`,
      fix: `Leave --${name} out: a resumed run keeps its settings.`,
      where: name,
    });
  }
  return checkpoint;
}

export function resumedSentence({ config, trainer }: Checkpoint, now: RunConfig): string {
  const other =
    config.backend === now.backend
      ? ''
      : ` It began on ${config.backend}, so the numbers from here on differ in their last digits from those it would have given.`;
  return `Going on after step ${trainer.step} of the run that began ${config.startedAt}.${other}`;
}

/**
 * Saves a run to its folder: first the weights of single steps that are new, then the checkpoint, then those go that are no longer kept. A
 * resumed run has only what lies on the disk: killed at any moment, it finds every step up to its checkpoint that is kept.
 * @param singleSteps null where none keep their weights
 */
export function keeperOf(
  args: Arguments,
  out: string,
  say: Say,
  singleSteps: { folders: StepFolders; run: Run } | null,
): CheckpointKeeper | null {
  const seconds = args.number('save_seconds');
  if (!(seconds > 0)) return null;
  let failed = false;
  return {
    everyMs: 1000 * seconds,
    save: async (bytes, steps) => {
      await singleSteps?.folders.write(singleSteps.run, steps);
      await replaceFile(out, CHECKPOINT_FILE, bytes);
      await singleSteps?.folders.prune(singleSteps.run, steps);
    },
    onFailure: ({ message }) => {
      // Once, not at every save.
      if (!failed) say(`The run cannot be saved while it goes on, so it could not be resumed: ${message}`);
      failed = true;
    },
  };
}

/** Removes the checkpoint of an interrupted run when a new run starts in its folder: it must not be resumed as the new one's. */
export async function dropCheckpoint(out: string, say: Say): Promise<void> {
  const file = path.join(out, CHECKPOINT_FILE);
  if (!existsSync(file)) return;
  await rm(file);
  say(`The interrupted run in ${out} cannot go on any more: a new one begins in its place.`);
}

/** Removes the checkpoint of a finished run; for any other run says how to resume it. */
export async function endCheckpoint(out: string, finished: boolean, say: Say): Promise<void> {
  const file = path.join(out, CHECKPOINT_FILE);
  if (!existsSync(file)) return;
  if (finished) await rm(file);
  else say('The run can go on later: the same command with --resume.');
}
