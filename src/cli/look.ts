// `evaluate` and `inspect`: the loss of a model on rows, and the tokens and mask of each row.
// Not here: training (train.ts), talking (talk.ts).

import type { BackendName, DatasetReport } from '../contract';
import type { MendedForm } from '../dataReport';
import { takeDeviceError } from '../engine/device/device';
import { disposeLearner } from '../engine/model/adapters';
import { evaluate as evaluateRows, measureWith } from '../engine/training/evaluate';
import { ROW_SETTINGS } from '../hyperparameters';
import { heldOutSentence } from '../metrics/claims';
import type { Split } from '../session/dataset';
import { plural } from '../wording';
import type { Command } from './command';
import { READING_OPTIONS } from './dataOptions';
import { columnTable, issueTable, mendTable } from './dataTables';
import type { Option } from './options';
import {
  ADAPTER_OPTION,
  adapterOf,
  BACKEND_OPTION,
  DATA_OPTION,
  endingError,
  finish,
  LEAVE_OUT_OPTION,
  MODEL_OPTION,
  openModelFolder,
  openWorkbench,
  readRows,
} from './workbench';
import { assertNewFile, writeWholeFile } from './writeFile';

const SPLIT_OPTION: Option = {
  name: 'split',
  value: 'SIDE',
  kind: 'text',
  choices: ['all', 'train', 'validation'],
  default: 'all',
  help: 'Which side of the seeded split; train and validation are those of a run with the same settings.',
};

export const evaluate: Command = {
  name: 'evaluate',
  summary:
    'Measures the loss of a model, or of a model with an adapter, on rows. Prints one JSON object: the mean over all target tokens, and each row.',
  example: 'evaluate --model models/pebble --adapter my-adapter --data rows.jsonl',
  options: [
    MODEL_OPTION,
    ADAPTER_OPTION,
    DATA_OPTION,
    ...READING_OPTIONS,
    SPLIT_OPTION,
    LEAVE_OUT_OPTION,
    BACKEND_OPTION,
  ],
  settings: [...ROW_SETTINGS, 'batch_size'],

  async run(args, { print, say, platform }) {
    const h = args.hyperparameters;
    const workbench = await openWorkbench(
      args.text('model') as string,
      args.text('backend') as BackendName,
      platform,
      say,
    );
    const dataset = await readRows(args, workbench, h, say);
    const learner = await adapterOf(args, workbench, say);
    const encoded = dataset.rows(args.text('split') as Split).map((r) => r.encoded);
    const found = await finish(
      evaluateRows(workbench.model, measureWith(workbench.model, learner), encoded, h.batch_size),
    );
    const gpuError = takeDeviceError();
    if (gpuError) throw gpuError;
    if (learner) disposeLearner(learner);
    const perplexity = Math.exp(found.loss);
    // JSON has no infinity, and null would read as “unknown”.
    if (!Number.isFinite(perplexity)) say('The perplexity is too large for a number, so it is left out.');
    const result = {
      loss: found.loss,
      loss_standard_error: found.standardError,
      ...(Number.isFinite(perplexity) && { perplexity }),
      mean_token_accuracy: found.meanTokenAccuracy,
      target_tokens: found.targets,
      rows: found.rows.map((r) => ({
        line: r.line,
        loss: r.lossSum / r.targets,
        mean_token_accuracy: r.correct / r.targets,
        target_tokens: r.targets,
      })),
    };
    print(JSON.stringify(result));
    return 0;
  },
};

const MEND_OPTIONS: readonly Option[] = [
  {
    name: 'mend',
    value: 'FILE',
    kind: 'text',
    help: 'Write the data file with its mends to this file, as JSONL, and print no rows. Rows that cannot be mended stay as they are.',
  },
  {
    name: 'mend_as',
    value: 'FORM',
    kind: 'text',
    choices: ['chat', 'same'],
    default: 'chat',
    help: 'chat: every row as chat messages (a text as {"text": …}). same: every row in the format that it has.',
  },
  { name: 'overwrite', kind: 'switch', help: 'Replace the file of --mend where it is there already.' },
];

/** Everything that is known of a data file, as the page shows it. */
function allTables(report: DatasetReport): string[] {
  // Which encoding it is, and words to check it by, stand with the issue.
  const mended = report.mends
    .filter(({ done, rows, choice }) => done === rows && choice !== 'encoding')
    .map(({ code }) => code);
  const besides = new Set([...endingError(report), ...mended]);
  return [...columnTable(report), ...issueTable(report, besides), ...mendTable(report)];
}

export const inspect: Command = {
  name: 'inspect',
  summary:
    'Shows what the model will see of each row: one JSON object a line with its side of the split, ids, mask (1 = learned) and text. Says what was understood of the file, what is wrong in it and what was mended, and writes the mended file. Loads no weights.',
  example: 'inspect --model models/pebble --data rows.jsonl',
  options: [MODEL_OPTION, DATA_OPTION, ...READING_OPTIONS, SPLIT_OPTION, LEAVE_OUT_OPTION, ...MEND_OPTIONS],
  settings: ROW_SETTINGS,

  async run(args, { print, say }) {
    const h = args.hyperparameters;
    const mend = args.text('mend');
    if (mend !== null) {
      const inputs = [args.text('data') as string];
      assertNewFile(mend, { option: 'mend', overwrite: args.has('overwrite'), inputs });
    }
    const opened = await openModelFolder(args.text('model') as string, say);
    const dataset = await readRows(args, opened, h, say, { tables: allTables, untrainable: mend !== null });
    if (mend !== null) {
      await writeWholeFile(mend, await dataset.mendedFile(args.text('mend_as') as MendedForm));
      const { rows, badRows } = dataset.report;
      const bad = badRows > 0 ? `; ${plural(badRows, 'row')} with errors among them, as they stood` : '';
      say(`${mend}: written, from ${plural(rows, 'row')}${bad}.`);
      return 0;
    }
    say(heldOutSentence(dataset.report));
    const validation = new Set(dataset.rows('validation').map((r) => r.encoded));
    for (const { encoded } of dataset.rows(args.text('split') as Split)) {
      const row = {
        line: encoded.line,
        ...(encoded.answer !== undefined && { answer: encoded.answer }),
        split: validation.has(encoded) ? 'validation' : 'train',
        tokens: encoded.ids.length,
        full_length: encoded.fullLength,
        trained_tokens: encoded.mask.reduce((sum, bit) => sum + bit, 0),
        ids: [...encoded.ids],
        mask: [...encoded.mask],
        text: opened.chat.tokenizer.decode(encoded.ids),
      };
      print(JSON.stringify(row));
    }
    return 0;
  },
};
