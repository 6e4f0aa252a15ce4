// `ways`: the same questions answered by prompt, retrieval, fine-tuning and both; a table, and everything behind it as JSON.
// Not here: the comparison (session/waysMeasurement.ts), its table as text (waysTables.ts).

import path from 'node:path';
import type { BackendName } from '../contract';
import { PlaygroundError } from '../errors';
import { HYPERPARAMETER_NAMES } from '../hyperparameters';
import { ruleFromText } from '../metrics/checkRules';
import type { Run } from '../session/run';
import type { Clock } from '../session/ways';
import { WaysMeasurement } from '../session/waysMeasurement';
import {
  PROMPT_SETTINGS,
  possibleWays,
  questionsOfRows,
  readDocuments,
  readQuestionFile,
  readTask,
  trainingSettings,
  type WaysTask,
} from '../session/waysTask';
import { type Training, WAYS, type WayId, wayOf } from '../ways';
import type { WaysProgress } from '../waysContract';
import { listed, plural } from '../wording';
import type { Command, CommandContext } from './command';
import { READING_OPTIONS } from './dataOptions';
import { openData } from './disk';
import type { Arguments } from './options';
import { assertOutput, writeOutput } from './output';
import { filesOf } from './passageRows';
import { provedFiles } from './runResult';
import { exitCodeOf, type StopSignal } from './signals';
import { waysLines } from './waysTables';
import {
  BACKEND_OPTION,
  DATA_OPTION,
  LEAVE_OUT_OPTION,
  MODEL_OPTION,
  openWorkbench,
  readRows,
  type Workbench,
} from './workbench';
import { assertNewFile, writeWholeFile } from './writeFile';

