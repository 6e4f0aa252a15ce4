// Files that were read → rows for a model and these settings: encoded, and split into training, validation and test rows.
// Not here: reading a file (dataFile.ts), encoding one row (tokens/encodeRows.ts), where to split (split.ts).

import type { EncodedExample, Example, Issue } from '../contract';
import type { BesideFile, Fold, HeldOut, Leakage, SplitOrigin, TestSplit } from '../dataContract';
import type { IssueGroup } from '../dataReport';
import type { RowSettings } from '../hyperparameters';
import { plural } from '../wording';
import type { DataFile } from './dataFile';
import { prepareReplay, type Replay } from './generalRows';
import { IssueGroups } from './issueGroups';
import { checkCount } from './reading/fileChecks';
import { checkRendered, cutExample, understoodCut } from './reading/plainText';
import { textHash } from './sha256';
import { contentOf, splitExamples } from './split';
import type { Chat } from './tokens/chat';
import { encodeExamples } from './tokens/encodeRows';
import { withoutUnseenCalls } from './tokens/toolTemplate';

/** A row that can be used; of one example there may be several. */
export interface Row {
  example: Example;
  encoded: EncodedExample;
}

/** What is read beside the data file. */
export interface Beside {
  validation?: DataFile | undefined;
  test?: DataFile | undefined;
  /** The validation rows are those of this fold. */
  fold?: Fold | null;
  /** General rows to mix in, and their share of an epoch (`replay_fraction`). */
  replay?: { file: DataFile; fraction: number } | null;
}

export interface PreparedRows {
  /** Rows of the data file; of a text, those that it was cut into. */
  rows: number;
  /** As of `ParsedData`, for rows that were cut too. */
  understood: string;
  /** Those of the files and those of the encoding: the data file's first, in the order of lines; of each code the first ones. */
  issues: Issue[];
  /** All of them, by file and code. */
  issueGroups: IssueGroup[];
  /** Of the data file, as of `IssueGroups.linesByCode`. */
  linesByCode: ReadonlyMap<string, readonly number[]>;
  /** Training and validation rows, in the order of the files. */
  usable: Row[];
  train: Row[];
  validation: Row[];
  test: Row[];
  /** Training rows that `train_fraction` leaves out. */
  spare: Row[];
  /** General rows that training draws from; they are on no side of the split, nor in anything that is said of the rows. Null without. */
  replay: Replay | null;
  validationFrom: SplitOrigin;
  /** Null without test rows. */
  testSplit: TestSplit | null;
  beside: BesideFile[];
  nearDuplicateGroups: number;
  heldOut: HeldOut;
}

interface EncodedFile {
  /** Of the file; of a text, those that it was cut into. */
  rows: number;
  understood: string;
  issues: IssueGroups;
  /** Examples that became rows, and those rows. */
  examples: Map<Example, readonly EncodedExample[]>;
}

/**
 * Conversations longer than the model's context are cut to it; texts are cut into as many rows as they need.
 * @param settings.contextLength of the model, in tokens
 */
function encodeFile(
  file: DataFile,
  chat: Chat,
  {
    contextLength,
    max_length,
    loss_on,
  }: Pick<RowSettings, 'max_length' | 'loss_on'> & { contextLength: number },
): EncodedFile {
  const longest = Math.min(max_length, contextLength);
  const seen = withoutUnseenCalls(file.examples, chat.tools);
  const encoding = encodeExamples(
    chat,
    seen.examples.filter(({ text }) => text === undefined),
    { max_length: longest, loss_on, contextLength },
  );
  const issues = new IssueGroups();
  issues.addGroups(file.groups);
  issues.addAll(seen.issues);
  issues.addAll(encoding.issues);
  const examples: EncodedFile['examples'] = new Map();
  let cut = 0;
  let usable = 0;
  const keep = (example: Example, encoded: readonly EncodedExample[]) => {
    if (encoded.length > 0) examples.set(example, encoded);
    usable += encoded.length;
  };
  for (const example of seen.examples) {
    if (example.text === undefined) {
      keep(example, encoding.byExample.get(example) ?? []);
      continue;
    }
    const text = cutExample(example, chat.tokenizer, longest, { file: file.layout === 'text' });
    issues.addAll(text.issues);
    cut += text.rows.length + text.issues.length - 1;
    for (const row of text.rows) keep(row.example, [row.encoded]);
  }
  const rows = file.rows + cut;
  if (file.layout === 'text') issues.addAll(checkCount(usable, rows));
  issues.addAll(checkRendered(file.examples, chat.tokenizer));
  return { rows, understood: understoodCut(file.understood, rows, cut), issues, examples };
}

