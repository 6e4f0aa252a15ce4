// `train`: one run from a file of rows to an adapter, its metric points as JSON lines.
// Not here: the run itself (session/run.ts), the files it leaves (session/results.ts).

import type { BackendName, TunedWeights } from '../contract';
import { HYPERPARAMETER_NAMES } from '../hyperparameters';
import { evaluationPlan, heldOutSentence } from '../metrics/claims';
import { diagnose } from '../metrics/diagnosis';
import { runFiles } from '../session/results';
import { Run } from '../session/run';
import type { Command } from './command';
import { assertWritable, writeFiles } from './disk';
import { settingsFor } from './options';
import {
  BACKEND_OPTION,
  DATA_OPTION,
  ENCODING_OPTION,
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
      choices: ['last', 'best'],
      default: 'last',
      help: 'Which weights are written: those after the last step, or those with the lowest validation loss that was measured.',
    },
    LEAVE_OUT_OPTION,
    { name: 'overwrite', kind: 'switch', help: 'Write into a folder that is not empty.' },
    BACKEND_OPTION,
  ],
  settings: HYPERPARAMETER_NAMES,

  async run(args, { print, say, platform, onInterrupt }) {
    const out = args.text('out') as string;
    assertWritable(out, args.has('overwrite'));
    const backend = args.text('backend') as BackendName;
    const workbench = await openWorkbench(args.text('model') as string, backend, platform, say);
    const h = settingsFor(args, workbench.model.parameters);
    const dataset = await readRows(args, workbench, h, say);
    const run = Run.prepare(workbench, dataset, h, workbench, platform);
    const { trainRows, validationRows, totalSteps, trainableParameters, checkpointing } = run.config;
    say(
      `${trainRows} rows to train on, ${validationRows} to validate with; ${totalSteps} steps; ` +
        `${trainableParameters.toLocaleString('en')} parameters learn; learning rate ${h.learning_rate}.`,
    );
    say(heldOutSentence(dataset.report));
    say(evaluationPlan(run.config));
    if (checkpointing.because !== null) say(checkpointing.because);

    onInterrupt(() => {
      run.stop();
      say('Stopping after this step …');
    });
    const summary = await run.go(
      ({ points }) => {
        for (const point of points) print(JSON.stringify(point));
      },
      (changed) => {
        if (changed.checkpointing.because !== null) say(changed.checkpointing.because);
      },
    );
    const learned = summary.step === 0 ? null : run.learned(args.text('weights') as TunedWeights);
    await writeFiles(out, await runFiles(workbench, learned, summary, run.points));
    if (summary.error) {
      const { message, fix, where } = summary.error;
      say(`error: ${message}${where === undefined ? '' : `\n  where: ${where}`}\n  fix: ${fix}`);
      return 1;
    }
    const verdict = diagnose(run.points, summary.config, summary.state);
    say([verdict.sentence, verdict.caveat].filter((s) => s !== null).join(' '));
    say(`${summary.step} steps. Written to ${out}.`);
    return summary.state === 'stopped' ? 130 : 0;
  },
};
