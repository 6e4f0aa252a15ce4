// What the ways are compared on: a task file (JSON) that names rows, questions and documents beside it, or the same put together from single files.
// Not here: the comparison (waysMeasurement.ts), reading a row file (dataset.ts).

import {
  array,
  boolean,
  number,
  object,
  optional,
  picklist,
  record,
  safeParse,
  string,
  tuple,
  unknown,
} from 'valibot';
import type { CheckRule } from '../answerChecks';
import { SEARCH_SETTINGS } from '../data/passageSearch';
import { cutPassages } from '../data/passages';
import { readQuestions } from '../data/questions';
import { decodeText } from '../data/text/textEncoding';
import { PlaygroundError } from '../errors';
import { defaultHyperparameters, defaultLearningRate, type Hyperparameters } from '../hyperparameters';
import { readRule } from '../metrics/checkRules';
import { type Passage, type PromptSettings, type Tuning, WAYS, type WayId, type WayQuestion } from '../ways';
import { Dataset } from './dataset';

export type Trained = Exclude<Tuning, 'none'>;

/** An instruction that the base model may know, to tell a model that follows none from an instruction that it does not know. */
export interface ControlInstruction {
  instruction: string;
  form: CheckRule;
}

export interface WaysTask {
  name: string;
  questions: WayQuestion[];
  form: CheckRule | null;
  control: ControlInstruction | null;
  settings: PromptSettings;
  /** Empty without documents. */
  passages: Passage[];
  /** After the facts have changed; null where they do not. */
  changedPassages: Passage[] | null;
  /** Null where nothing is trained. */
  rows: Dataset | null;
  hyperparameters: (tuning: Trained, seed: number, parameters: number) => Hyperparameters;
  /** Folders of weights that were made before, by model and training; from the folder of the task. */
  adapters: Record<string, Partial<Record<Trained, string>>>;
}

export const PROMPT_SETTINGS: PromptSettings = {
  instruction: '',
  examples: 2,
  picked: [],
  passages: 1,
  search: SEARCH_SETTINGS,
  maxNewTokens: 64,
};

const RUN = object({
  method: optional(picklist(['lora', 'full', 'last_layers'])),
  learning_rate: optional(number()),
  num_train_epochs: optional(number()),
});
const TASK = object({
  name: string(),
  rows: optional(string()),
  questions: string(),
  documents: optional(array(string()), []),
  changedDocuments: optional(array(string())),
  template: optional(string(), ''),
  system: optional(string(), ''),
  instruction: optional(string(), ''),
  form: optional(unknown()),
  control: optional(object({ instruction: string(), form: unknown() })),
  alsoRight: optional(array(tuple([string(), string()])), []),
  examples: optional(number()),
  passages: optional(number()),
  search: optional(object({ fuzzy: number(), prefix: boolean() })),
  maxNewTokens: optional(number()),
  training: optional(object({ rows: optional(RUN), rows_with_passages: optional(RUN) }), {}),
  adapters: optional(
    record(string(), object({ rows: optional(string()), rows_with_passages: optional(string()) })),
    {},
  ),
});

/** Reads a file that is named from the folder of the task. */
export type OpenFile = (name: string) => Promise<Blob | Uint8Array>;

async function textOf(name: string, open: OpenFile): Promise<string> {
  const content = await open(name);
  const bytes = content instanceof Blob ? new Uint8Array(await content.arrayBuffer()) : content;
  const { text, issues } = decodeText(bytes);
  if (text !== null) return text;
  const [issue] = issues;
  throw new PlaygroundError({
    code: issue?.code ?? 'binary_file',
    message: issue?.message ?? `${name} is no text.`,
    fix: issue?.fix ?? 'Save it as UTF-8.',
    where: name,
  });
}

const baseName = (name: string) => name.split('/').at(-1) as string;

/** @throws PlaygroundError of `cutPassages`, and for bytes that are no text */
export async function readDocuments(
  names: readonly string[],
  open: OpenFile,
  template: string,
): Promise<Passage[]> {
  const passages: Passage[] = [];
  for (const name of names)
    passages.push(...cutPassages(baseName(name), await textOf(name, open), { template }));
  return passages;
}

