// What each check of an answer does, what speaks against its parameters, and what it proposes for given rows.
// Not here: their names and parameters (answerChecks.ts), combining them (checkRules.ts).

import { Validator } from '@cfworker/json-schema';
import { RE2JS } from 're2js';
import type { CheckedAnswer, CheckId, CheckOutcome, CheckParametersById, ChosenCheck } from '../answerChecks';
import { ANSWER_CHECKS, type CheckDescription } from '../answerChecks';
import { plural, quoted, shortened } from '../wording';
import { chrf } from './chrf';
import { choicesOf, fieldOf, fieldValues, isObject, parsed, sameJson, schemaOf } from './jsonAnswers';

/** A row that checks are proposed from. */
export interface ExpectedRow {
  /** The answer that the row teaches; null where it has none. */
  expected: string | null;
}

export interface Check<K extends CheckId = CheckId> extends CheckDescription<K> {
  id: K;
  /** What is wrong with the parameters, in a sentence; null where nothing is. Kinds and ranges are checked before (checkRules.ts). */
  problem: (parameters: CheckParametersById[K]) => string | null;
  /** Parameters that fit the rows; null where the check is not for them. */
  propose: (rows: readonly ExpectedRow[]) => CheckParametersById[K] | null;
  /**
   * Whether the answer passes. Pure, and linear in the length of the answer.
   * @param expected the answer of the row; null where there is none: a check that needs one fails
   */
  passes: (
    answer: CheckedAnswer,
    expected: string | null,
    parameters: CheckParametersById[K],
  ) => CheckOutcome;
}

type Behaviour<K extends CheckId> = Pick<Check<K>, 'problem' | 'propose' | 'passes'>;

const outcome = (passed: boolean, detail: string): CheckOutcome => ({ passed, detail });
const NO_EXPECTED = outcome(false, 'the row has no answer');
const fine = () => null;

// ───────────────────────────── texts ─────────────────────────────

/** Letters in one form: accents composed; small where case does not count. */
const folded = (text: string, ignoreCase: boolean) => {
  const composed = text.normalize('NFC');
  return ignoreCase ? composed.toLowerCase() : composed;
};
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

/** The expected answers of rows that have one, without the space around them. */
const answersOf = (rows: readonly ExpectedRow[]) =>
  rows.flatMap(({ expected }) => (expected === null ? [] : [expected.trim()]));

const needTexts = (texts: readonly string[], what: string) =>
  texts.some((text) => text !== '') && texts.every((text) => text !== '') ? null : `${what} is empty.`;

/** Longest answer that is compared letter by letter, in words of the median row. */
const SHORT_ANSWER_WORDS = 6;
/** Share of the rows that must have a form before it is proposed. */
const MOST = 0.9;
/** Different short answers that are still labels. */
const MOST_LABELS = 20;

const wordsOf = (text: string) => text.split(/\s+/u).filter((word) => word !== '');

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

const exact: Behaviour<'exact'> = {
  problem: fine,
  propose: (rows) => {
    const answers = answersOf(rows);
    if (answers.length === 0 || median(answers.map((text) => wordsOf(text).length)) > SHORT_ANSWER_WORDS) {
      return null;
    }
    return { ignore_case: false, ignore_space: true, ignore_punctuation: false };
  },
  passes: ({ text }, expected, { ignore_case, ignore_space, ignore_punctuation }) => {
    if (expected === null) return NO_EXPECTED;
    const form = (raw: string) => {
      let reduced = folded(raw, ignore_case);
      if (ignore_punctuation) reduced = reduced.replaceAll(PUNCTUATION, '');
      return ignore_space ? reduced.trim().replaceAll(/\s+/gu, ' ') : reduced;
    };
    const [a, e] = [form(text), form(expected)];
    if (a === e) return outcome(true, 'the same');
    const [letters, wanted] = [[...a], [...e]];
    const at = letters.findIndex((letter, i) => letter !== wanted[i]);
    return outcome(false, `differs from letter ${(at < 0 ? letters.length : at) + 1}`);
  },
};

