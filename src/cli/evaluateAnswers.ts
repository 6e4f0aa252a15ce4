// `evaluate --check`: base and tuned model asked rows, their answers checked and compared; prints the JSON that the page exports.
// Not here: the order of an evaluation (session/evaluation.ts), the loss of rows alone (look.ts).

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { CheckRule } from '../answerChecks';
import { CHECK_IDS } from '../answerChecks';
import type { Learner } from '../engine/model/adapters';
import { PlaygroundError } from '../errors';
import type { AnswerEvaluation } from '../evaluationContract';
import {
  defaultGeneration,
  GENERATION_NAMES,
  type GenerationSettings,
  generationProblem,
} from '../generation';
import { answerVerdict } from '../metrics/answerVerdict';
import { ruleFromText } from '../metrics/checkRules';
import { startingChecks } from '../metrics/checks';
import { testLooksSentence } from '../metrics/claims';
import { diagnose } from '../metrics/diagnosis';
import { ruleText } from '../metrics/ruleText';
import type { Dataset, RowSide } from '../session/dataset';
import { evaluateAnswers, expectedRows, KnownAnswers, type TunedModel } from '../session/evaluation';
import type { BaseModel } from '../session/model';
import { type RunRecord, readMetricPoints, readRunRecord } from '../session/results';
import { isTestOf, notedUses } from '../session/testRows';
import type { CommandContext } from './command';
import type { Arguments, Option } from './options';
import { noteInRecord } from './record';
import { SAMPLING_OPTIONS } from './talk';

/** Of `evaluate`. The seed is that of the settings. */
export const CHECK_OPTIONS: readonly Option[] = [
  {
    name: 'check',
    value: 'CHECK',
    kind: 'text',
    repeatable: true,
    help: `Asks the rows and checks the answers, base and adapter; prints one JSON object. A name (${CHECK_IDS.join(', ')}), a name with parameters as in number:{"tolerance":0.5}, a rule as JSON with all, any and not, or proposed: what fits the rows. Given several times, an answer is right where it passes all.`,
  },
  {
    name: 'max_rows',
    value: 'N',
    kind: 'number',
    help: 'With --check: asks N rows, spread evenly, not all.',
  },
  {
    name: 'with_train',
    kind: 'switch',
    help: 'With --check: asks as many training rows beside, to tell learned from memorised.',
  },
  ...SAMPLING_OPTIONS.filter(({ name }) => name !== 'seed').map((option) => ({
    ...option,
    help: `With --check: ${option.help}`,
  })),
];

function generationOf(args: Arguments): GenerationSettings {
  const settings: GenerationSettings = { ...defaultGeneration(), seed: args.hyperparameters.seed };
  for (const name of GENERATION_NAMES) {
    if (name === 'seed') continue;
    if (name === 'do_sample') settings.do_sample = args.has(name);
    else settings[name] = args.number(name);
  }
  const problem = generationProblem(settings);
  if (problem === null) return settings;
  throw new PlaygroundError({
    code: 'bad_usage',
    message: `--${problem.message}`,
    fix: 'See: npm run cli -- evaluate --help',
  });
}

/** The rules of `--check`. @throws PlaygroundError `bad_check`, `no_proposed_check` */
function rulesOf(args: Arguments, dataset: Dataset, { chat }: BaseModel): CheckRule[] {
  return args.texts('check').flatMap((text): CheckRule[] => {
    if (text !== 'proposed') return [ruleFromText(text)];
    const found = startingChecks(expectedRows(dataset, chat));
    if (found.length > 0) return found;
    throw new PlaygroundError({
      code: 'no_proposed_check',
      message: 'No check fits the answers of the training rows by itself.',
      fix: 'Name one, for example --check contains:{"texts":["£"]}.',
    });
  });
}

/** The record of the run in the folder of the weights; null without one. */
async function recordOf(folder: string): Promise<RunRecord | null> {
  const file = path.join(folder, 'run.json');
  return existsSync(file) ? readRunRecord(await readFile(file, 'utf8')) : null;
}

/**
 * What the answers add to the verdict on the curves of the run in a folder, as the page says it; null where no curves lie there.
 * @throws PlaygroundError `bad_record`
 */
async function verdictSentence(
  folder: string,
  record: RunRecord,
  evaluation: AnswerEvaluation,
): Promise<string | null> {
  const file = path.join(folder, 'metrics.jsonl');
  if (!existsSync(file)) return null;
  const verdict = diagnose(readMetricPoints(await readFile(file, 'utf8')), record.config, record.state);
  const added = answerVerdict(verdict, [evaluation]);
  if (added === null) return null;
  return `${verdict.sentence} ${added.word === null ? '' : `${added.word}. `}${added.sentence}`;
}

function tunedOf(learner: Learner, folder: string, record: RunRecord | null): TunedModel {
  const which = record?.weights ?? 'last';
  const step =
    record?.weightsStep ?? (which === 'best' ? record?.best?.step : undefined) ?? record?.step ?? 0;
  return {
    learner,
    runId: record?.config.runId ?? path.basename(folder),
    which,
    step,
    config: record?.config ?? null,
  };
}

/** @throws PlaygroundError as `session/evaluation.ts : evaluateAnswers` */
export async function evaluateChecks(
  args: Arguments,
  base: BaseModel,
  dataset: Dataset,
  learner: Learner | null,
  { print, say, platform }: Pick<CommandContext, 'print' | 'say' | 'platform'>,
): Promise<void> {
  const asked = args.text('split') as RowSide;
  if (asked === 'train') {
    throw new PlaygroundError({
      code: 'bad_usage',
      message: 'Answers are checked on rows that are held out: --split validation or test.',
      fix: 'Add --with_train to ask training rows beside them.',
    });
  }
  const split = asked === 'test' ? 'test' : 'validation';
  const folder = args.text('adapter') ?? (args.text('model') as string);
  const record = await recordOf(folder);
  const rules = rulesOf(args, dataset, base);
  say(`Checks: ${rules.map((rule) => ruleText(rule)).join('; ')}.`);
  const request = {
    split,
    checks: rules,
    maxRows: args.text('max_rows') === null ? null : args.number('max_rows'),
    settings: generationOf(args),
    trainRows: args.has('with_train'),
  } as const;
  const tuned = learner && tunedOf(learner, folder, record);
  const evaluation = await evaluateAnswers(base, tuned, dataset, request, new KnownAnswers(), platform, {
    onRow: (_row, done, of) => {
      if (done % 10 === 0 || done === of) say(`${done} of ${of} rows asked`);
    },
    cancelled: () => false,
  });
  for (const sentence of sentencesOf(evaluation)) say(sentence);
  const verdict = record && (await verdictSentence(folder, record, evaluation));
  if (verdict) say(`The run: ${verdict}`);
  const uses = notedUses(base, dataset, evaluation);
  if (uses && record && isTestOf(dataset.report.test, record.config)) {
    await noteInRecord(folder, { testUses: [...(record.testUses ?? []), ...uses] });
  }
  print(JSON.stringify(evaluation));
}

function* sentencesOf({ scores, seen, test, withoutPrompt }: AnswerEvaluation): Generator<string> {
  yield scores.sentence;
  if (scores.memorised) yield scores.memorised;
  if (seen) yield `warning: ${seen}`;
  const looks = test && testLooksSentence(test.looks);
  if (looks) yield `warning: ${looks}`;
  if (withoutPrompt > 0) yield `${withoutPrompt} rows are plain text and were not asked.`;
}
