// Issues of a file by code: all are counted, the first of each are kept, one sentence stands for all of a kind. Memory grows with the kinds, and by one number for each row of a kind.
// Not here: finding issues (data/reading/, data/tokens/), printing them (cli/, ui/).

import type { Issue } from '../contract';
import type { IssueGroup } from '../dataReport';
import { boundedSentence, LONGEST_SENTENCE } from '../errors';
import { linesText, plural } from '../wording';

/** Issues of one code that are kept as they are. */
export const MAX_KEPT = 200;
/** Lines that a group names. */
const MAX_LINES = 1000;

/** What is wrong with rows of a code, after "1 row" and after "12 rows". */
const SENTENCES: Readonly<Record<string, readonly [one: string, many: string]>> = {
  invalid_json: ['is not valid JSON', 'are not valid JSON'],
  invalid_csv: ['of the table is broken', 'of the table are broken'],
  data_type: ['has something else where an object belongs', 'have something else where an object belongs'],
  missing_messages_list: ['is of no format that is known here', 'are of no format that is known here'],
  message_missing_key: ['has a message without role or content', 'have messages without role or content'],
  unrecognized_role: ['has a role that is none', 'have roles that are none'],
  missing_content: ['has a message without a text', 'have messages without a text'],
  example_missing_assistant_message: ['has no answer to learn', 'have no answer to learn'],
  bad_weight: ['has a weight that does not exist', 'have weights that do not exist'],
  bad_tool_call: ['has a tool call that cannot be read', 'have tool calls that cannot be read'],
  duplicate_row: ['is the same as an earlier one', 'are the same as an earlier one'],
  role_order: ['has its messages in an unusual order', 'have their messages in an unusual order'],
  system_not_first: ['has a system message in the middle', 'have a system message in the middle'],
  last_not_assistant: ['does not end with an answer', 'do not end with an answer'],
  whitespace_edge: [
    'has a text that starts or ends with white space',
    'have texts that start or end with white space',
  ],
  more_issues: ['has more problems than are listed', 'have more problems than are listed'],
  over_length: ['is longer than is learned, and was cut', 'are longer than is learned, and were cut'],
  control_token_text: [
    'has a control token of this model in its text',
    'have control tokens of this model in their texts',
  ],
  message_left_out: [
    'has a message that this model’s chat template leaves out',
    'have messages that this model’s chat template leaves out',
  ],
  reasoning_left_out: [
    'has reasoning that this model’s chat template leaves out',
    'have reasoning that this model’s chat template leaves out',
  ],
  no_trained_tokens: ['has nothing to learn in it', 'have nothing to learn in them'],
  text_too_long: ['is too long to be read', 'are too long to be read'],
  template_refused: ['is refused by this model’s chat template', 'are refused by this model’s chat template'],
  template_endless: [
    'keeps this model’s chat template busy without an end',
    'keep this model’s chat template busy without an end',
  ],
  double_bos: ['would start with the start token twice', 'would start with the start token twice'],
  token_beyond_vocabulary: [
    'needs a token that the model does not have',
    'need tokens that the model does not have',
  ],
  tool_calls_unseen: [
    'has tool calls that this model’s chat template does not write',
    'have tool calls that this model’s chat template does not write',
  ],
};

interface Counted {
  first: Issue;
  count: number;
  rows: number;
  lines: number[];
  /** Of the last issue, to count a row once. */
  line: number;
  /** All say the same. */
  alike: boolean;
}

/** The issue, with sentences of a length that a person still reads, whatever they quote. */
function bounded(issue: Issue): Issue {
  const { message, fix } = issue;
  if (message.length <= LONGEST_SENTENCE && fix.length <= LONGEST_SENTENCE) return issue;
  return { ...issue, message: boundedSentence(message), fix: boundedSentence(fix) };
}

/** Counts per code; issues of one row have to come one after the other. */
export class IssueGroups {
  readonly #groups = new Map<string, Counted>();
  readonly #kept: Issue[] = [];

  add(given: Issue): void {
    const issue = bounded(given);
    const { code, severity, line, lines } = issue;
    const key = `${severity} ${code}`;
    const group = this.#groups.get(key) ?? {
      first: issue,
      count: 0,
      rows: 0,
      lines: [],
      line: -1,
      alike: true,
    };
    this.#groups.set(key, group);
    if (group.count++ < MAX_KEPT) this.#kept.push(issue);
    group.alike &&= issue.message === group.first.message;
    if (lines) {
      group.rows += lines.length;
      for (const each of lines) group.lines.push(each);
    } else if (line > 0 && line !== group.line) {
      group.rows++;
      group.lines.push(line);
    }
    group.line = line;
  }

  addAll(issues: readonly Issue[]): void {
    for (const issue of issues) this.add(issue);
  }

  /** Counts of another reading go on here. The issues that it kept come with it. */
  addGroups(other: IssueGroups): void {
    for (const issue of other.#kept) this.#kept.push(issue);
    for (const [key, theirs] of other.#groups) {
      const ours = this.#groups.get(key);
      if (!ours) {
        this.#groups.set(key, { ...theirs, lines: [...theirs.lines] });
        continue;
      }
      ours.count += theirs.count;
      ours.rows += theirs.rows;
      for (const each of theirs.lines) ours.lines.push(each);
      ours.alike &&= theirs.alike && theirs.first.message === ours.first.message;
    }
  }

  get hasErrors(): boolean {
    return [...this.#groups.values()].some(({ first }) => first.severity === 'error');
  }

  /** Those that are kept, by line and column; those about the whole file (line 0) first. */
  issues(): Issue[] {
    // Sorting is stable: within a line the order of discovery stays.
    return [...this.#kept].sort((a, b) => a.line - b.line || (a.column ?? 0) - (b.column ?? 0));
  }

  /** All lines of each code, not only those that `groups` names. */
  linesByCode(): Map<string, readonly number[]> {
    const all = new Map<string, readonly number[]>();
    for (const { first, lines } of this.#groups.values())
      all.set(first.code, (all.get(first.code) ?? []).concat(lines));
    return all;
  }

  /** One entry a code: errors first, then by the number of rows. */
  groups(): IssueGroup[] {
    const rank = ({ severity }: IssueGroup) => (severity === 'error' ? 0 : 1);
    return [...this.#groups.values()]
      .map((group): IssueGroup => {
        const { first, count, rows } = group;
        const lines = [...group.lines].sort((a, b) => a - b);
        const { code, severity, fix } = first;
        return {
          code,
          severity,
          count,
          rows,
          lines: lines.slice(0, MAX_LINES),
          message: sentence(group, lines),
          fix,
        };
      })
      .sort((a, b) => rank(a) - rank(b) || b.rows - a.rows || b.count - a.count);
  }
}

function sentence({ first, count, rows }: Counted, lines: readonly number[]): string {
  if (count === 1) return first.message;
  const known = SENTENCES[first.code];
  if (rows === 0) return first.message;
  const where = linesText(lines);
  if (!known) return `${plural(rows, 'row')} (${where}): ${first.message}`;
  return `${plural(rows, 'row')} (${where}) ${rows === 1 ? known[0] : known[1]}.`;
}
