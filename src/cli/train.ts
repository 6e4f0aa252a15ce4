// `train`: one run from a file of rows to an adapter, its metric points as JSON lines.
// Not here: the run itself (session/run.ts), the files it leaves (session/results.ts).

import { existsSync, openAsBlob } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { BackendName, RunConfig, RunSummary, TunedWeights } from '../contract';
import { type Checkpoint, readCheckpoint } from '../engine/training/checkpoint';
import { PlaygroundError } from '../errors';
import { HYPERPARAMETER_NAMES } from '../hyperparameters';
import { evaluationPlan, heldOutSentence } from '../metrics/claims';
import { diagnose } from '../metrics/diagnosis';
import type { BaseModel } from '../session/model';
import { runFiles } from '../session/results';
import { type CheckpointKeeper, Run } from '../session/run';
import type { Command } from './command';
import { type Arguments, settingsFor } from './options';
import {
  assertOutput,
  assertRoom,
  CHECKPOINT_FILE,
  holdsResult,
  type ResultKind,
  replaceFile,
  runBytes,
  writeSomewhere,
} from './output';
import { exitCodeOf, type StopSignal } from './signals';
import {
  BACKEND_OPTION,
  DATA_OPTION,
  ENCODING_OPTION,
  LEAVE_OUT_OPTION,
  MODEL_OPTION,
  openWorkbench,
  readRows,
  type Say,
} from './workbench';

export const train: Command = {
  name: 'train',
  summary:
    'Fine-tunes a model on a file of rows. Metric points go to standard output, one JSON object a line; everything else to standard error. Ctrl+C, SIGTERM and SIGHUP stop after the step and keep what was learned.',
  example: 'train --model models/pebble --data rows.jsonl --out my-adapter --num_train_epochs 5',
  options: [
    MODEL_OPTION,
    DATA_OPTION,
    ENCODING_OPTION,
    {
      name: 'out',
      value: 'DIR',
      kind: 'text',
      required: true,
      help: 'Folder for the result: a PEFT adapter with LoRA, else the whole model; metrics.jsonl, metrics.csv, run.json.',
    },
    {
      name: 'weights',
      value: 'WHICH',
      kind: 'text',
      choices: ['best', 'last'],
      default: 'best',
      help: 'Which weights are written: those with the lowest validation loss, or those after the last step. Of a run that is stopped before it was measured again, the best are those after the last step.',
    },
    {
      name: 'include_base_model',
      kind: 'switch',
      help: 'Put the base model beside an adapter, as a small one always is. Otherwise its README.md says where it belongs.',
    },
    LEAVE_OUT_OPTION,
    { name: 'overwrite', kind: 'switch', help: 'Write into a folder that is not empty.' },
    {
      name: 'resume',
      kind: 'switch',
      help: 'Go on with the run that was interrupted in --out, with its settings; the model and the rows must be the same.',
    },
    {
      name: 'save_seconds',
      value: 'N',
      kind: 'number',
      default: 30,
      help: 'While it trains, save the run to --out at most this often, so that it can be resumed after the program was ended; 0 = never.',
    },
    BACKEND_OPTION,
  ],
  settings: HYPERPARAMETER_NAMES,

  async run(args, { print, say, platform, onStop }) {
    const out = args.text('out') as string;
    const kind: ResultKind = args.hyperparameters.method === 'lora' ? 'adapter' : 'model';
    const modelFolder = args.text('model') as string;
    const checkpoint = args.has('resume') ? await savedRun(args, out) : null;
    const overwrite = args.has('overwrite') || checkpoint !== null;
    await assertOutput(out, { overwrite, kind, inputs: [modelFolder] });
    const backend = args.text('backend') as BackendName;
    const workbench = await openWorkbench(modelFolder, backend, platform, say);
    const h = checkpoint?.config.hyperparameters ?? settingsFor(args, workbench.model.parameters);
    const dataset = await readRows(args, workbench, h, say);
    const run = checkpoint
      ? Run.resume(workbench, dataset, checkpoint, workbench, platform)
      : Run.prepare(workbench, dataset, h, workbench, platform);
    const { trainRows, validationRows, totalSteps, trainableParameters, checkpointing } = run.config;
    await assertRoom(out, runBytes(workbench, kind, run.config));
    say(
      `${trainRows} rows to train on, ${validationRows} to validate with; ${totalSteps} steps; ` +
        `${trainableParameters.toLocaleString('en')} parameters learn; learning rate ${h.learning_rate}.`,
    );
    if (checkpoint) say(resumedSentence(checkpoint, run.config));
    say(heldOutSentence(dataset.report));
    say(evaluationPlan(run.config));
    if (checkpointing.because !== null) say(checkpointing.because);

    let stopSignal: StopSignal | null = null;
    onStop((signal) => {
      stopSignal = signal;
      run.stop();
      const what = signal === 'SIGPIPE' ? 'Standard output was closed' : signal;
      say(`${what}: stopping after this step; what was learned is written. A second signal ends at once.`);
    });
    const summary = await run.go(
      ({ points }) => {
        for (const point of points) print(JSON.stringify(point));
      },
      (changed) => {
        if (changed.checkpointing.because !== null) say(changed.checkpointing.because);
      },
      keeperOf(args, out, say),
    );
    const verdict = diagnose(run.points, summary.config, summary.state);
    const diverged = verdict.state === 'diverged';
    say(
      `${diverged ? 'error: ' : ''}${[verdict.sentence, verdict.caveat].filter((s) => s !== null).join(' ')}`,
    );
    const written = await writeRun(args, workbench, run, summary);
    for (const sentence of written.sentences) say(sentence);
    await endCheckpoint(out, summary.state === 'finished' && !written.failed, say);
    if (summary.error) {
      const { message, fix, where } = summary.error;
      say(`error: ${message}${where === undefined ? '' : `\n  where: ${where}`}\n  fix: ${fix}`);
    }
    if (written.failed) return 1;
    if (stopSignal !== null) return exitCodeOf(stopSignal);
    return summary.error || diverged ? 1 : 0;
  },
};