/** What is reported of a file that rows are learned from, and of its own split: no questions where all of it is one held-out side. */
const ABOUT_LEARNING = ['too_few_rows', 'label_imbalance', 'own_split'];

/** The rows of a file that is all validation or all test. */
function ofFile(encoded: EncodedFile, use: 'validation' | 'test'): [Example, EncodedExample[]][] {
  return [...encoded.examples].map(([example, rows]) => [
    { ...example, file: use, split: use },
    rows.map((row) => ({ ...row, file: use })),
  ]);
}

/** Encodes for this model and these settings, and splits. A side that comes from a file of its own is that file, whole. */
export function prepareRows(
  file: DataFile,
  chat: Chat,
  contextLength: number,
  h: RowSettings,
  beside: Beside = {},
): PreparedRows {
  const settings = { ...h, contextLength };
  const data = encodeFile(file, chat, settings);
  const encoded = new Map(data.examples);
  const issues = data.issues.issues();
  const issueGroups = data.issues.groups();
  const besideFiles: BesideFile[] = [];
  for (const use of ['validation', 'test'] as const) {
    const other = beside[use];
    if (!other) continue;
    const found = encodeFile(other, chat, settings);
    for (const [example, rows] of ofFile(found, use)) encoded.set(example, rows);
    const about = <T extends { code: string }>(list: readonly T[]): (T & { file: string })[] =>
      list.filter(({ code }) => !ABOUT_LEARNING.includes(code)).map((one) => ({ ...one, file: other.name }));
    issues.push(...about(found.issues.issues()));
    issueGroups.push(...about(found.issues.groups()));
    besideFiles.push({
      use,
      name: other.name,
      hash: other.hash,
      understood: found.understood,
      rows: found.rows,
      usableRows: found.examples.size,
      badRows: found.rows - found.examples.size - other.leftOut,
    });
  }
  const examples = [...encoded.keys()];
  const split = splitExamples(
    examples,
    h,
    (example) => encoded.get(example)?.length ?? 0,
    beside.fold ?? null,
  );
  const rowsOf = (side: readonly Example[]): Row[] =>
    side.flatMap((example) => (encoded.get(example) ?? []).map((row) => ({ example, encoded: row })));
  const isUnread = new Set([...split.test, ...split.spare]);
  const originOf = (side: 'validation' | 'test'): SplitOrigin => {
    if (beside[side]) return 'file';
    return examples.some((example) => example.split === side) ? 'data' : 'settings';
  };
  const test = rowsOf(split.test);
  const train = rowsOf(split.train);
  const replay = beside.replay
    ? prepareReplay(
        beside.replay.file,
        chat,
        train.map((row) => row.encoded),
        { ...settings, replay_fraction: beside.replay.fraction },
      )
    : null;
  const unused = new IssueGroups();
  unused.addAll(checkTest(h, originOf('test'), test.length));
  return {
    rows: data.rows,
    understood: data.understood,
    issues: issues.concat(unused.issues()),
    issueGroups: issueGroups.concat(unused.groups()),
    linesByCode: data.issues.linesByCode(),
    usable: rowsOf(examples.filter((example) => !isUnread.has(example))),
    train,
    validation: rowsOf(split.validation),
    test,
    spare: rowsOf(split.spare),
    replay,
    validationFrom: originOf('validation'),
    testSplit: testSplit(test, originOf('test'), split.testAlike),
    beside: besideFiles,
    nearDuplicateGroups: split.nearDuplicateGroups,
    heldOut: split.heldOut,
  };
}

function testSplit(test: readonly Row[], from: SplitOrigin, alike: Leakage): TestSplit | null {
  if (test.length === 0) return null;
  const contents = [...new Set(test.map(({ example }) => example))].map(contentOf);
  return { rows: test.length, from, hash: textHash(JSON.stringify(contents)), alike };
}

/** A share that has no effect is said. */
function checkTest({ test_fraction }: RowSettings, from: SplitOrigin, rows: number): Issue[] {
  if (test_fraction === 0) return [];
  const said = (code: string, message: string, fix: string): Issue[] => [
    { code, severity: 'warning', line: 0, message, fix },
  ];
  if (from !== 'settings') {
    const where = from === 'file' ? 'in a file of their own' : 'marked in the file';
    return said(
      'test_share_unused',
      `The test rows are ${where} (${plural(rows, 'row')}), so the test share of the settings has no effect.`,
      'Set the test share to 0.',
    );
  }
  if (rows > 0) return [];
  return said(
    'no_test_rows',
    'There are too few rows to keep some aside for a test.',
    'Add rows, or set the test share to 0.',
  );
}
