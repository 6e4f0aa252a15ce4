// The rows of an evaluation as CSV, for a spreadsheet. The JSON export is the evaluation itself.
// Not here: metric points as CSV (curves.ts).

import type { AnswerEvaluation } from '../evaluationContract';
import { csvCell } from './csvCell';
import { ruleText } from './ruleText';

/** RFC 4180, one line a row; the columns of the checks are named by them. No text is a formula (csvCell.ts). */
export function evaluationCsv({ rows, request }: AnswerEvaluation): string {
  const names = request.checks.map((rule) => ruleText(rule));
  const of = (which: string) => [
    ...[`${which}_answer`, `${which}_right`, ...names.map((name) => `${which}: ${name}`)],
    ...[`${which}_stopped_by`, `${which}_loss`],
  ];
  const head = ['split', 'line', 'prompt', 'expected', ...of('base'), ...of('tuned'), 'like_training_line'];
  const lines = rows.map(({ split, line, prompt, expected, base, tuned, targets, near }) => {
    const asked = prompt.map(({ role, content }) => `${role}: ${content}`).join('\n');
    const cells = [base, tuned].flatMap((answer) =>
      answer === null
        ? new Array<null>(names.length + 4).fill(null)
        : [
            ...[answer.text, answer.right, ...answer.outcomes.map(({ passed }) => passed)],
            ...[answer.stoppedBy, targets > 0 ? answer.lossSum / targets : null],
          ],
    );
    return [split, line, asked, expected, ...cells, near?.line ?? null];
  });
  return [head, ...lines].map((line) => `${line.map(csvCell).join(',')}\r\n`).join('');
}