export const ways: Command = {
  name: 'ways',
  summary:
    'Compares ways to make a model answer: prompt, prompt with examples, retrieval, fine-tuning, and both. The table goes to standard output; --out keeps every answer.',
  example: 'ways --model models/pebble-1m --task public/datasets/harbor-and-pine/task.json --out ways.json',
  options: [
    MODEL_OPTION,
    {
      name: 'task',
      value: 'FILE',
      kind: 'text',
      help: 'JSON that names rows, questions, documents and checks. Without it they are given by the options below.',
    },
    {
      ...DATA_OPTION,
      required: false,
      help: `${DATA_OPTION.help} Needed for ways with fine-tuning. Without --questions its held-out rows are asked.`,
    },
    ...READING_OPTIONS,
    LEAVE_OUT_OPTION,
    {
      name: 'questions',
      value: 'FILE',
      kind: 'text',
      help: 'JSON lines with question, and answer or key (words that must stand in the answer); passage: id of the passage that is needed.',
    },
    {
      name: 'documents',
      value: 'FILES',
      kind: 'text',
      help: 'What is searched: CSV, TSV, Markdown or text, separated by commas.',
    },
    {
      name: 'changed_documents',
      value: 'FILES',
      kind: 'text',
      help: 'The same after the facts have changed; nothing is trained again.',
    },
    {
      name: 'template',
      value: 'TEXT',
      kind: 'text',
      help: 'Of tables: a row as a passage, such as "{name}: {price} pounds".',
    },
    {
      name: 'system',
      value: 'TEXT',
      kind: 'text',
      help: 'A system message for every question of --questions.',
    },
    {
      name: 'instruction',
      value: 'TEXT',
      kind: 'text',
      help: 'What the base model is told, in the ways without fine-tuning.',
    },
    {
      name: 'check',
      value: 'CHECK',
      kind: 'text',
      help: 'When an answer to a held-out row is right: a check such as exact or number:{"tolerance":1}, or a rule as JSON.',
      default: 'exact',
    },
    {
      name: 'form',
      value: 'CHECK',
      kind: 'text',
      help: 'The form or voice that every answer must have, as a check.',
    },
    {
      name: 'examples',
      value: 'N',
      kind: 'number',
      help: `Examples in the prompt of the way “${wayOf('examples').label}”: the training rows most like the question. Default: that of the task, or ${PROMPT_SETTINGS.examples}.`,
    },
    {
      name: 'passages',
      value: 'N',
      kind: 'number',
      help: `Passages in a prompt. Default: that of the task, or ${PROMPT_SETTINGS.passages}.`,
    },
    {
      name: 'fuzzy',
      value: 'X',
      kind: 'number',
      help: `Edits that the search forgives, as a share of a word. Default: ${PROMPT_SETTINGS.search.fuzzy}.`,
    },
    {
      name: 'max_new_tokens',
      value: 'N',
      kind: 'number',
      help: `Longest answer. Default: ${PROMPT_SETTINGS.maxNewTokens}.`,
    },
    {
      name: 'ways',
      value: 'LIST',
      kind: 'text',
      help: `Which ones, separated by commas: ${WAYS.map(({ id }) => id).join(', ')}. Default: all that the task has what is needed for.`,
    },
    {
      name: 'seeds',
      value: 'LIST',
      kind: 'text',
      default: '1',
      help: 'Seeds of training, separated by commas.',
    },
    {
      name: 'out',
      value: 'FILE',
      kind: 'text',
      help: 'Write the table with every answer to this file, as JSON.',
    },
    {
      name: 'weights_out',
      value: 'DIR',
      kind: 'text',
      help: 'Write what was trained to folders in this one: DIR/rows-seed1 and so on.',
    },
    {
      name: 'overwrite',
      kind: 'switch',
      help: 'Replace the file of --out and folders of --weights_out that are there already.',
    },
    BACKEND_OPTION,
  ],
  settings: HYPERPARAMETER_NAMES,

  async run(args, context) {
    const { print, say, platform, onStop } = context;
    const [out, weightsOut] = [args.text('out'), args.text('weights_out')];
    const overwrite = args.has('overwrite');
    if (out !== null) assertNewFile(out, { option: 'out', overwrite, inputs: inputsOf(args) });
    const seeds = numbersOf(args, 'seeds');
    const workbench = await openWorkbench(
      args.text('model') as string,
      args.text('backend') as BackendName,
      platform,
      say,
    );
    const task = await taskOf(args, workbench, context);
    const chosen = waysOf(args, task);
    let stopped: StopSignal | null = null;
    onStop((signal) => {
      stopped = signal;
      say(`${signal}: stopping; the ways that are whole are kept.`);
    });
    const measurement = new WaysMeasurement(workbench, task, workbench, { platform, clock: processorClock });
    const cancelled = () => stopped !== null;
    const onProgress = progressSayer(say);
    const onTrained = async (run: Run, training: Training) => {
      const { tuning, seed, steps } = training;
      say(`Trained on ${tuning.replaceAll('_', ' ')}, seed ${seed}: ${plural(steps, 'step')}.`);
      if (weightsOut !== null)
        await keepWeights(path.join(weightsOut, `${tuning}-seed${seed}`), workbench, run, overwrite, {
          say,
          platform,
        });
    };
    try {
      for (const seed of seeds) {
        for (const way of chosen) {
          // The base model and its greedy answers are the same with every seed, but for the rows that may be examples.
          if (seed !== seeds[0] && wayOf(way).tuning === 'none' && !wayOf(way).examples) continue;
          if (!cancelled()) await measurement.measure(way, seed, { onProgress, cancelled, onTrained });
        }
      }
      if (!cancelled()) await measurement.measureControl({ onProgress, cancelled });
    } catch (thrown) {
      if (!(thrown instanceof PlaygroundError && thrown.code === 'ways_stopped')) throw thrown;
    } finally {
      measurement.dispose();
    }
    const result = measurement.result();
    const report = {
      version: 1,
      task: task.name,
      model: workbench.id,
      parameters: workbench.model.parameters,
      backend: workbench.device.backend,
      clock: processorClock.kind,
      settings: task.settings,
      seeds,
      questions: task.questions,
      ...result,
    };
    for (const line of waysLines(report)) print(line);
    if (out !== null) {
      await writeWholeFile(out, [`${JSON.stringify(report, null, 1)}\n`]);
      say(`Every answer: ${out}`);
    }
    return stopped === null ? 0 : exitCodeOf(stopped);
  },
};

/** Time of this process on all its threads. */
const processorClock: Clock = {
  kind: 'processor',
  nowMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};

const listOf = (text: string | null) =>
  (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);

const wrong = (message: string, fix: string) => new PlaygroundError({ code: 'bad_usage', message, fix });

function numbersOf(args: Arguments, name: string): number[] {
  const numbers = listOf(args.text(name)).map(Number);
  if (numbers.length > 0 && numbers.every((n) => Number.isInteger(n) && n >= 0)) return [...new Set(numbers)];
  throw wrong(`--${name} is a list of whole numbers, not “${args.text(name)}”.`, `Write --${name} 1,2,3.`);
}

function inputsOf(args: Arguments): string[] {
  const files = ['task', 'data', 'questions'].flatMap((name) => args.text(name) ?? []);
  return [...files, ...filesOf(args, 'documents'), ...filesOf(args, 'changed_documents')];
}

/** Options that say what a task file says: they replace it where both are given. */
const IN_TASK = [
  'data',
  'questions',
  'documents',
  'changed_documents',
  'template',
  'system',
  'check',
  'form',
];

