// Rows of questions with what must be true of their answers: JSON lines with question, answer, key, product or passage, kind, nextWeek.
// Not here: rows that are trained on (dataFile.ts), the checks (metrics/checks.ts).

import type { CheckRule } from '../answerChecks';
import type { Message } from '../contract';
import { PlaygroundError } from '../errors';
import type { WayQuestion } from '../ways';
import { quoted } from '../wording';

export interface QuestionOptions {
  /** A system message for every question; '' for none. */
  system: string;
  /** Words of a key that may be said in other words: from, to. */
  alsoRight: readonly (readonly [from: string, to: string])[];
}

const bad = (message: string, name: string, line: number) =>
  new PlaygroundError({
    code: 'bad_questions',
    message: `Line ${line} of ${name} ${message}.`,
    fix: 'Each line is a JSON object with question, and with answer or key.',
    where: `${name}, line ${line}`,
  });

/** The words of a key as whole words, anywhere in the answer. */
export function keyRule(key: string, alsoRight: QuestionOptions['alsoRight'] = []): CheckRule {
  const others = alsoRight.flatMap(([from, to]) => (key.includes(from) ? [key.replace(from, to)] : []));
  const rules = [key, ...others].map((words): CheckRule => {
    const escaped = words.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
    const pattern = `(?:^|[^\\pL\\pN_])${escaped}(?:$|[^\\pL\\pN_])`;
    return { check: 'regex', parameters: { pattern, whole: false, ignore_case: false } };
  });
  return rules.length === 1 ? (rules[0] as CheckRule) : { any: rules };
}

const sameAnswer: CheckRule = {
  check: 'exact',
  parameters: { ignore_case: false, ignore_space: true, ignore_punctuation: false },
};

/**
 * `key`: words that must stand in the answer; without it the answer must be `answer`. `product` or `passage`, and `also`: ids of passages,
 * any of which is enough. `nextWeek`: answer and key after the facts have changed.
 * @throws PlaygroundError `bad_questions`
 */
export function readQuestions(name: string, text: string, options: QuestionOptions): WayQuestion[] {
  const questions: WayQuestion[] = [];
  for (const [n, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    questions.push(questionOf(line, { name, line: n + 1 }, options));
  }
  if (questions.length > 0) return questions;
  throw new PlaygroundError({
    code: 'bad_questions',
    message: `${name} has no questions.`,
    fix: 'Each line is a JSON object with question, and with answer or key.',
    where: name,
  });
}

function questionOf(
  json: string,
  { name, line }: { name: string; line: number },
  { system, alsoRight }: QuestionOptions,
): WayQuestion {
  let row: Record<string, unknown>;
  try {
    row = JSON.parse(json) as Record<string, unknown>;
  } catch (thrown) {
    throw bad(`is no JSON (${thrown instanceof Error ? thrown.message : String(thrown)})`, name, line);
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row))
    throw bad('is no JSON object', name, line);
  const textOf = (from: Record<string, unknown>, key: string): string | null => {
    const value = from[key];
    if (value === undefined || value === null) return null;
    if (typeof value === 'string' || typeof value === 'number') return String(value);
    throw bad(`has ${quoted(key)} that is no text`, name, line);
  };
  const question = textOf(row, 'question');
  if (question === null || question.trim() === '') throw bad('has no question', name, line);
  const wanted = (from: Record<string, unknown>) => {
    const [expected, key] = [textOf(from, 'answer'), textOf(from, 'key')];
    if (expected === null && key === null) throw bad('has neither answer nor key', name, line);
    return { expected, facts: key === null ? sameAnswer : keyRule(key, alsoRight) };
  };
  const product = textOf(row, 'product') ?? textOf(row, 'passage');
  const also = Array.isArray(row.also) ? row.also.map(String) : [];
  const messages: Message[] = [{ role: 'user', content: question }];
  if (system !== '') messages.unshift({ role: 'system', content: system });
  const next = row.nextWeek;
  return {
    id: textOf(row, 'id') ?? String(line),
    kind: textOf(row, 'kind') ?? '',
    messages,
    ...wanted(row),
    passages: product === null ? null : [product, ...also],
    ...(typeof next === 'object' && next !== null && { changed: wanted(next as Record<string, unknown>) }),
  };
}