/** @throws PlaygroundError `bad_questions`, and for bytes that are no text */
export async function readQuestionFile(
  name: string,
  open: OpenFile,
  options: Parameters<typeof readQuestions>[2],
): Promise<WayQuestion[]> {
  return readQuestions(baseName(name), await textOf(name, open), options);
}

/**
 * Settings of the training of a way: those of the task, else the page's defaults for a model of this size.
 * @param given by the task
 */
export function trainingSettings(
  given: Partial<Record<Trained, Partial<Hyperparameters>>>,
): WaysTask['hyperparameters'] {
  return (tuning, seed, parameters) => {
    const own = given[tuning] ?? {};
    const method = own.method ?? 'lora';
    return {
      ...defaultHyperparameters(),
      learning_rate: defaultLearningRate(method, parameters),
      ...own,
      method,
      seed,
    };
  };
}

/**
 * @param json of the task file
 * @throws PlaygroundError `bad_task`, naming the first key that is wrong; what reading the files throws
 */
export async function readTask(json: string, open: OpenFile): Promise<WaysTask> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (thrown) {
    throw badTask(`it is no JSON (${thrown instanceof Error ? thrown.message : String(thrown)})`);
  }
  const found = safeParse(TASK, value);
  if (!found.success) {
    const [issue] = found.issues;
    const key = issue.path?.map((part) => String(part.key)).join('.') ?? 'it';
    throw badTask(`${key} is ${String(issue.received).slice(0, 60)}, expected ${String(issue.expected)}`);
  }
  const task = found.output;
  const { template, system, alsoRight } = task;
  const rows =
    task.rows === undefined ? null : await Dataset.read(baseName(task.rows), await open(task.rows));
  return {
    name: task.name,
    questions: await readQuestionFile(task.questions, open, { system, alsoRight }),
    form: task.form === undefined ? null : readRule(task.form),
    control: task.control ? { ...task.control, form: readRule(task.control.form) } : null,
    settings: {
      ...PROMPT_SETTINGS,
      instruction: task.instruction,
      ...(task.examples !== undefined && { examples: task.examples }),
      ...(task.passages !== undefined && { passages: task.passages }),
      ...(task.search !== undefined && { search: task.search }),
      ...(task.maxNewTokens !== undefined && { maxNewTokens: task.maxNewTokens }),
    },
    passages: await readDocuments(task.documents, open, template),
    changedPassages: task.changedDocuments
      ? await readDocuments(task.changedDocuments, open, template)
      : null,
    rows,
    hyperparameters: trainingSettings(task.training as Partial<Record<Trained, Partial<Hyperparameters>>>),
    adapters: task.adapters as WaysTask['adapters'],
  };
}

const badTask = (reason: string) =>
  new PlaygroundError({
    code: 'bad_task',
    message: `The task file cannot be read: ${reason}.`,
    fix: 'See public/datasets/harbor-and-pine/task.json for one that can.',
  });

/** Questions of the rows of a side of the split: what comes before the last answer is asked, and that answer is right by the rule. */
export function questionsOfRows(
  dataset: Dataset,
  side: 'validation' | 'test',
  facts: CheckRule,
): WayQuestion[] {
  return dataset.rows(side).flatMap(({ example: { messages, line } }): WayQuestion[] => {
    const last = messages.findLastIndex(({ role }) => role === 'assistant');
    const answer = messages[last];
    if (last < 1 || !answer) return [];
    return [
      {
        id: `line ${line}`,
        kind: '',
        messages: messages.slice(0, last),
        expected: answer.content,
        facts,
        passages: null,
      },
    ];
  });
}

/** At most so many, evenly chosen over the list. */
export function evenly<T>(list: readonly T[], most: number): T[] {
  if (list.length <= most) return [...list];
  return Array.from({ length: most }, (_, i) => list[Math.floor((i * list.length) / most)] as T);
}

/** The ways that a task has rows and documents for. */
export function possibleWays({ rows, passages }: Pick<WaysTask, 'rows' | 'passages'>): WayId[] {
  return WAYS.filter(
    (way) =>
      (rows !== null || (way.tuning === 'none' && !way.examples)) && (passages.length > 0 || !way.retrieval),
  ).map(({ id }) => id);
}