const oneOf: Behaviour<'one_of'> = {
  problem: ({ values }) => needTexts(values, 'A value'),
  propose: (rows) => {
    const labels = labelsOf(answersOf(rows));
    return labels && { values: labels, ignore_case: false };
  },
  passes: ({ text }, _expected, { values, ignore_case }) => {
    const answer = folded(text.trim(), ignore_case);
    const found = values.find((value) => folded(value.trim(), ignore_case) === answer);
    return found === undefined ? outcome(false, 'none of the values') : outcome(true, quoted(found));
  },
};

const contains: Behaviour<'contains'> = {
  problem: ({ texts }) => (texts.length === 0 ? null : needTexts(texts, 'A text')),
  propose: () => null,
  passes: ({ text }, expected, { texts, of, ignore_case }) => {
    if (texts.length === 0 && expected === null) return NO_EXPECTED;
    const wanted = texts.length > 0 ? texts : [(expected as string).trim()];
    const answer = folded(text, ignore_case);
    const missing = wanted.filter((part) => !answer.includes(folded(part, ignore_case)));
    const passed = of === 'all' ? missing.length === 0 : missing.length < wanted.length;
    if (passed) return outcome(true, of === 'all' ? 'contains all' : 'contains one');
    return outcome(false, `without ${missing.map((part) => quoted(part)).join(', ')}`);
  },
};

/** A check of one end of the answer. */
function atEnd<K extends 'starts_with' | 'ends_with'>(side: K): Behaviour<K> {
  const starts = side === 'starts_with';
  return {
    problem: ({ texts }) => needTexts(texts, 'A text'),
    propose: (rows) => {
      const shared = sharedEnd(answersOf(rows), starts);
      return shared === null ? null : { texts: [shared], ignore_case: false };
    },
    passes: ({ text }, _expected, { texts, ignore_case }) => {
      const answer = folded(text.trim(), ignore_case);
      const found = texts.find((part) => {
        const wanted = folded(part.trim(), ignore_case);
        return starts ? answer.startsWith(wanted) : answer.endsWith(wanted);
      });
      if (found !== undefined) return outcome(true, quoted(found));
      const shown = starts ? answer.slice(0, 30) : answer.slice(-30);
      return outcome(false, `${starts ? 'starts' : 'ends'} with ${quoted(shown, 30)}`);
    },
  };
}

/** Words of an opening or a closing that is proposed. */
const MOST_SHARED_WORDS = 6;
/** Answers whose ends can be said to be shared. */
const FEWEST_SHARING = 5;

/** The longest run of words that nearly all answers start or end with; null where there is none, or where all are one answer. */
function sharedEnd(answers: readonly string[], starts: boolean): string | null {
  if (answers.length < FEWEST_SHARING || new Set(answers).size < 3) return null;
  for (let count = MOST_SHARED_WORDS; count >= 1; count--) {
    const ends = new Map<string, number>();
    for (const answer of answers) {
      const words = wordsOf(answer);
      if (words.length <= count) continue;
      const end = (starts ? words.slice(0, count) : words.slice(-count)).join(' ');
      if (starts ? answer.startsWith(end) : answer.endsWith(end)) ends.set(end, (ends.get(end) ?? 0) + 1);
    }
    const [most] = [...ends].sort((a, b) => b[1] - a[1]);
    if (most && most[1] >= MOST * answers.length) return most[0];
  }
  return null;
}

const regex: Behaviour<'regex'> = {
  problem: ({ pattern, ignore_case }) => {
    if (pattern === '') return 'The pattern is empty.';
    const compiled = compilePattern(pattern, ignore_case);
    return typeof compiled === 'string' ? compiled : null;
  },
  propose: () => null,
  passes: ({ text }, _expected, { pattern, whole, ignore_case }) => {
    const compiled = compilePattern(pattern, ignore_case);
    if (typeof compiled === 'string') return outcome(false, compiled);
    // RE2 simulates an automaton: no pattern takes more time than its length times that of the answer.
    const passed = whole ? compiled.matches(text) : compiled.matcher(text).find();
    return outcome(passed, passed ? 'matches' : 'no match');
  },
};

const patterns = new Map<string, RE2JS | string>();

