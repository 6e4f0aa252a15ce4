// Checks combined by all, any and not: read from JSON or from a command line, and applied to an answer.
// Not here: what one check does (checks.ts), rules in words (ruleText.ts).

import type {
  CheckedAnswer,
  CheckId,
  CheckOutcome,
  CheckParameter,
  CheckRule,
  ChosenCheck,
  ParameterValue,
} from '../answerChecks';
import { ANSWER_CHECKS, CHECK_IDS } from '../answerChecks';
import { PlaygroundError } from '../errors';
import { listed, quoted, shortened } from '../wording';
import { CHECKS, type Check, passesCheck } from './checks';

/** A rule on one answer. An empty `all` passes, an empty `any` does not. */
export function passesRule(rule: CheckRule, answer: CheckedAnswer, expected: string | null): CheckOutcome {
  if ('check' in rule) return passesCheck(rule, answer, expected);
  if ('not' in rule) {
    const { passed, detail } = passesRule(rule.not, answer, expected);
    return { passed: !passed, detail: `not: ${detail}` };
  }
  const parts = 'all' in rule ? rule.all : rule.any;
  const outcomes = parts.map((part) => passesRule(part, answer, expected));
  const passed =
    'all' in rule ? outcomes.every((outcome) => outcome.passed) : outcomes.some((outcome) => outcome.passed);
  // Of all, what failed decides; of any, what passed.
  const decisive = outcomes.filter((outcome) => outcome.passed === ('all' in rule ? passed : true));
  const named = decisive.length > 0 ? decisive : outcomes;
  return { passed, detail: named.map(({ detail }) => detail).join('; ') };
}

const badCheck = (message: string, fix: string, where?: string) =>
  new PlaygroundError({ code: 'bad_check', message, fix, ...(where !== undefined && { where }) });

/** The parameters of a check, those that are not given as they are by themselves. @throws PlaygroundError `bad_check` */
export function readParameters<K extends CheckId>(id: K, given: unknown): ChosenCheck {
  const described = ANSWER_CHECKS[id].parameters as Record<string, CheckParameter>;
  if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given))) {
    throw badCheck(`The parameters of the check ${id} are no object.`, 'Give them as {"name": value}.', id);
  }
  const names = Object.keys(described);
  const entries = Object.entries((given ?? {}) as Record<string, unknown>);
  for (const [name] of entries) {
    if (!Object.hasOwn(described, name)) {
      throw badCheck(
        `The check ${id} has no parameter ${quoted(name)}.`,
        names.length > 0 ? `It has ${listed(names, 12)}.` : 'It has none.',
        id,
      );
    }
  }
  const parameters: Record<string, ParameterValue> = {};
  for (const [name, parameter] of Object.entries(described)) {
    const value = entries.find(([key]) => key === name)?.[1] ?? parameter.default;
    const problem = parameterProblem(parameter, value);
    if (problem) throw badCheck(`The check ${id}: ${name} ${problem}.`, parameter.help, id);
    parameters[name] = value as ParameterValue;
  }
  const problem = (CHECKS[id] as Check).problem(parameters as never);
  if (problem) throw badCheck(`The check ${id}: ${problem}`, ANSWER_CHECKS[id].description, id);
  return { check: id, parameters } as ChosenCheck;
}

function parameterProblem(parameter: CheckParameter, value: unknown): string | null {
  switch (parameter.kind) {
    case 'boolean':
      return typeof value === 'boolean' ? null : 'must be true or false';
    case 'text':
    case 'json':
      return typeof value === 'string' ? null : 'must be a text';
    case 'texts':
      return Array.isArray(value) && value.every((item) => typeof item === 'string')
        ? null
        : 'must be a list of texts';
    case 'choice': {
      const values = parameter.options.map((option) => option.value);
      return values.some((option) => option === value) ? null : `must be one of ${listed(values)}`;
    }
    case 'number':
    case 'integer':
      if (typeof value !== 'number' || !Number.isFinite(value)) return 'must be a number';
      if (parameter.kind === 'integer' && !Number.isInteger(value)) return 'must be a whole number';
      return value >= parameter.min && value <= parameter.max
        ? null
        : `must be ${parameter.min} to ${parameter.max}`;
  }
}

/** How deep rules may stand in each other. */
const MAX_DEPTH = 8;

/**
 * A rule from JSON: `{"check": "exact", "parameters": {…}}`, `{"all": […]}`, `{"any": […]}` or `{"not": …}`.
 * @throws PlaygroundError `bad_check`
 */
export function readRule(given: unknown, depth = 0): CheckRule {
  const fix = 'Give {"check": name, "parameters": {…}}, {"all": […]}, {"any": […]} or {"not": …}.';
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw badCheck('A check is no JSON object.', fix);
  }
  if (depth > MAX_DEPTH) throw badCheck(`Checks stand more than ${MAX_DEPTH} deep in each other.`, fix);
  const rule = given as Record<string, unknown>;
  const keys = Object.keys(rule);
  const other = (...known: string[]) => keys.find((key) => !known.includes(key));
  if ('check' in rule) {
    const extra = other('check', 'parameters');
    if (extra !== undefined) throw badCheck(`A check has an unknown key ${quoted(extra)}.`, fix);
    return readParameters(checkId(rule.check), rule.parameters);
  }
  for (const key of ['all', 'any'] as const) {
    const parts = rule[key];
    if (parts === undefined) continue;
    if (!Array.isArray(parts) || parts.length === 0 || other(key) !== undefined) {
      throw badCheck(`${quoted(key)} must be the only key, with a list of checks.`, fix);
    }
    const read = parts.map((part) => readRule(part, depth + 1));
    return key === 'all' ? { all: read } : { any: read };
  }
  if ('not' in rule && keys.length === 1) return { not: readRule(rule.not, depth + 1) };
  throw badCheck(
    `A check has none of the keys check, all, any and not: ${shortened(JSON.stringify(given))}`,
    fix,
  );
}

function checkId(name: unknown): CheckId {
  const id = CHECK_IDS.find((known) => known === name);
  if (id) return id;
  throw badCheck(`There is no check ${quoted(String(name))}.`, `There are ${listed(CHECK_IDS, 20)}.`);
}

/** What is wrong with rules, in a sentence; null where nothing is. */
export function checkProblem(rules: readonly unknown[]): string | null {
  for (const rule of rules) {
    try {
      readRule(rule);
    } catch (thrown) {
      if (thrown instanceof PlaygroundError) return thrown.message;
      throw thrown;
    }
  }
  return null;
}

/**
 * A rule from a command line: a name (`exact`), a name and its parameters as JSON (`number:{"tolerance":0.5}`), or a rule as JSON.
 * @throws PlaygroundError `bad_check`
 */
export function ruleFromText(text: string): CheckRule {
  const colon = text.indexOf(':');
  const fix =
    'Write a name, as in exact; a name and JSON, as in number:{"tolerance":0.5}; or a rule as JSON.';
  const json = (part: string): unknown => {
    try {
      return JSON.parse(part);
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      throw badCheck(`The check ${quoted(text)} has JSON that cannot be read: ${reason}.`, fix);
    }
  };
  if (text.trimStart().startsWith('{')) return readRule(json(text));
  if (colon < 0) return readParameters(checkId(text.trim()), undefined);
  return readParameters(checkId(text.slice(0, colon).trim()), json(text.slice(colon + 1)));
}
