// The run that an export is made of, from the folder it was written to, and its rows from the files it was trained on.
// Not here: the export (export.ts), reading records (../session/results.ts), whether the rows are those of the run (../session/trainingProject.ts).

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { PlaygroundError } from '../errors';
import { EXPORT_FORMAT_NAMES, EXPORT_FORMATS, type ExportFormat } from '../exportFormats';
import type { Dataset } from '../session/dataset';
import type { ExportSource } from '../session/exports';
import type { Platform } from '../session/platform';
import { readMetricPoints, readRunRecord } from '../session/results';
import { READING_OPTIONS } from './dataOptions';
import type { Arguments, Option } from './options';
import { PASSAGE_OPTIONS, withDocuments } from './passageRows';
import { DATA_OPTION, LEAVE_OUT_OPTION, readRows, type Say, type Workbench } from './workbench';

const FORMATS_OF_RUNS = EXPORT_FORMAT_NAMES.filter((name) => EXPORT_FORMATS[name].from === 'run').join(', ');

const RUN_OPTION: Option = {
  name: 'run',
  value: 'DIR',
  kind: 'text',
  help: `For ${FORMATS_OF_RUNS}: the folder that train has written, with run.json and metrics.jsonl.`,
};

/** Only for formats that are made of a run. */
export const RUN_OPTIONS: readonly Option[] = [
  RUN_OPTION,
  {
    ...DATA_OPTION,
    required: false,
    help: `For ${FORMATS_OF_RUNS}: the rows that the run was trained on, read as train has read them.`,
  },
  ...READING_OPTIONS,
  LEAVE_OUT_OPTION,
  ...PASSAGE_OPTIONS,
];

const badUsage = (message: string, fix: string, where: string) =>
  new PlaygroundError({ code: 'bad_usage', message, fix, where });

const isGiven = (args: Arguments, { name, kind, default: usual }: Option) => {
  if (kind === 'switch') return args.has(name);
  return kind === 'text' ? args.text(name) !== (usual ?? null) : args.number(name) !== usual;
};

/** @throws PlaygroundError `bad_usage` where an option has no meaning for the format, or one is missing */
export function assertRunOptions(args: Arguments, format: ExportFormat): void {
  if (EXPORT_FORMATS[format].from !== 'run') {
    const stray = RUN_OPTIONS.find((option) => isGiven(args, option));
    if (stray)
      throw badUsage(
        `--${stray.name} has no meaning for --format ${format}.`,
        `Leave it out, or choose --format ${FORMATS_OF_RUNS}.`,
        stray.name,
      );
    return;
  }
  for (const name of ['run', 'data'])
    if (args.text(name) === null)
      throw badUsage(
        `--format ${format} needs --${name}.`,
        'Give the folder of the run (--run) and the rows that it was trained on (--data).',
        name,
      );
  for (const name of ['adapter', 'include_base_model'])
    if (name === 'adapter' ? args.text(name) !== null : args.has(name))
      throw badUsage(`--${name} has no meaning for --format ${format}.`, 'Leave it out.', name);
}

/**
 * The run of `--run` and the rows of `--data`, encoded for its settings.
 * @throws PlaygroundError `bad_usage` without a record, `bad_record`, or of `readRows`
 */
export async function readExportedRun(
  args: Arguments,
  workbench: Workbench,
  say: Say,
  platform: Platform,
): Promise<{ run: NonNullable<ExportSource['run']>; dataset: Dataset }> {
  const folder = args.text('run') as string;
  for (const name of ['run.json', 'metrics.jsonl'])
    if (!existsSync(path.join(folder, name)))
      throw badUsage(`${folder} has no ${name}.`, 'Give the folder that train has written.', 'run');
  const record = readRunRecord(await readFile(path.join(folder, 'run.json'), 'utf8'));
  const points = readMetricPoints(await readFile(path.join(folder, 'metrics.jsonl'), 'utf8'));
  const { hyperparameters: h } = record.config;
  const read = await readRows(args, workbench, h, say, platform);
  const dataset = await withDocuments(args, read, workbench, h, say);
  return { run: { summary: record, learned: null, points, weights: [] }, dataset };
}