/** The interrupted run in the output folder. Settings that are given must be its own. @throws PlaygroundError `no_checkpoint`, `bad_usage`, `bad_checkpoint` */
async function savedRun(args: Arguments, out: string): Promise<Checkpoint> {
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

function resumedSentence({ config, trainer }: Checkpoint, now: RunConfig): string {
  const other =
    config.backend === now.backend
      ? ''
      : ` It began on ${config.backend}, so the numbers from here on differ in their last digits from those it would have given.`;
  return `Going on after step ${trainer.step} of the run that began ${config.startedAt}.${other}`;
}

function keeperOf(args: Arguments, out: string, say: Say): CheckpointKeeper | null {
  const seconds = args.number('save_seconds');
  if (!(seconds > 0)) return null;
  let failed = false;
  return {
    everyMs: 1000 * seconds,
    save: (bytes) => replaceFile(out, CHECKPOINT_FILE, bytes),
    onFailure: ({ message }) => {
      // Once: a full disk would say it every half a minute.
      if (!failed) say(`The run cannot be saved while it goes on, so it could not be resumed: ${message}`);
      failed = true;
    },
  };
}

/** A finished run needs no checkpoint; of any other it says how to go on. */
async function endCheckpoint(out: string, finished: boolean, say: Say): Promise<void> {
  const file = path.join(out, CHECKPOINT_FILE);
  if (!existsSync(file)) return;
  if (finished) await rm(file);
  else say('The run can go on later: the same command with --resume.');
}

/** Writes what the run has learned and its record, and says which weights these are and where they lie. */
async function writeRun(
  args: Arguments,
  base: BaseModel,
  run: Run,
  summary: RunSummary,
): Promise<{ sentences: string[]; failed: boolean }> {
  const out = args.text('out') as string;
  if (summary.step === 0 && holdsResult(out)) {
    return {
      sentences: [`Nothing was learned. The result that lies in ${out} was left as it is.`],
      failed: false,
    };
  }
  const asked = args.text('weights') as TunedWeights;
  const learned = summary.step === 0 ? null : run.learned(asked === 'best' ? run.kept : asked);
  const files = await runFiles(base, learned, summary, run.points, { includeBase: args.has('include_base_model') });
  const { folder, failure } = await writeSomewhere(out, files);
  const sentences = [`${weightsSentence(run, learned?.which ?? null)} Written to ${folder}.`];
  if (failure) {
    sentences.unshift(
      `error: ${failure.message}\n  fix: ${failure.fix} Until then the result lies in ${folder}.`,
    );
  }
  return { sentences, failed: failure !== null };
}

function weightsSentence(run: Run, which: TunedWeights | null): string {
  const { step, best } = run.trainer;
  if (which === null) return 'Nothing was learned; only the record of the run is kept.';
  const steps = step === 1 ? '1 step.' : `${step} steps.`;
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
