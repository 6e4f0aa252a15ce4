// `sweep`: several runs that differ in one setting, each in a folder of its own, and what they come to as a table.
// Not here: the order of the runs (session/sweep.ts), what they come to (metrics/sweep.ts), one run's result (runResult.ts).

import path from 'node:path';
import type { BackendName, RunEvent, RunSummary } from '../contract';
import { jsonText } from '../engine/model/artifacts';
import { PlaygroundError } from '../errors';
import { HYPERPARAMETER_NAMES, HYPERPARAMETERS } from '../hyperparameters';
import { heldOutSentence, testSentence } from '../metrics/claims';
import { sweepSentence, sweepTable } from '../metrics/sweep';
import { emptyEntry, type SweepEntry, sweepEntry } from '../metrics/sweepEntry';
import type { Run } from '../session/run';
import { Sweep } from '../session/sweep';
import { settingText } from '../settingText';
import type { SweepRequest } from '../sweepContract';
import { readSweepValues, SWEEP_PRESETS, valuesText } from '../sweeps';
import { plural } from '../wording';
import { dropCheckpoint, endCheckpoint, keeperOf } from './checkpoints';
import { table } from './columns';
import type { Command } from './command';
import { READING_OPTIONS } from './dataOptions';
import { openEventLog } from './eventLog';
import { type Arguments, settingsFor } from './options';
import { assertOutput, assertRoom, type ResultKind, replaceFile, runBytes } from './output';
import { exportOptions, INCLUDE_BASE_OPTION, SAVE_OPTION, WEIGHTS_OPTION, writeRun } from './runResult';
import { exitCodeOf, type StopSignal } from './signals';
import {
  BACKEND_OPTION,
  DATA_OPTION,
  LEAVE_OUT_OPTION,
  MODEL_OPTION,
  openWorkbench,
  readRows,
} from './workbench';

export const SWEEP_FILE = 'sweep.json';
/** Increased when a reader of an earlier version would misread the file. */
const VERSION = 1;

/** A sweep compares ends: no run of it keeps weights of single steps. */
const NO_STEPS = { keepSteps: 0 };

