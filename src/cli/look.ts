// `evaluate` and `inspect`: the loss of a model on rows, and the tokens and mask of each row.
// Not here: training (train.ts), talking (talk.ts).

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { BackendName, DatasetReport } from '../contract';
import { learnedBytes } from '../data/tokens/learnedBytes';
import type { TestSplit } from '../dataContract';
import type { MendedForm } from '../dataReport';
import { disposeLearner } from '../engine/model/adapters';
import type { Evaluation } from '../engine/training/evaluate';
import { PlaygroundError } from '../errors';
import { DATA_SETTINGS, ROW_SETTINGS } from '../hyperparameters';
import { bitsPerByte } from '../metrics/bitsPerByte';
import { heldOutSentence, testLooksSentence, testSentence } from '../metrics/claims';
import type { Dataset, RowSide } from '../session/dataset';
import { finishRows, measureRows } from '../session/measuring';
import type { BaseModel } from '../session/model';
import { readRunRecord } from '../session/results';
import { countTestLook } from '../session/testLooks';
import { isTestOf, testUse } from '../session/testRows';
import { plural } from '../wording';
import type { Command } from './command';
import { READING_OPTIONS } from './dataOptions';
import { columnTable, issueTable, mendTable } from './dataTables';
import { CHECK_OPTIONS, evaluateChecks } from './evaluateAnswers';
import type { Arguments, Option } from './options';
import { noteInRecord } from './record';
import { statisticsLines } from './statisticsTable';
import {
  ADAPTER_OPTION,
  adapterOf,
  BACKEND_OPTION,
  DATA_OPTION,
  endingError,
  LEAVE_OUT_OPTION,
  MODEL_OPTION,
  openModelFolder,
  openWorkbench,
  readRows,
  type Say,
} from './workbench';
import { assertNewFile, writeWholeFile } from './writeFile';

const SPLIT_OPTION: Option = {
  name: 'split',
  value: 'SIDE',
  kind: 'text',
  choices: ['all', 'train', 'validation', 'test'],
  default: 'all',
  help: 'Which side of the split; each is that of a run with the same files and settings. all is train and validation: test rows are read only where test is asked for.',
};

export const evaluate: Command = {
  name: 'evaluate',
  summary:
    'Measures the loss of a model, or of a model with an adapter, on rows. Prints one JSON object: the mean over all target tokens, and each row. A measurement of test rows is noted in the run.json beside the weights.',
  example: 'evaluate --model models/pebble --adapter my-adapter --data rows.jsonl',
  options: [
    MODEL_OPTION,
    ADAPTER_OPTION,
    DATA_OPTION,
    ...READING_OPTIONS,
    SPLIT_OPTION,
    LEAVE_OUT_OPTION,
    ...CHECK_OPTIONS,
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
    const dataset = await readRows(args, workbench, h, say, platform);
    const learner = await adapterOf(args, workbench, say);
    if (args.texts('check').length > 0) {
      await evaluateChecks(args, workbench, dataset, learner, { print, say, platform });
      if (learner) disposeLearner(learner);
      return 0;
    }
    for (const name of ['max_rows', 'with_train']) {
      if (args.text(name) !== null) say(`warning: --${name} has no effect without --check.`);
    }
    const split = args.text('split') as RowSide;
    const encoded = dataset.rows(split).map((r) => r.encoded);
    if (split === 'test' && dataset.report.test === null) throw noTestRows();
    const found = await measureRows(workbench, learner, encoded, h.batch_size, platform, {
      onProgress: () => {},
      cancelled: () => false,
    });
    if (learner) disposeLearner(learner);
    const bits = bitsPerByte(found.loss, found.targets, learnedBytes(workbench.chat.tokenizer, encoded));
    if (split === 'test') {
      await noteTestUse(args, workbench, dataset, found, say);
      const { hash } = dataset.report.test as TestSplit;
      const looks = testLooksSentence(await countTestLook(platform.records, hash));
      if (looks) say(`warning: ${looks}`);
    }
    const perplexity = Math.exp(found.loss);
    // JSON has no infinity, and null would read as “unknown”.
    if (!Number.isFinite(perplexity)) say('The perplexity is too large for a number, so it is left out.');
    const result = {
      loss: found.loss,
      loss_standard_error: found.standardError,
      ...(Number.isFinite(perplexity) && { perplexity }),
      mean_token_accuracy: found.meanTokenAccuracy,
      ...(bits !== null && { bits_per_byte: bits }),
      target_tokens: found.targets,
      rows: found.rows.map((r) => ({
        line: r.line,
        ...(r.file !== undefined && { file: r.file }),
        loss: r.lossSum / r.targets,
        mean_token_accuracy: r.correct / r.targets,
        target_tokens: r.targets,
      })),
    };
    print(JSON.stringify(result));
    return 0;
  },
};

