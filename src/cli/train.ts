// `train`: one run from a file of rows to an adapter, its metric points as JSON lines.
// Not here: the run itself (session/run.ts), the files it leaves (session/results.ts), saving it during the run (checkpoints.ts).

import type { BackendName } from '../contract';
import type { Checkpoint } from '../engine/training/checkpoint';
import { PlaygroundError } from '../errors';
import type { GeneralAnswers } from '../generalContract';
import { HYPERPARAMETER_NAMES, type Hyperparameters } from '../hyperparameters';
import { bitsSentence } from '../metrics/bitsPerByte';
import {
  crossValidationSentence,
  evaluationPlan,
  foldSentence,
  generalPlan,
  heldOutSentence,
  mixedIn,
  spareSentence,
  testSentence,
} from '../metrics/claims';
import { diagnose } from '../metrics/diagnosis';
import { type NextStep, nextSteps } from '../metrics/nextSteps';
import { weightTable } from '../metrics/weightTable';
import { crossValidate } from '../session/crossValidation';
import { generalAnswers } from '../session/generalAnswers';
import { assertRateChanges, readRateChanges } from '../session/rateChanges';
import { Run } from '../session/run';
import type { RateChange } from '../stepContract';
import { plural } from '../wording';
import { dropCheckpoint, endCheckpoint, keeperOf, resumedSentence, savedRun } from './checkpoints';
import type { Command } from './command';
import { READING_OPTIONS } from './dataOptions';
import { openEventLog } from './eventLog';
import { type Arguments, settingsFor } from './options';
import { assertOutput, assertRoom, type ResultKind, runBytes } from './output';
import { PASSAGE_OPTIONS, withDocuments } from './passageRows';
import { PIN_OPTIONS, pinnedLines, pinnedOf } from './pins';
import { noteInRecord } from './record';
import {
  exportOptions,
  INCLUDE_BASE_OPTION,
  learnedOf,
  SAVE_OPTION,
  WEIGHTS_OPTION,
  writeRun,
} from './runResult';
import { exitCodeOf, type StopSignal } from './signals';
import { dropStepFolders, keptStepsOf, STEPS_OPTION, stepFolders } from './stepFolders';
import {
  BACKEND_OPTION,
  DATA_OPTION,
  LEAVE_OUT_OPTION,
  MODEL_OPTION,
  openWorkbench,
  readRows,
} from './workbench';

