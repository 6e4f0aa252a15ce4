// Every check of an answer and every statistic of an evaluation against Python's results (fixtures/make_checks.py); rules, proposals, bounds.
// Not here: asking models (evaluation.test.ts).
// Run: npx vitest run --project node test/checks.test.ts

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  ANSWER_CHECKS,
  CHECK_IDS,
  type CheckedAnswer,
  type CheckId,
  type CheckRule,
  type ChosenCheck,
} from '../src/answerChecks';
import { createRandom } from '../src/data/random';
import { PlaygroundError } from '../src/errors';
import { passesRule, readRule, ruleFromText } from '../src/metrics/checkRules';
import {
  CHECKS,
  labelIn,
  numberIn,
  passesCheck,
  proposedChecks,
  startingChecks,
} from '../src/metrics/checks';
import { chrf } from '../src/metrics/chrf';
import { labelScores } from '../src/metrics/labelScores';
import { pairedBootstrap, signTest, wilson } from '../src/metrics/proportions';
import { ruleText } from '../src/metrics/ruleText';

interface Case {
  answer: string;
  stoppedBy?: CheckedAnswer['stoppedBy'];
  expected: string | null;
  parameters: object;
  passed: boolean;
  score?: number;
}
const fixture = JSON.parse(readFileSync(new URL('./fixtures/checks.json', import.meta.url), 'utf8')) as {
  checks: Record<CheckId, Case[]>;
  labels: {
    labels: string[];
    truth: string[];
    guess: string[];
    matrix: number[][];
    balancedAccuracy: number;
    macroF1: number;
  }[];
  wilson: { k: number; n: number; low: number; high: number }[];
  signTest: { wins: number; losses: number; p: number }[];
};

const said = (text: string): CheckedAnswer => ({ text, stoppedBy: 'end_token' });
const rowsOf = (...answers: string[]) => answers.map((expected) => ({ expected }));
const proposal = (id: CheckId, answers: string[]) =>
  proposedChecks(rowsOf(...answers)).find(({ check }) => check === id)?.parameters;
const codeOf = (work: () => unknown) => {
  try {
    work();
  } catch (thrown) {
    return thrown instanceof PlaygroundError ? thrown.code : thrown;
  }
  return null;
};