export const sweep: Command = {
  name: 'sweep',
  summary:
    'Trains once for each value of one setting, given as a list with commas, and compares the runs by validation loss. Prints a table and a sentence that reads it; each run is a folder in --out, as train writes it, beside sweep.json. A run that fails does not end the sweep. Ctrl+C stops after the step, keeps that run, and starts no other.',
  example: 'sweep --model models/pebble --data rows.jsonl --out my-sweep --learning_rate 1e-3,5e-3,2e-2',
  options: [
    MODEL_OPTION,
    DATA_OPTION,
    ...READING_OPTIONS,
    {
      name: 'out',
      value: 'DIR',
      kind: 'text',
      required: true,
      help: 'Folder for the runs (DIR/learning_rate-0.001 …) and sweep.json.',
    },
    {
      name: 'preset',
      value: 'NAME',
      kind: 'text',
      choices: SWEEP_PRESETS.map(({ id }) => id),
      help: SWEEP_PRESETS.map(
        ({ id, label, setting, values }) => `${id}: “${label}”, --${setting} ${values.join(',')}.`,
      ).join(' '),
    },
    WEIGHTS_OPTION,
    INCLUDE_BASE_OPTION,
    LEAVE_OUT_OPTION,
    { name: 'overwrite', kind: 'switch', help: 'Write into folders of runs that are not empty.' },
    SAVE_OPTION,
    BACKEND_OPTION,
  ],
  settings: HYPERPARAMETER_NAMES,
  lists: true,

  async run(args, { print, say, platform, onStop }) {
    const { setting, text } = sweptSetting(args);
    const out = args.text('out') as string;
    const modelFolder = args.text('model') as string;
    let stopSignal: StopSignal | null = null;
    let stop = () => {};
    onStop((signal) => {
      stopSignal = signal;
      stop();
      say(
        `${signal}: stopping after this step; what was learned is written, and no other run is started. A second signal ends at once.`,
      );
    });
    const workbench = await openWorkbench(modelFolder, args.text('backend') as BackendName, platform, say);
    const h = settingsFor(args, workbench.model.parameters);
    const list = readSweepValues(setting, text ?? presetOf(args).values.join(','), h);
    if (list.problem !== null) throw wrong(list.problem, 'See: npm run cli -- sweep --help', setting);
    const request: SweepRequest = { setting, values: list.values };
    const folders = request.values.map((value) => path.join(out, `${setting}-${String(value)}`));
    for (const [i, folder] of folders.entries()) {
      const method = setting === 'method' ? request.values[i] : h.method;
      const overwrite = args.has('overwrite');
      await assertOutput(folder, { overwrite, kind: kindOf(method), inputs: [modelFolder], say });
    }
    const dataset = await readRows(args, workbench, h, say, platform);
    await dataset.provideProbe(platform);
    const plan = new Sweep(workbench, dataset, h, request, workbench, platform, NO_STEPS);
    const steps = plan.plan.reduce((sum, run) => sum + run.steps, 0);
    say(
      `${plural(request.values.length, 'run')} with ${HYPERPARAMETERS[setting].label} ${valuesText(setting, request.values)}; about ${plural(steps, 'step')} in all.`,
    );
    if (setting === 'train_fraction')
      say('Runs on fewer rows repeat them more often, so that all make about as many updates.');
    if (dataset.report.test) say(testSentence(dataset.report.test));
    say(heldOutSentence(dataset.report));
    const entries = request.values.map((_, i): SweepEntry => emptyEntry(request, i + 1));
    let failed = false;
    const write = async () => {
      const record = sweepRecord(
        request,
        entries,
        folders.map((folder) => path.basename(folder)),
      );
      await replaceFile(out, SWEEP_FILE, new TextEncoder().encode(jsonText(record)));
    };
    stop = () => plan.stop();
    if (stopSignal !== null) stop();
    await plan.go({
      train: async (run, onEvent) => {
        const index = (run.config.sweep?.number ?? 1) - 1;
        const folder = folders[index] as string;
        stop = () => {
          plan.stop();
          run.stop();
        };
        if (stopSignal !== null) stop();
        try {
          const kind = kindOf(run.config.hyperparameters.method);
          await assertRoom(
            folder,
            runBytes(workbench, kind, run.config, { ...exportOptions(args), ...NO_STEPS }),
          );
          await dropCheckpoint(folder, say);
          const log = openEventLog(folder, run.config, run.points, say);
          const report = (event: RunEvent) => {
            log.append(event.points);
            return onEvent(event);
          };
          const keeper = keeperOf(args, folder, say, null);
          const summary = await run.go(report, () => {}, keeper);
          const written = await writeRun(args, folder, workbench, run, summary, {
            dataset,
            platform,
          }).finally(() => log.end());
          failed ||= written.failed;
          for (const sentence of written.sentences) say(sentence);
          await endCheckpoint(folder, summary.state === 'finished' && !written.failed, say);
          entries[index] = entryOf(request, run, summary);
          return summary;
        } finally {
          run.trainer.dispose();
        }
      },
      onEvent: () => {},
      onEnd: async ({ number, summary, error }) => {
        if (summary === null)
          entries[number - 1] = emptyEntry(request, number, 'failed', error?.message ?? null);
        const { state, best } = entries[number - 1] as SweepEntry;
        const loss = best === null ? '' : `, validation loss ${best.loss.toFixed(3)} at step ${best.step}`;
        say(
          `Run ${number} of ${request.values.length}, ${HYPERPARAMETERS[setting].label} ${settingText(setting, request.values[number - 1] as never)}: ${state}${loss}.`,
        );
        if (error) say(`error: ${error.message}\n  fix: ${error.fix}`);
        await write();
      },
    });
    await write();
    for (const line of table(sweepTable(request, entries), '')) print(line);
    print('');
    print(sweepSentence(request, entries));
    if (stopSignal !== null) return exitCodeOf(stopSignal);
    const ended = entries.filter(({ state }) => state === 'finished').length;
    return failed || ended === 0 ? 1 : 0;
  },
};

const kindOf = (method: unknown): ResultKind => (method === 'lora' ? 'adapter' : 'model');

function entryOf(request: SweepRequest, run: Run, summary: RunSummary): SweepEntry {
  const { number } = summary.config.sweep as { number: number };
  const { points, rows } = run;
  const error = summary.error?.message ?? null;
  return sweepEntry(request, number, {
    config: summary.config,
    summary,
    active: false,
    step: summary.step,
    points,
    rows,
    error,
  });
}

/** sweep.json: what was swept, what each run came to and in which folder it is, and the sentence that reads it. */
function sweepRecord(request: SweepRequest, entries: readonly SweepEntry[], folders: readonly string[]) {
  return {
    version: VERSION,
    ...request,
    runs: entries.map(({ rows, ...entry }, i) => ({
      ...entry,
      folder: entry.state === 'not_started' || entry.totalSteps === null ? null : folders[i],
    })),
    sentence: sweepSentence(request, entries),
  };
}

const wrong = (message: string, fix: string, where?: string) =>
  new PlaygroundError({ code: 'bad_usage', message, fix, ...(where !== undefined && { where }) });

const presetOf = (args: Arguments) =>
  SWEEP_PRESETS.find(({ id }) => id === args.text('preset')) as (typeof SWEEP_PRESETS)[number];

/** The setting that has several values, and these as they were written; null for those of the preset. @throws PlaygroundError `bad_usage` */
function sweptSetting(args: Arguments) {
  const given = [...args.lists];
  const [first, second] = given;
  const fix = 'Give one setting several values, separated by commas, or --preset.';
  if (second)
    throw wrong(
      `${given.map(([name]) => `--${name}`).join(' and ')} have several values; a sweep is over one setting.`,
      fix,
    );
  if (args.text('preset') !== null) {
    if (first) throw wrong(`--preset and the values of --${first[0]} are two sweeps.`, fix);
    return { setting: presetOf(args).setting, text: null };
  }
  if (!first) throw wrong('A sweep needs a setting with several values.', fix);
  return { setting: first[0], text: first[1] };
}