export const train: Command = {
  name: 'train',
  summary:
    'Fine-tunes a model on a file of rows. Metric points go to standard output, one JSON object a line; everything else to standard error. Ctrl+C, SIGTERM and SIGHUP stop after the step and keep what was learned.',
  example: 'train --model models/pebble --data rows.jsonl --out my-adapter --num_train_epochs 5',
  options: [
    MODEL_OPTION,
    DATA_OPTION,
    ...READING_OPTIONS,
    {
      name: 'out',
      value: 'DIR',
      kind: 'text',
      required: true,
      help: 'Folder for the result: a PEFT adapter with LoRA, else the whole model; metrics.jsonl, metrics.csv, weight_changes.csv, trainer_state.json, run.json; a TensorBoard event file, which is there from the start and grows.',
    },
    WEIGHTS_OPTION,
    INCLUDE_BASE_OPTION,
    LEAVE_OUT_OPTION,
    ...PASSAGE_OPTIONS,
    { name: 'overwrite', kind: 'switch', help: 'Write into a folder that is not empty.' },
    {
      name: 'resume',
      kind: 'switch',
      help: 'Go on with the run that was interrupted in --out, with its settings; the model and the rows must be the same.',
    },
    SAVE_OPTION,
    STEPS_OPTION,
    ...PIN_OPTIONS,
    {
      name: 'lr_at',
      value: 'STEP=RATE,…',
      kind: 'text',
      help: 'Change the learning rate after so many updates: from the next one on the schedule is that of RATE. Repeats what was changed by hand on the page (rateChanges in run.json).',
    },
    BACKEND_OPTION,
  ],
  settings: HYPERPARAMETER_NAMES,

  async run(args, { print, say, platform, onStop }) {
    const out = args.text('out') as string;
    const kind: ResultKind = args.hyperparameters.method === 'lora' ? 'adapter' : 'model';
    const modelFolder = args.text('model') as string;
    const keepSteps = keptStepsOf(args.number('save_total_limit'));
    const checkpoint = args.has('resume') ? await savedRun(args, out) : null;
    const pinned = pinnedOf(args, checkpoint?.config ?? null);
    const overwrite = args.has('overwrite') || checkpoint !== null;
    await assertOutput(out, { overwrite, kind, inputs: [modelFolder], say });
    let stopSignal: StopSignal | null = null;
    let stop = () => {};
    // Before the model is read: a signal that comes early ends the run before its first step.
    onStop((signal) => {
      stopSignal = signal;
      stop();
      const what = signal === 'SIGPIPE' ? 'Standard output was closed' : signal;
      say(`${what}: stopping after this step; what was learned is written. A second signal ends at once.`);
    });
    const backend = args.text('backend') as BackendName;
    const workbench = await openWorkbench(modelFolder, backend, platform, say);
    const h = checkpoint?.config.hyperparameters ?? settingsFor(args, workbench.model.parameters);
    const rateChanges = plannedChanges(args, checkpoint, h);
    const read = await readRows(args, workbench, h, say, platform);
    const dataset = await withDocuments(args, read, workbench, h, say);
    await dataset.provideProbe(platform);
    const run = checkpoint
      ? Run.resume(workbench, dataset, checkpoint, workbench, platform, { keepSteps })
      : Run.prepare(workbench, dataset, h, workbench, platform, { pinned, keepSteps, rateChanges });
    assertRateChanges(rateChanges, run.config.totalSteps);
    const folders = stepFolders(out, workbench, say);
    stop = () => run.stop();
    if (stopSignal !== null) stop();
    const { trainRows, validationRows, totalSteps, trainableParameters, checkpointing, replay } = run.config;
    await assertRoom(out, runBytes(workbench, kind, run.config, { ...exportOptions(args), keepSteps }));
    say(
      `${plural(trainRows, 'row')} to train on${replay ? `, ${mixedIn(replay)}` : ''}, ${validationRows} to validate with; ${plural(totalSteps, 'step')}; ` +
        `${trainableParameters.toLocaleString('en')} parameters learn; learning rate ${h.learning_rate}.`,
    );
    if (dataset.report.spareRows > 0) say(spareSentence(dataset.report));
    if (dataset.report.test) say(testSentence(dataset.report.test));
    if (checkpoint) say(resumedSentence(checkpoint, run.config));
    say(heldOutSentence(dataset.report));
    say(evaluationPlan(run.config));
    if (run.config.general) say(generalPlan(run.config.general));
    if (checkpointing.because !== null) say(checkpointing.because);

    let measured = 'sample';
    // Last, after everything that may still refuse the run.
    if (checkpoint === null) {
      await dropCheckpoint(out, say);
      await dropStepFolders(out, say);
    } else await folders.dropLater(run);
    const log = openEventLog(out, run.config, run.points, say);
    const summary = await run.go(
      ({ points, pinned: columns, progress }) => {
        for (const point of points) print(JSON.stringify(point));
        log.append(points);
        if (pinned) for (const column of columns) for (const line of pinnedLines(pinned, column)) say(line);
        const now = progress.measuring?.what ?? 'sample';
        if ((now === 'last' || now === 'best') && now !== measured)
          say(`Measuring all held-out rows with the ${now} weights …`);
        measured = now;
      },
      (changed) => {
        if (changed.checkpointing.because !== null) say(changed.checkpointing.because);
      },
      keeperOf(args, out, say, { folders, run }),
    );
    const verdict = diagnose(run.points, summary.config, summary.state);
    const diverged = verdict.state === 'diverged';
    say(
      `${diverged ? 'error: ' : ''}${[verdict.sentence, verdict.caveat, verdict.forgetting?.sentence ?? null].filter((s) => s !== null).join(' ')}`,
    );
    const bits = summary.best && bitsSentence(run.points, summary.config, summary.best.step);
    if (bits) say(bits);
    for (const line of summary.weightChanges ? weightTable(summary.weightChanges) : []) say(line);
    const next = nextSteps({ config: summary.config, verdict, step: summary.step }).map(asOptions);
    if (next.length > 0) say(`To try next: ${next.join('; ')}.`);
    if (verdict.forgetting && summary.step > 0) {
      const general = await generalAnswers(workbench, learnedOf(args, run), platform);
      run.note({ generalAnswers: general });
      for (const line of generalLines(general)) say(line);
    }
    const written = await writeRun(args, out, workbench, run, run.summary ?? summary, {
      dataset,
      platform,
    }).finally(() => log.end());
    for (const sentence of written.sentences) say(sentence);
    if (!written.failed && summary.step > 0) await folders.storeEnds(run);
    if (summary.state === 'finished' && h.folds > 1 && stopSignal === null) {
      const { crossValidation } = await crossValidate(run, workbench, dataset, workbench, platform, {
        onEvent: () => {},
        onFold: (result, fold) => say(foldSentence(result, fold)),
      });
      if (crossValidation) {
        say(crossValidationSentence(crossValidation));
        await noteInRecord(written.folder, { crossValidation });
      }
    }
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

/** @throws PlaygroundError `bad_usage`: where the run is resumed, these must be its own */
function plannedChanges(args: Arguments, checkpoint: Checkpoint | null, h: Hyperparameters): RateChange[] {
  const text = args.text('lr_at');
  const given = text === null ? [] : readRateChanges(text, h);
  const own = checkpoint?.config.rateChanges ?? [];
  if (checkpoint === null || text === null || JSON.stringify(given) === JSON.stringify(own)) {
    return checkpoint === null ? given : [...own];
  }
  throw new PlaygroundError({
    code: 'bad_usage',
    message: '--lr_at is not what the interrupted run has.',
    fix: 'Leave --lr_at out: a resumed run keeps its changes of the learning rate.',
    where: 'lr_at',
  });
}

/** Answers to general questions before and after, line by line. */
const generalLines = ({ weights, answers }: GeneralAnswers): string[] => [
  `General questions, answered by the base model and with the ${weights} weights:`,
  ...answers.map(
    ({ prompt, base, tuned }) => `  ${prompt}  ${JSON.stringify(base)} → ${JSON.stringify(tuned)}`,
  ),
];

/** A step as it is carried out here: by options of this command, where it is not about the rows. */
function asOptions(step: NextStep): string {
  if (step.kind === 'best_weights') return '--weights best';
  if (step.kind === 'rows') return step.label.toLowerCase();
  return Object.entries(step.changes)
    .map(([name, value]) => `--${name} ${value}`)
    .join(' ');
}
