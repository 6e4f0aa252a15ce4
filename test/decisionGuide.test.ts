// The decision guide: every rule, and every combination of answers.
// Not here: the measured verdict (ways.test.ts).

import { describe, expect, test } from 'vitest';
import {
  GUIDE_QUESTION_NAMES,
  GUIDE_QUESTIONS,
  GUIDE_RULES,
  type GuideAnswers,
  recommend,
} from '../src/metrics/decisionGuide';
import { WAYS } from '../src/ways';

const ALL = GUIDE_QUESTION_NAMES.reduce<Record<string, string>[]>(
  (list, name) =>
    list.flatMap((answers) =>
      Object.keys(GUIDE_QUESTIONS[name].options).map((option) => ({ ...answers, [name]: option })),
    ),
  [{}],
) as unknown as GuideAnswers[];

const plain: GuideAnswers = {
  prompted: 'lacking',
  behaviour: 'none',
  knowledge: 'none',
  citations: 'no',
  rows: 'some',
  volume: 'low',
  latency: 'no',
  change: 'settled',
};
const of = (changes: Partial<GuideAnswers>) => recommend({ ...plain, ...changes });

describe('the decision guide', () => {
  test('asks eight questions', () => expect(GUIDE_QUESTION_NAMES).toHaveLength(8));

  test('every rule fires in some case and decides some case: it is among the reasons', () => {
    for (const rule of GUIDE_RULES) {
      expect(
        ALL.some((answers) => recommend(answers).reasons.includes(rule)),
        rule.id,
      ).toBe(true);
      expect(
        ALL.some((answers) => !rule.when(answers)),
        rule.id,
      ).toBe(true);
    }
  });

  test('every combination of answers ends in a recommendation that starts with prompting', () => {
    expect(ALL).toHaveLength(3 * 4 * 3 * 2 * 3 * 2 * 2 * 3);
    for (const answers of ALL) {
      const { approach, steps, cost, experiment, compare, reasons, outweighed } = recommend(answers);
      expect(steps[0]).toMatch(/^Start with prompting/);
      expect(cost.length * experiment.length).toBeGreaterThan(0);
      expect(compare.every((way) => WAYS.some(({ id }) => id === way))).toBe(true);
      // No rule is lost: it is a reason, or outweighed.
      expect(reasons.length + outweighed.length).toBe(
        GUIDE_RULES.filter((rule) => rule.when(answers)).length,
      );
      // What must be looked up is looked up, and where no prompt was tried nothing is tuned.
      if (answers.knowledge !== 'none' || answers.citations === 'yes')
        expect(['retrieve', 'both']).toContain(approach);
      if (answers.prompted === 'no' || answers.rows === 'few')
        expect(['prompt', 'retrieve']).toContain(approach);
    }
  });

  test.each([
    [{ behaviour: 'format' }, 'tune'],
    [{ behaviour: 'style' }, 'tune'],
    [{ behaviour: 'terms' }, 'tune'],
    [{ latency: 'yes' }, 'tune'],
    [{ volume: 'high' }, 'tune'],
    [{ knowledge: 'changing' }, 'retrieve'],
    [{ knowledge: 'stable' }, 'retrieve'],
    [{ citations: 'yes' }, 'retrieve'],
    [{ behaviour: 'style', knowledge: 'changing' }, 'both'],
    [{ behaviour: 'style', rows: 'few' }, 'prompt'],
    [{ behaviour: 'style', change: 'weekly' }, 'prompt'],
    [{ behaviour: 'style', change: 'many' }, 'prompt'],
    [{ behaviour: 'style', prompted: 'no' }, 'prompt'],
    [{ behaviour: 'style', prompted: 'enough' }, 'prompt'],
    [{ prompted: 'enough', volume: 'high' }, 'tune'],
    [{}, 'prompt'],
  ] as [Partial<GuideAnswers>, string][])('%o: %s', (changes, approach) => {
    expect(of(changes).approach).toBe(approach);
  });

  test('the exercise of the course: a voice and facts that change want both', () => {
    const { title, reasons } = of({ behaviour: 'style', knowledge: 'changing', rows: 'some' });
    expect(title).toMatch(/fine-tune and retrieve/);
    expect(reasons.map(({ id }) => id)).toEqual(['style', 'changing_knowledge', 'both']);
  });
});
