// Rows with passages of documents in them, from the command line: what is searched, and how many passages a row gets.
// Not here: putting them in (session/passages.ts), cutting and searching documents (data/).

import { PassageSearch, SEARCH_SETTINGS } from '../data/passageSearch';
import { PlaygroundError } from '../errors';
import type { Hyperparameters } from '../hyperparameters';
import type { Dataset } from '../session/dataset';
import { rowsWithPassages } from '../session/passages';
import { PROMPT_SETTINGS, readDocuments } from '../session/waysTask';
import { plural } from '../wording';
import { openData } from './disk';
import type { Arguments, Option } from './options';
import type { Say, Workbench } from './workbench';

export const PASSAGE_OPTIONS: readonly Option[] = [
  {
    name: 'documents',
    value: 'FILES',
    kind: 'text',
    help: 'Put passages of these documents (CSV, TSV, Markdown or text, separated by commas) into the system message of each row: those that a search finds for its question, as the command ways does when it asks.',
  },
  {
    name: 'template',
    value: 'TEXT',
    kind: 'text',
    help: 'With --documents, of tables: a row as a passage, such as "{name}: {price} pounds".',
  },
  {
    name: 'passages',
    value: 'N',
    kind: 'number',
    default: PROMPT_SETTINGS.passages,
    help: 'With --documents: passages in a row.',
  },
];

/** File names of an option, separated by commas. */
export const filesOf = (args: Arguments, option: string): string[] =>
  (args.text(option) ?? '')
    .split(',')
    .map((file) => file.trim())
    .filter(Boolean);

/**
 * The rows with passages of `--documents`, encoded; the rows themselves without that option.
 * @throws PlaygroundError `bad_usage`, `bad_document`, `bad_template`, `passages_need_questions`
 */
export async function withDocuments(
  args: Arguments,
  dataset: Dataset,
  { chat, model }: Workbench,
  h: Hyperparameters,
  say: Say,
): Promise<Dataset> {
  const files = filesOf(args, 'documents');
  if (files.length === 0) return dataset;
  const count = args.number('passages');
  if (!Number.isInteger(count) || count < 1) {
    throw new PlaygroundError({
      code: 'bad_usage',
      message: `--passages is a whole number from 1, not ${count}.`,
      fix: 'Write --passages 1.',
    });
  }
  const passages = await readDocuments(files, openData, args.text('template') ?? '');
  const grounded = await rowsWithPassages(dataset, new PassageSearch(passages, SEARCH_SETTINGS), count);
  const { overLength } = grounded.encode(chat, model.architecture, h);
  grounded.assertTrainable('add --leave_out_bad_rows');
  say(`${plural(passages.length, 'passage')} to search; each row has up to ${count}.`);
  if (overLength.length > 0)
    say(
      `warning: with passages ${plural(overLength.length, 'row')} ${overLength.length === 1 ? 'is' : 'are'} longer than the model or max_length allows, and cut.`,
    );
  return grounded;
}
