// From the answers of every way to the rows of one table: counts, tokens, time, and what a change of facts does.
// Not here: which way is to be taken (waysVerdict.ts), asking (session/ways.ts).

import { type Training, WAYS, type WayAnswer, type WayQuestion, type WayRun } from '../ways';
import type { Count, WayRow } from '../waysContract';

const count = (answers: readonly WayAnswer[], passes: (answer: WayAnswer) => boolean): Count => ({
  right: answers.filter(passes).length,
  of: answers.length,
});

const mean = (values: readonly number[]) =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

/** Facts, form and end, all as wanted. */
export const isRight = ({ facts, form, stoppedBy }: WayAnswer): boolean =>
  facts && form !== false && stoppedBy === 'end_token';

/** Questions that are about the documents; all, where nobody said which those are. */
export function factQuestions(questions: readonly WayQuestion[]): ReadonlySet<string> {
  const known = questions.filter(({ passages }) => passages !== null);
  return new Set((known.length > 0 ? known : questions).map(({ id }) => id));
}

/** In the order of the list of ways; a way without answers has no row. */
export function waysTable(
  questions: readonly WayQuestion[],
  runs: readonly WayRun[],
  trainings: readonly Training[],
): WayRow[] {
  const aboutFacts = factQuestions(questions);
  const differs = new Set(questions.flatMap(({ id, changed }) => (changed ? [id] : [])));
  const kindOf = new Map(questions.map(({ id, kind }) => [id, kind]));
  const kinds = [...new Set(questions.map(({ kind }) => kind))].filter((kind) => kind !== '');
  return WAYS.flatMap((way): WayRow[] => {
    const own = runs.filter((run) => run.way === way.id);
    const now = own.filter(({ facts }) => facts === 'now');
    const answers = now.flatMap((run) => run.answers);
    if (answers.length === 0) return [];
    const later = own.filter(({ facts }) => facts === 'changed').flatMap((run) => run.answers);
    const laterFacts = later.filter(({ question }) => aboutFacts.has(question));
    const withForm = (list: readonly WayAnswer[]) =>
      list.some(({ form }) => form !== null) ? count(list, ({ form }) => form === true) : null;
    const seeds = now.map(({ seed }) => seed);
    const made = trainings.filter(({ tuning, seed }) => tuning === way.tuning && seeds.includes(seed));
    const sizes = made.flatMap(({ peakBytes }) => (peakBytes === null ? [] : [peakBytes]));
    const times = made.flatMap(({ ms }) => (ms === null ? [] : [ms]));
    return [
      {
        way,
        seeds,
        facts: count(
          answers.filter(({ question }) => aboutFacts.has(question)),
          ({ facts }) => facts,
        ),
        form: withForm(answers),
        ended: count(answers, ({ stoppedBy }) => stoppedBy === 'end_token'),
        right: count(answers, isRight),
        changed: later.length > 0 ? count(laterFacts, ({ facts }) => facts) : null,
        changedOnly:
          later.length > 0
            ? count(
                laterFacts.filter(({ question }) => differs.has(question)),
                ({ facts }) => facts,
              )
            : null,
        kinds: kinds.map((kind) => {
          const list = answers.filter(({ question }) => kindOf.get(question) === kind);
          return { kind, facts: count(list, ({ facts }) => facts), form: withForm(list) };
        }),
        promptTokens: mean(answers.map((answer) => answer.promptTokens)),
        tokens: mean(answers.map((answer) => answer.tokens)),
        ms: mean(answers.map((answer) => answer.ms)),
        steps: made.length > 0 ? mean(made.map(({ steps }) => steps)) : null,
        trainingMs: times.length > 0 ? mean(times) : null,
        trainingBytes: sizes.length > 0 ? Math.max(...sizes) : null,
      },
    ];
  });
}