/** The task file with what the options change of it, or the task that the options describe. */
async function taskOf(args: Arguments, workbench: Workbench, context: CommandContext): Promise<WaysTask> {
  const file = args.text('task');
  const task = file === null ? await taskOfOptions(args, workbench, context) : await taskOfFile(args, file);
  const { settings } = task;
  const given = (name: string, fallback: number) => (args.text(name) === null ? fallback : args.number(name));
  const own = Object.fromEntries([...args.given].map((name) => [name, args.hyperparameters[name]]));
  return {
    ...task,
    settings: {
      ...settings,
      instruction: args.text('instruction') ?? settings.instruction,
      examples: given('examples', settings.examples),
      passages: given('passages', settings.passages),
      search: { ...settings.search, fuzzy: given('fuzzy', settings.search.fuzzy) },
      maxNewTokens: given('max_new_tokens', settings.maxNewTokens),
    },
    hyperparameters: (tuning, seed, parameters) => ({
      ...task.hyperparameters(tuning, seed, parameters),
      ...own,
    }),
  };
}

async function taskOfFile(args: Arguments, file: string): Promise<WaysTask> {
  const both = IN_TASK.find((name) => name !== 'check' && args.text(name) !== null);
  if (both !== undefined) throw wrong(`--${both} is said by the task file.`, 'Leave out one of them.');
  const folder = path.dirname(file);
  const bytes = await openData(file);
  const json = await new Blob([bytes as BlobPart]).text();
  return readTask(json, (name) => openData(path.join(folder, name)));
}

async function taskOfOptions(
  args: Arguments,
  workbench: Workbench,
  { say, platform }: CommandContext,
): Promise<WaysTask> {
  const [data, questionFile] = [args.text('data'), args.text('questions')];
  if (data === null && questionFile === null) {
    throw wrong('There is nothing to ask.', 'Give --task, or --data, or --questions.');
  }
  const h = args.hyperparameters;
  const rows = data === null ? null : await readRows(args, workbench, h, say, platform);
  const template = args.text('template') ?? '';
  const documents = async (name: string) => readDocuments(filesOf(args, name), openData, template);
  const form = args.text('form');
  const side = rows?.report.test ? 'test' : 'validation';
  const questions =
    questionFile === null
      ? questionsOfRows(rows as NonNullable<typeof rows>, side, ruleFromText(args.text('check') as string))
      : await readQuestionFile(questionFile, openData, { system: args.text('system') ?? '', alsoRight: [] });
  return {
    name: path.basename(questionFile ?? (data as string)),
    questions,
    form: form === null ? null : ruleFromText(form),
    control: null,
    settings: PROMPT_SETTINGS,
    passages: await documents('documents'),
    changedPassages: args.text('changed_documents') === null ? null : await documents('changed_documents'),
    rows,
    hyperparameters: trainingSettings({}),
    adapters: {},
  };
}

/** The ways that are asked for, or all that the task has rows and documents for. @throws PlaygroundError `bad_usage` */
function waysOf(args: Arguments, task: WaysTask): WayId[] {
  const asked = listOf(args.text('ways'));
  const unknown = asked.find((name) => !WAYS.some(({ id }) => id === name));
  if (unknown !== undefined) {
    throw wrong(
      `There is no way “${unknown}”.`,
      `The ways are ${listed(
        WAYS.map(({ id }) => id),
        10,
      )}.`,
    );
  }
  if (asked.length > 0) return WAYS.map(({ id }) => id).filter((id) => asked.includes(id));
  return possibleWays(task);
}

/** Says where it is, a line for each way and kind of work. */
function progressSayer(say: CommandContext['say']): (progress: WaysProgress) => void {
  let last = '';
  return ({ way, doing, of }) => {
    const now = `${way} ${doing}`;
    if (now === last) return;
    last = now;
    say(
      `${wayOf(way).label}: ${doing === 'training' ? `training, ${plural(of, 'step')}` : `asking ${plural(of, 'question')}`} …`,
    );
  };
}

async function keepWeights(
  folder: string,
  workbench: Workbench,
  run: Run,
  overwrite: boolean,
  { say, platform }: Pick<CommandContext, 'say' | 'platform'>,
): Promise<void> {
  const { summary, kept } = run;
  if (summary === null) return;
  const kind = summary.config.hyperparameters.method === 'lora' ? 'adapter' : 'model';
  await assertOutput(folder, { overwrite, kind, inputs: [], say });
  const { files, proved, refused } = await provedFiles(
    { base: workbench, run, learned: run.learned(kept), summary },
    {},
    { dataset: null, platform },
  );
  await writeOutput(folder, files);
  for (const sentence of proved) say(sentence);
  if (refused) throw refused;
}