describe('checks', () => {
  test('the fixture has 200 answers for every check, some of which pass and some not', () => {
    expect(Object.keys(fixture.checks).sort()).toEqual([...CHECK_IDS].sort());
    for (const cases of Object.values(fixture.checks)) {
      expect(cases).toHaveLength(200);
      const passed = cases.filter((c) => c.passed).length;
      expect(Math.min(passed, 200 - passed)).toBeGreaterThan(15);
    }
  });

  test.each(CHECK_IDS)('%s says what Python says', (id) => {
    const differing = fixture.checks[id].filter(({ answer, stoppedBy, expected, parameters, passed }) => {
      const chosen = readRule({ check: id, parameters }) as ChosenCheck;
      return (
        passesCheck(chosen, { text: answer, stoppedBy: stoppedBy ?? 'end_token' }, expected).passed !== passed
      );
    });
    expect(differing).toEqual([]);
  });

  test('chrF is that of sacreBLEU to ten places', () => {
    for (const { answer, expected, parameters, score } of fixture.checks.chrf) {
      const settings = parameters as Parameters<typeof chrf>[2];
      expect(chrf(answer, expected as string, settings)).toBeCloseTo(score as number, 10);
    }
  });

  test('confusion matrix, balanced accuracy and F1 are those of scikit-learn', () => {
    for (const { labels, truth, guess, matrix, balancedAccuracy, macroF1 } of fixture.labels) {
      const pairs = truth.map((expected, i) => ({ expected, answered: guess[i] || null }));
      const scores = labelScores(labels, pairs);
      expect(scores.matrix).toEqual(matrix);
      expect(scores.balancedAccuracy).toBeCloseTo(balancedAccuracy, 12);
      expect(scores.macroF1).toBeCloseTo(macroF1, 12);
      const most = Math.max(...labels.map((label) => truth.filter((t) => t === label).length));
      expect(scores.majority?.accuracy).toBeCloseTo(most / truth.length, 12);
      expect(scores.majority?.balancedAccuracy).toBeCloseTo(1 / new Set(truth).size, 12);
    }
  });

  test('intervals and the sign test are those of scipy', () => {
    for (const { k, n, low, high } of fixture.wilson) {
      expect(wilson(k, n).low).toBeCloseTo(low, 12);
      expect(wilson(k, n).high).toBeCloseTo(high, 12);
    }
    for (const { wins, losses, p } of fixture.signTest) {
      const found = signTest(wins, losses);
      expect(Math.abs(found - p)).toBeLessThan(1e-9 * p + 1e-300);
    }
  });

  test('the paired bootstrap is the same for a seed, and covers the mean', () => {
    const differences = Array.from({ length: 48 }, (_, i) => (i % 3 === 0 ? 1 : 0));
    const [a, b] = [1, 1].map((seed) => pairedBootstrap(differences, createRandom(seed)));
    expect(a).toEqual(b);
    expect(a?.mean).toBeCloseTo(1 / 3, 12);
    // The normal interval of 16 of 48.
    expect(a?.low).toBeGreaterThan(0.17);
    expect(a?.low).toBeLessThan(0.25);
    expect(a?.high).toBeGreaterThan(0.42);
    expect(a?.high).toBeLessThan(0.5);
    expect(pairedBootstrap([0, 0, 0], createRandom(1))).toEqual({ mean: 0, low: 0, high: 0 });
  });

  test('a pattern that backtracks without end elsewhere takes no time here', () => {
    const rule = readRule({ check: 'regex', parameters: { pattern: '^(a+)+$|(x|xx)+y|(.*)*z' } });
    const startedAt = performance.now();
    expect(passesRule(rule, said(`${'a'.repeat(5000)}${'x'.repeat(5000)}!`), null).passed).toBe(false);
    // V8 needs 2^5000 steps for the first part alone; a minute is on the safe side of any machine.
    expect(performance.now() - startedAt).toBeLessThan(60_000);
  });

  test('a schema with a pattern is refused, one with a property of that name is not', () => {
    const problem = (schema: object) => CHECKS.json_schema.problem({ schema: JSON.stringify(schema) });
    expect(problem({ items: { pattern: '(a+)+$' } })).toContain('uses pattern');
    expect(problem({ patternProperties: { a: {} } })).toContain('uses patternProperties');
    expect(problem({ properties: { pattern: { type: 'string' } } })).toBeNull();
    expect(problem({ enum: [{ pattern: 'x' }] })).toBeNull();
    expect(problem({ $ref: 'https://elsewhere.example/x' })).toContain('cannot be used');
    expect(CHECKS.json_schema.problem({ schema: '[' })).toBe('The schema is not a JSON object.');
  });

  test('a check that needs the expected answer fails without one, and says why', () => {
    for (const id of CHECK_IDS.filter((one) => ANSWER_CHECKS[one].needsExpected)) {
      const parameters = id === 'label' ? { labels: ['a', 'b'] } : {};
      const found = passesCheck(readRule({ check: id, parameters }) as ChosenCheck, said('a'), null);
      expect(found).toEqual({ passed: false, detail: 'the row has no answer' });
    }
  });

  test('numbers are read as texts write them', () => {
    expect(numberIn('It cost £1,250.75, not 3', 'first')).toBe(1250.75);
    expect(numberIn('from 1990-2000', 'last')).toBe(2000);
    expect(numberIn('minus: \u22123', 'last')).toBe(-3);
    expect(numberIn('1,2345', 'first')).toBe(1);
    expect(numberIn('none', 'last')).toBeNull();
  });

  test('a label may stand in a field of JSON', () => {
    const parameters = { labels: ['refund', 'order'], field: 'a.intent', ignore_case: true };
    expect(labelIn('{"a": {"intent": "Refund"}}', parameters)).toBe('refund');
    expect(labelIn('{"intent": "refund"}', parameters)).toBeNull();
  });
});

