// Rules of checks in words, and the single checks within them. Light enough for the page, which does not load what checks need.
// Not here: reading rules and applying them (checkRules.ts).

import type { CheckParameter, CheckRule, ChosenCheck, ParameterValue } from '../answerChecks';
import { ANSWER_CHECKS } from '../answerChecks';
import { listed, quoted } from '../wording';

/** Every single check of a rule. */
export function checksOf(rule: CheckRule): ChosenCheck[] {
  if ('check' in rule) return [rule];
  if ('not' in rule) return checksOf(rule.not);
  return ('all' in rule ? rule.all : rule.any).flatMap(checksOf);
}

/** Whether an answer that passes the rule must be right in what it says. What is only not something else, like, or of a form need not be. */
export function provesRight(rule: CheckRule): boolean {
  if ('check' in rule) return ANSWER_CHECKS[rule.check].provesRight;
  if ('not' in rule) return false;
  return 'all' in rule ? rule.all.some(provesRight) : rule.any.every(provesRight);
}

/** What to call answers that pass all of these rules, and those that do not. */
export function judgement(rules: readonly CheckRule[]): {
  pass: 'right' | 'passes';
  fail: 'wrong' | 'fails';
} {
  return rules.some(provesRight) ? { pass: 'right', fail: 'wrong' } : { pass: 'passes', fail: 'fails' };
}

/** "Exact", "Contains (texts: “£12”) and not Ends its turn": a rule in words, with the parameters that are not as they are by themselves. */
export function ruleText(rule: CheckRule, inner = false): string {
  if ('check' in rule) {
    const { label, parameters } = ANSWER_CHECKS[rule.check];
    const given = Object.entries(rule.parameters as Record<string, ParameterValue>).filter(
      ([name, value]) =>
        JSON.stringify(value) !==
        JSON.stringify((parameters as Record<string, CheckParameter>)[name]?.default),
    );
    if (given.length === 0) return label;
    return `${label} (${given.map(([name, value]) => `${name}: ${valueText(value)}`).join(', ')})`;
  }
  if ('not' in rule) return `not ${ruleText(rule.not, true)}`;
  const parts = ('all' in rule ? rule.all : rule.any).map((part) => ruleText(part, true));
  const joined = parts.join('all' in rule ? ' and ' : ' or ');
  return inner && parts.length > 1 ? `(${joined})` : joined;
}

const valueText = (value: ParameterValue) =>
  Array.isArray(value)
    ? listed(
        value.map((item) => quoted(item, 20)),
        4,
      )
    : typeof value === 'string'
      ? quoted(value, 40)
      : String(value);