const noTestRows = () =>
  new PlaygroundError({
    code: 'no_test_rows',
    message: 'There are no test rows.',
    fix: 'Give --test FILE, or --test_fraction as the run had it.',
  });

/** Writes into the record of the run that its test rows were measured; says so where they are not its own, or there is no record. */
async function noteTestUse(
  args: Arguments,
  base: BaseModel,
  dataset: Dataset,
  found: Evaluation,
  say: Say,
): Promise<void> {
  const folder = args.text('adapter') ?? (args.text('model') as string);
  const file = path.join(folder, 'run.json');
  if (!existsSync(file)) {
    say(`There is no record of a run in ${folder}, so that these test rows were measured is noted nowhere.`);
    return;
  }
  const record = readRunRecord(await readFile(file, 'utf8'));
  if (record.weights === null || !isTestOf(dataset.report.test, record.config)) {
    say(
      `warning: These are not the test rows that the run in ${folder} kept aside, and it may have learned from them. Nothing is noted in its run.json.`,
    );
    return;
  }
  const rows = dataset.rows('test').map((r) => r.encoded);
  const weights = {
    weights: record.weights,
    ...(record.weights === 'step' && record.weightsStep !== undefined && { step: record.weightsStep }),
  };
  const uses = [...(record.testUses ?? []), testUse(base, rows, weights, found)];
  await noteInRecord(folder, { testUses: uses });
  say(
    `Noted in ${file}: ${uses.length === 1 ? 'the first measurement' : `measurement ${uses.length}`} of these test rows.`,
  );
}

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
  options: [
    MODEL_OPTION,
    DATA_OPTION,
    ...READING_OPTIONS,
    SPLIT_OPTION,
    LEAVE_OUT_OPTION,
    {
      name: 'statistics',
      kind: 'switch',
      help: 'Print a table in place of the rows: lengths, tokens learned, labels, system prompts, openings, duplicates and leakage across the split, and what looks like personal data or keys.',
    },
    ...MEND_OPTIONS,
  ],
  settings: DATA_SETTINGS,

  async run(args, { print, say, platform }) {
    const h = args.hyperparameters;
    const mend = args.text('mend');
    if (mend !== null) {
      const inputs = [args.text('data') as string];
      assertNewFile(mend, { option: 'mend', overwrite: args.has('overwrite'), inputs });
    }
    const opened = await openModelFolder(args.text('model') as string, say);
    const dataset = await readRows(args, opened, h, say, platform, {
      tables: allTables,
      untrainable: mend !== null,
    });
    if (mend !== null) {
      await writeWholeFile(mend, await dataset.mendedFile(args.text('mend_as') as MendedForm));
      const { rows, badRows } = dataset.report;
      const bad = badRows > 0 ? `; ${plural(badRows, 'row')} with errors among them, as they stood` : '';
      say(`${mend}: written, from ${plural(rows, 'row')}${bad}.`);
      return 0;
    }
    say(heldOutSentence(dataset.report));
    if (dataset.report.test) say(testSentence(dataset.report.test));
    if (args.has('statistics')) {
      const hooks = { onProgress: () => {}, cancelled: () => false };
      const found = await finishRows(dataset.describe(), platform, hooks);
      for (const line of statisticsLines(dataset.report, found)) print(line);
      return 0;
    }
    const sides = (['train', 'validation', 'test'] as const).map((side) =>
      dataset.rows(side).map((r) => [r.encoded, side] as const),
    );
    const sideOf = new Map(sides.flat());
    for (const { encoded } of dataset.rows(args.text('split') as RowSide)) {
      const row = {
        line: encoded.line,
        ...(encoded.file !== undefined && { file: encoded.file }),
        ...(encoded.answer !== undefined && { answer: encoded.answer }),
        split: sideOf.get(encoded),
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