/** The pattern, or a sentence that says why it is none. The latest ones are kept. */
function compilePattern(pattern: string, ignoreCase: boolean): RE2JS | string {
  const key = `${ignoreCase}${pattern}`;
  const kept = patterns.get(key);
  if (kept !== undefined) return kept;
  let compiled: RE2JS | string;
  try {
    compiled = RE2JS.compile(pattern, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    compiled = `The pattern is not one of RE2: ${shortened(reason, 120)}.`;
  }
  if (patterns.size >= 50) patterns.clear();
  patterns.set(key, compiled);
  return compiled;
}

// ───────────────────────────── JSON ─────────────────────────────

/** The expected answers as objects, where nearly all are. */
function objectsOf(answers: readonly string[]): Record<string, unknown>[] | null {
  if (answers.length === 0) return null;
  const objects = answers.flatMap((answer) => {
    const value = parsed(answer)?.value;
    return isObject(value) ? [value] : [];
  });
  return objects.length >= MOST * answers.length ? objects : null;
}

const validJson: Behaviour<'valid_json'> = {
  problem: fine,
  propose: (rows) => {
    const answers = answersOf(rows);
    if (objectsOf(answers)) return { type: 'object' };
    const arrays = answers.filter((answer) => Array.isArray(parsed(answer)?.value));
    return answers.length > 0 && arrays.length >= MOST * answers.length ? { type: 'array' } : null;
  },
  passes: ({ text }, _expected, { type }) => {
    const json = parsed(text.trim());
    if (!json) return outcome(false, 'no JSON');
    const found = Array.isArray(json.value) ? 'array' : isObject(json.value) ? 'object' : 'value';
    return outcome(type === 'any' || type === found, `JSON ${found}`);
  },
};

const schemas = new Map<string, Validator | string>();

/** Keywords whose regular expressions may backtrack without end. */
const PATTERN_KEYWORDS = ['pattern', 'patternProperties'];

/** The first of `PATTERN_KEYWORDS` in a schema, as a keyword and not as the name of a property. */
function patternKeyword(schema: unknown, names = false): string | null {
  if (typeof schema !== 'object' || schema === null) return null;
  for (const [key, value] of Object.entries(schema)) {
    if (!names && PATTERN_KEYWORDS.includes(key)) return key;
    if (!names && (key === 'enum' || key === 'const' || key === 'default' || key === 'examples')) continue;
    const named = !names && ['properties', '$defs', 'definitions', 'dependentSchemas'].includes(key);
    const inside = patternKeyword(value, named);
    if (inside) return inside;
  }
  return null;
}

/** A validator, or a sentence that says why the text is no schema. The latest ones are kept. */
function compileSchema(text: string): Validator | string {
  const kept = schemas.get(text);
  if (kept !== undefined) return kept;
  const compiled = newValidator(text);
  if (schemas.size >= 50) schemas.clear();
  schemas.set(text, compiled);
  return compiled;
}

function newValidator(text: string): Validator | string {
  const schema = parsed(text)?.value;
  if (!isObject(schema)) return 'The schema is not a JSON object.';
  const keyword = patternKeyword(schema);
  if (keyword) return `The schema uses ${keyword}, which is not supported here; add a regex check instead.`;
  try {
    const validator = new Validator(schema, '2020-12', true);
    // References that lead nowhere show only when something is validated.
    validator.validate({});
    return validator;
  } catch (thrown) {
    return `The schema cannot be used: ${shortened(thrown instanceof Error ? thrown.message : String(thrown), 120)}`;
  }
}

const jsonSchema: Behaviour<'json_schema'> = {
  problem: ({ schema }) => {
    const compiled = compileSchema(schema);
    return typeof compiled === 'string' ? compiled : null;
  },
  propose: (rows) => {
    const objects = objectsOf(answersOf(rows));
    return objects && { schema: JSON.stringify(schemaOf(objects)) };
  },
  passes: ({ text }, _expected, { schema }) => {
    const json = parsed(text.trim());
    if (!json) return outcome(false, 'no JSON');
    const compiled = compileSchema(schema);
    if (typeof compiled === 'string') return outcome(false, compiled);
    const { valid, errors } = compiled.validate(json.value);
    const last = errors.at(-1);
    return outcome(
      valid,
      valid || !last ? 'meets the schema' : `${last.instanceLocation}: ${shortened(last.error, 100)}`,
    );
  },
};

const jsonFields: Behaviour<'json_fields'> = {
  problem: ({ fields }) => (fields.length === 0 ? null : needTexts(fields, 'A field')),
  propose: (rows) => (objectsOf(answersOf(rows)) ? { fields: [], extra: false } : null),
  passes: ({ text }, expected, { fields, extra }) => {
    if (expected === null) return NO_EXPECTED;
    const wanted = parsed(expected.trim())?.value;
    if (!isObject(wanted)) return outcome(false, 'the expected answer is no JSON object');
    const found = parsed(text.trim())?.value;
    if (!isObject(found)) return outcome(false, 'no JSON object');
    const compared = fields.length > 0 ? fields : Object.keys(wanted);
    const different = compared.filter((field) =>
      fields.length > 0
        ? !sameJson(fieldOf(found, field), fieldOf(wanted, field))
        : !Object.hasOwn(found, field) || !sameJson(found[field], wanted[field]),
    );
    if (different.length > 0) return outcome(false, `differs in ${different.join(', ')}`);
    const more = extra ? [] : Object.keys(found).filter((key) => !Object.hasOwn(wanted, key));
    if (more.length > 0) return outcome(false, `has ${more.join(', ')} beside`);
    return outcome(true, `${plural(compared.length, 'field')} the same`);
  },
};

// ───────────────────────────── labels ─────────────────────────────

/** The different answers where they are few, short, and return; null otherwise. */
function labelsOf(answers: readonly string[]): string[] | null {
  const labels = choicesOf(answers);
  return labels?.every((label) => label !== '' && wordsOf(label).length <= SHORT_ANSWER_WORDS)
    ? labels
    : null;
}

/**
 * The label of an answer, in the spelling of the list; null where it has none of them.
 * @param text the answer, or the JSON object whose `field` has the label
 */
export function labelIn(
  text: string,
  { labels, field, ignore_case }: CheckParametersById['label'],
): string | null {
  const value = field === '' ? text : fieldOf(parsed(text.trim())?.value, field);
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return null;
  const wanted = folded(String(value).trim(), ignore_case);
  return labels.find((label) => folded(label.trim(), ignore_case) === wanted) ?? null;
}

const label: Behaviour<'label'> = {
  problem: ({ labels }) =>
    new Set(labels).size < 2 ? 'There must be at least two labels.' : needTexts(labels, 'A label'),
  propose: (rows) => {
    const answers = answersOf(rows);
    const labels = labelsOf(answers);
    if (labels && labels.length <= MOST_LABELS) return { labels, field: '', ignore_case: false };
    const objects = objectsOf(answers);
    if (!objects) return null;
    for (const [field, values] of fieldValues(objects)) {
      const choices = values.length === objects.length ? choicesOf(values) : null;
      if (choices) return { labels: choices, field, ignore_case: false };
    }
    return null;
  },
  passes: ({ text }, expected, parameters) => {
    if (expected === null) return NO_EXPECTED;
    const [found, wanted] = [labelIn(text, parameters), labelIn(expected, parameters)];
    if (wanted === null) return outcome(false, 'the expected answer has none of the labels');
    if (found === null) return outcome(false, 'none of the labels');
    return outcome(found === wanted, found === wanted ? found : `${found}, not ${wanted}`);
  },
};

// ───────────────────────────── numbers and lengths ─────────────────────────────

/** A number as English text has it: 1,250.75, -3, .5, 2e-3. A sign counts where no letter or digit stands before it. */
const NUMBER =
  /(?:(?<![\p{L}\p{N}_])[-+\u2212])?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?/gu;

/** The first or last number of a text; null without one. */
export function numberIn(text: string, which: 'first' | 'last'): number | null {
  const found = text.match(NUMBER);
  const written = which === 'first' ? found?.[0] : found?.at(-1);
  return written === undefined ? null : Number(written.replaceAll(',', '').replace('\u2212', '-'));
}

const number: Behaviour<'number'> = {
  problem: fine,
  propose: (rows) => {
    const answers = answersOf(rows);
    const numeric = answers.filter(
      // A number, perhaps with a unit.
      (text) => numberIn(text, 'last') !== null && wordsOf(text).length <= 2,
    );
    if (answers.length === 0 || numeric.length < MOST * answers.length) return null;
    return { tolerance: 0, relative_tolerance: 0, which: 'last' };
  },
  passes: ({ text }, expected, { tolerance, relative_tolerance, which }) => {
    if (expected === null) return NO_EXPECTED;
    const [found, wanted] = [numberIn(text, which), numberIn(expected, which)];
    if (wanted === null) return outcome(false, 'the expected answer has no number');
    if (found === null) return outcome(false, 'no number');
    const allowed = Math.max(tolerance, relative_tolerance * Math.abs(wanted));
    // 20.00 and 19.99 differ by 0.01: binary fractions miss that by some units of the last place.
    const rounding = 4 * Number.EPSILON * Math.max(Math.abs(found), Math.abs(wanted));
    return outcome(Math.abs(found - wanted) <= allowed + rounding, `${found} for ${wanted}`);
  },
};

const wordLimit: Behaviour<'word_limit'> = {
  problem: ({ min, max }) => (min > max ? 'The fewest words are more than the most.' : null),
  propose: (rows) => {
    const counts = answersOf(rows).map((text) => wordsOf(text).length);
    if (counts.length === 0) return null;
    return {
      min: counts.reduce((least, count) => Math.min(least, count)),
      max: counts.reduce((most, count) => Math.max(most, count)),
    };
  },
  passes: ({ text }, _expected, { min, max }) => {
    const count = wordsOf(text).length;
    return outcome(count >= min && count <= max, plural(count, 'word'));
  },
};

const endsTurn: Behaviour<'ends_turn'> = {
  problem: fine,
  propose: (rows) => (rows.length > 0 ? {} : null),
  passes: ({ stoppedBy }) =>
    stoppedBy === 'end_token'
      ? outcome(true, 'ended by itself')
      : outcome(false, stoppedBy === 'cancelled' ? 'cancelled' : 'cut off at the limit'),
};

const similar: Behaviour<'chrf'> = {
  problem: fine,
  propose: (rows) => {
    const answers = answersOf(rows);
    if (answers.length === 0 || exact.propose(rows)) return null;
    return { threshold: 50, char_order: 6, word_order: 0, beta: 2 };
  },
  passes: ({ text }, expected, { threshold, ...settings }) => {
    if (expected === null) return NO_EXPECTED;
    const score = chrf(text, expected, settings);
    return outcome(score >= threshold, `chrF ${score.toFixed(1)}`);
  },
};

const BEHAVIOURS: { readonly [K in CheckId]: Behaviour<K> } = {
  exact,
  one_of: oneOf,
  contains,
  starts_with: atEnd('starts_with'),
  ends_with: atEnd('ends_with'),
  regex,
  valid_json: validJson,
  json_schema: jsonSchema,
  json_fields: jsonFields,
  label,
  number,
  word_limit: wordLimit,
  ends_turn: endsTurn,
  chrf: similar,
};

/** Every check of an answer, by its id. */
export const CHECKS: { readonly [K in CheckId]: Check<K> } = Object.fromEntries(
  Object.entries(BEHAVIOURS).map(([id, behaviour]) => [
    id,
    { id, ...ANSWER_CHECKS[id as CheckId], ...behaviour },
  ]),
) as unknown as { readonly [K in CheckId]: Check<K> };

/** One chosen check on one answer. */
export function passesCheck(
  { check, parameters }: ChosenCheck,
  answer: CheckedAnswer,
  expected: string | null,
): CheckOutcome {
  return (CHECKS[check] as Check).passes(answer, expected, parameters as never);
}

/** What fits the rows, each with its parameters, in the order of the list. */
export function proposedChecks(rows: readonly ExpectedRow[]): ChosenCheck[] {
  return Object.values(CHECKS).flatMap((check) => {
    const parameters = (check as Check).propose(rows);
    return parameters ? [{ check: check.id, parameters } as ChosenCheck] : [];
  });
}

/** By which an answer counts as right, the closest to what the rows are about first. */
const MAIN: readonly CheckId[] = ['json_fields', 'label', 'number', 'exact', 'chrf'];

/** The proposed checks that an evaluation starts with: the one that says best whether an answer is right. */
export function startingChecks(rows: readonly ExpectedRow[]): ChosenCheck[] {
  const proposed = proposedChecks(rows);
  const main = MAIN.flatMap((id) => proposed.find(({ check }) => check === id) ?? []);
  return main.slice(0, 1);
}
