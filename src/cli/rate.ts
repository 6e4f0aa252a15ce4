// `rate`: a learning-rate range test on a file of rows, and the rate it proposes.
// Not here: the test (engine/training/learningRateRange.ts), its order (session/rateSearch.ts).

import type { BackendName } from '../contract';
import { HYPERPARAMETER_NAMES } from '../hyperparameters';
import { searchRate } from '../session/rateSearch';
import type { Command } from './command';
import { READING_OPTIONS } from './dataOptions';
import { settingsFor } from './options';
import { exitCodeOf, type StopSignal } from './signals';
import {
  BACKEND_OPTION,
  DATA_OPTION,
  LEAVE_OUT_OPTION,
  MODEL_OPTION,
  openWorkbench,
  readRows,
} from './workbench';

export const rate: Command = {
  name: 'rate',
  summary:
    'Proposes a learning rate by a range test: the rate rises during a short run that is not kept. Prints the points and then the proposal, one JSON object a line.',
  example: 'rate --model models/pebble --data rows.jsonl',
  options: [MODEL_OPTION, DATA_OPTION, ...READING_OPTIONS, LEAVE_OUT_OPTION, BACKEND_OPTION],
  settings: HYPERPARAMETER_NAMES,

  async run(args, { print, say, platform, onStop }) {
    const backend = args.text('backend') as BackendName;
    const workbench = await openWorkbench(args.text('model') as string, backend, platform, say);
    const h = settingsFor(args, workbench.model.parameters);
    const dataset = await readRows(args, workbench, h, say, platform);
    let stopped: StopSignal | null = null;
    onStop((signal) => {
      stopped = signal;
    });
    const proposed = await searchRate(workbench, dataset, h, workbench.device, platform, {
      onPoint: ({ learningRate, loss }) => print(JSON.stringify({ learning_rate: learningRate, loss })),
      stopped: () => stopped !== null,
    });
    if (stopped !== null) return exitCodeOf(stopped);
    print(JSON.stringify({ proposed_learning_rate: proposed }));
    if (proposed === null) say('The loss never fell clearly, so no rate is proposed.');
    return 0;
  },
};