describe('proposed checks', () => {
  test('of labels: label, and that alone to start with', () => {
    const answers = Array.from({ length: 12 }, (_, i) => (i % 2 ? 'good' : 'bad'));
    expect(proposal('label', answers)).toEqual({ labels: ['bad', 'good'], field: '', ignore_case: false });
    expect(startingChecks(rowsOf(...answers)).map(({ check }) => check)).toEqual(['label']);
  });

  test('of JSON: fields, a schema that all expected answers meet, and the label in the field that has few values', () => {
    const answers = Array.from({ length: 12 }, (_, i) =>
      JSON.stringify({ room: `room ${i}`, intent: i % 2 ? 'book' : 'cancel', ...(i > 3 && { n: i }) }),
    );
    expect(startingChecks(rowsOf(...answers)).map(({ check }) => check)).toEqual(['json_fields']);
    expect(proposal('label', answers)).toEqual({
      labels: ['book', 'cancel'],
      field: 'intent',
      ignore_case: false,
    });
    const { schema } = proposal('json_schema', answers) as { schema: string };
    expect(JSON.parse(schema)).toMatchObject({
      required: ['room', 'intent'],
      properties: { intent: { enum: ['book', 'cancel'] }, n: { type: 'integer' } },
    });
    for (const answer of answers)
      expect(CHECKS.json_schema.passes(said(answer), null, { schema }).passed).toBe(true);
    expect(CHECKS.json_schema.passes(said('{"room":"a","intent":"eat"}'), null, { schema }).passed).toBe(
      false,
    );
  });

  test('of numbers: number; of one-word answers: exact; of sentences: likeness and a word limit; of a shared opening: that', () => {
    const numbers = Array.from({ length: 9 }, (_, i) => `${i * 7} kg`);
    expect(startingChecks(rowsOf(...numbers)).map(({ check }) => check)).toEqual(['number']);
    const words = Array.from({ length: 9 }, (_, i) => `word${String.fromCharCode(97 + i)}`);
    expect(startingChecks(rowsOf(...words)).map(({ check }) => check)).toEqual(['exact']);
    const sentences = Array.from(
      { length: 9 },
      (_, i) => `Ahoy, friend: the ${'very '.repeat(i)}blue boat is here today`,
    );
    expect(startingChecks(rowsOf(...sentences)).map(({ check }) => check)).toEqual(['chrf']);
    expect(proposal('word_limit', sentences)).toEqual({ min: 8, max: 16 });
    expect(proposal('starts_with', sentences)).toEqual({ texts: ['Ahoy, friend: the'], ignore_case: false });
    expect(proposal('starts_with', numbers)).toBeUndefined();
  });

  test('expected answers pass what is proposed from them', () => {
    const sets = [
      ['yes', 'no', 'yes', 'no', 'no', 'yes'],
      ['{"a": 1}', '{"a": 2}', '{"a": 3}'],
      ['12', '3.5', '-7'],
      ['a fine long sentence with many words in it', 'another fine long sentence with many words'],
    ];
    for (const answers of sets) {
      for (const rule of proposedChecks(rowsOf(...answers))) {
        for (const answer of answers)
          expect([rule, passesCheck(rule, said(answer), answer).passed]).toEqual([rule, true]);
      }
    }
  });

  test('of no rows there are none', () => {
    expect(proposedChecks([])).toEqual([]);
    expect(startingChecks([])).toEqual([]);
  });
});

describe('rules', () => {
  const contains = (text: string): CheckRule =>
    readRule({ check: 'contains', parameters: { texts: [text] } });

  test('all, any and not combine, and the detail names what decided', () => {
    const rule: CheckRule = {
      all: [contains('blue'), { any: [contains('boat'), contains('car')] }, { not: contains('red') }],
    };
    expect(passesRule(rule, said('a blue car'), null).passed).toBe(true);
    expect(passesRule(rule, said('a blue tree'), null)).toEqual({
      passed: false,
      detail: 'without “boat”; without “car”',
    });
    expect(passesRule(rule, said('a blue and red car'), null)).toEqual({
      passed: false,
      detail: 'not: contains all',
    });
    expect(ruleText(rule)).toBe(
      'Contains (texts: “blue”) and (Contains (texts: “boat”) or Contains (texts: “car”)) and not Contains (texts: “red”)',
    );
    expect(readRule(JSON.parse(JSON.stringify(rule)))).toEqual(rule);
  });

  test('are read from a command line', () => {
    expect(ruleFromText('exact')).toEqual(readRule({ check: 'exact' }));
    expect(ruleFromText('number:{"tolerance":0.5}')).toEqual(
      readRule({ check: 'number', parameters: { tolerance: 0.5 } }),
    );
    expect(ruleFromText('{"not":{"check":"ends_turn"}}')).toEqual({
      not: { check: 'ends_turn', parameters: {} },
    });
  });

  test.each([
    ['exactly', 'There is no check'],
    ['exact:{"case":true}', 'no parameter'],
    ['number:{"tolerance":"much"}', 'must be a number'],
    ['number:{"tolerance":-1}', 'must be 0 to'],
    ['one_of', 'A value is empty'],
    ['regex:{"pattern":"(?=a)"}', 'not one of RE2'],
    ['number:{', 'cannot be read'],
    ['{"all":[]}', 'must be the only key'],
    ['{"all":[{"check":"exact"}],"any":[]}', 'must be the only key'],
    ['word_limit:{"min":5,"max":2}', 'more than the most'],
    ['contains:{"of":"some"}', 'must be one of all and any'],
    [`${'{"not":'.repeat(12)}{"check":"exact"}${'}'.repeat(12)}`, 'deep'],
  ])('%s is refused with a sentence', (text, part) => {
    expect(codeOf(() => ruleFromText(text))).toBe('bad_check');
    expect(() => ruleFromText(text)).toThrow(part);
  });
});
