// `train`: one run from a file of rows to an adapter, its metric points as JSON lines.
// Not here: the training loop (engine/train.ts), the files it leaves (output.ts).

import type { BackendName, RunConfig, RunSummary } from '../contract';
import { trainableParameters } from '../engine/adapters';
import { takeDeviceError } from '../engine/device';
import { FittedTrainer, settle } from '../engine/fit';
import { longestBatch, roomOf } from '../engine/memory';
import { Meter } from '../engine/meter';
import { errorDetails } from '../errors';
import { HYPERPARAMETER_NAMES } from '../hyperparameters';
import { diagnose } from '../metrics/diagnosis';
import type { Command } from './command';
import { assertWritable, writeFiles } from './disk';
import { settingsFor } from './options';
import { recordFiles, runFiles } from './output';
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
    'Fine-tunes a model on a file of rows. Metric points go to standard output, one JSON object a line; everything else to standard error. Ctrl+C stops after the step and keeps what was learned.',
  example: 'train --model models/pebble --data rows.jsonl --out my-adapter --num_train_epochs 5',
  options: [
    MODEL_OPTION,
    DATA_OPTION,
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
      choices: ['last', 'best'],
      default: 'last',
      help: 'Which weights are written: those after the last step, or those with the lowest validation loss.',
    },
    LEAVE_OUT_OPTION,
    { name: 'overwrite', kind: 'switch', help: 'Write into a folder that is not empty.' },
    BACKEND_OPTION,
  ],
  settings: HYPERPARAMETER_NAMES,

  async run(args, { print, say, appVersion, onInterrupt }) {
    const out = args.text('out') as string;
    assertWritable(out, args.has('overwrite'));
    const backend = args.text('backend') as BackendName;
    const workbench = await openWorkbench(args.text('model') as string, backend, say);
    const h = settingsFor(args, workbench.model.parameters);
    const rows = await readRows(
      args.text('data') as string,
      workbench,
      h,
      args.has('leave_out_bad_rows'),
      say,
    );
    const data = {
      train: rows.train.map((r) => r.encoded),
      validation: rows.validation.map((r) => r.encoded),
    };
    const longest = longestBatch(data.train, h.batch_size);
    const settled = settle(workbench.model, h, longest, roomOf(workbench.device));
    const fitted = new FittedTrainer(workbench.model, data, settled);
    const { stepsPerEpoch, totalSteps } = fitted.trainer.plan;
    const config: RunConfig = {
      runId: crypto.randomUUID(),
      hyperparameters: { ...h },
      checkpointing: fitted.checkpointing,
      modelId: workbench.modelId,
      datasetName: rows.name,
      datasetHash: rows.hash,
      trainRows: data.train.length,
      validationRows: data.validation.length,
      stepsPerEpoch,
      totalSteps,
      trainableParameters: trainableParameters(fitted.trainer.learner),
      backend: workbench.device.backend,
      ...(workbench.tiles && { tiles: workbench.tiles.id }),
      appVersion,
      startedAt: new Date().toISOString(),
    };
    say(
      `${data.train.length} rows to train on, ${data.validation.length} to validate with; ${totalSteps} steps; ` +
        `${config.trainableParameters.toLocaleString('en')} parameters learn; ` +
        `learning rate ${h.learning_rate}.`,
    );

    let stopped = false;
    onInterrupt(() => {
      stopped = true;
      say('Stopping after this step …');
    });
    const meter = new Meter();
    const startedAt = performance.now();
    let last = startedAt;
    const summary: RunSummary = { config, state: 'finished', step: 0, best: null };
    // The engine waits for nothing on wasm; without this a signal would never be heard.
    const heard = () => new Promise((resolve) => setImmediate(resolve));
    try {
      for await (const _ of fitted.rehearse()) {
        await heard();
        if (stopped) break;
      }
      config.checkpointing = fitted.checkpointing;
      if (config.checkpointing.because !== null) say(config.checkpointing.because);
      for await (const event of stopped ? [] : fitted.trainer.run()) {
        const gpuError = takeDeviceError();
        if (gpuError) throw gpuError;
        const now = performance.now();
        for (const point of meter.take(event, now - last, now - startedAt)) print(JSON.stringify(point));
        last = now;
        await heard();
        if (stopped) break;
      }
      if (stopped) summary.state = 'stopped';
    } catch (thrown) {
      summary.state = 'failed';
      summary.error = errorDetails(await fitted.giveUp(thrown));
    }
    const { trainer } = fitted;
    summary.step = trainer.step;
    summary.best = trainer.best;

    const learner =
      args.text('weights') === 'best' ? (trainer.bestLearner ?? trainer.learner) : trainer.learner;
    const files =
      summary.step === 0
        ? recordFiles(summary, meter.points)
        : await runFiles(workbench, learner, summary, meter.points);
    await writeFiles(out, files);
    if (summary.error) {
      const { message, fix, where } = summary.error;
      say(`error: ${message}${where === undefined ? '' : `\n  where: ${where}`}\n  fix: ${fix}`);
      return 1;
    }
    const verdict = diagnose(meter.points, data.validation.length);
    say([verdict.sentence, verdict.caveat].filter((s) => s !== null).join(' '));
    say(`${summary.step} steps. Written to ${out}.`);
    return stopped ? 130 : 0;
  },
};
