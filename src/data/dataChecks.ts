// ONE list of what is looked for in the rows of a data set: page and command line print what it says. Nothing here keeps a row out.
// Not here: problems of single rows that do (reading/, tokens/encodeRows.ts), the counts themselves (rowStatistics.ts).

import type { CheckResult, DatasetStatistics, Occurrence } from '../dataContract';
import { plural, quoted } from '../wording';
import { type DuplicateGroups, placeOf, type SidedExample } from './duplicates';
import { PERSONAL_KINDS, type PersonalKind } from './personalData';

/** Of encoded rows; as of `DatasetStatistics`. */
export interface TokenCounts {
  rows: number;
  tokens: number;
  learnedTokens: number;
  cutTokens: number;
  beyondCut: number;
}

export interface Labels {
  labels: NonNullable<DatasetStatistics['labels']>;
  /** Of the most frequent one, among all rows. */
  share: number;
}

/** Rows that hold what looks like personal data of a kind. */
export interface PersonalFind {
  kind: PersonalKind;
  rows: SidedExample[];
}

/** What the checks are made from. */
export interface Facts {
  /** Rows of the files. */
  examples: readonly SidedExample[];
  tokens: TokenCounts;
  labels: Labels | null;
  duplicates: DuplicateGroups;
  systemPrompts: readonly Occurrence[];
  rowsWithSystemPrompt: number;
  personal: readonly PersonalFind[];
  openings: readonly Occurrence[];
  /** Rows that were cut. */
  overLength: readonly SidedExample[];
}

/** What a check has found; null where there is nothing to report. */
interface Finding {
  severity: 'warning' | 'note';
  count: number;
  rows?: readonly SidedExample[];
  message: string;
}

interface DataCheck {
  id: string;
  label: string;
  /** What is said where nothing was found. */
  fine: string;
  find(facts: Facts): Finding | null;
}

/** Places that are listed. */
const MAX_PLACES = 100;
/** A label, or an opening, that is this share of all rows is said. */
const MUCH = 0.7;
const HALF = 0.5;
/** Less than this share of the tokens learned is said. */
const LITTLE_LEARNED = 0.05;

const percent = (part: number, whole: number) => `${Math.round((100 * part) / Math.max(1, whole))} %`;

const CHECKS: readonly DataCheck[] = [
  {
    id: 'leakage',
    label: 'Rows on both sides of the split',
    fine: 'No validation or test row is equal or nearly equal to a training row.',
    find: ({ duplicates: { across } }) =>
      across.length === 0
        ? null
        : {
            severity: 'warning',
            count: across.length,
            rows: across,
            message: `${plural(across.length, 'held-out row')} ${across.length === 1 ? 'has its' : 'have their'} like on another side of the split, so their loss looks better than it would on new rows.`,
          },
  },
  {
    id: 'equal_rows',
    label: 'Equal rows',
    fine: 'No row is there twice.',
    find: ({ duplicates: { rows, examples } }) =>
      rows.row === 0
        ? null
        : {
            severity: 'warning',
            count: rows.row,
            rows: examples.row,
            message: `${plural(rows.row, 'row')} ${rows.row === 1 ? 'is' : 'are'} there more than once. A model learns them by heart sooner than the others.`,
          },
  },
  {
    id: 'near_duplicates',
    label: 'Nearly equal prompts',
    fine: 'No two prompts are nearly the same.',
    find: ({ duplicates: { rows, examples } }) => {
      const count = rows.prompt + rows.near;
      if (count === 0) return null;
      return {
        severity: 'note',
        count,
        rows: [...examples.prompt, ...examples.near],
        message: `${plural(count, 'row')} ask nearly the same as another row. They teach less than as many different ones.`,
      };
    },
  },
  {
    id: 'over_length',
    label: 'Rows that are cut',
    fine: 'Every row is read whole.',
    find: ({ overLength, tokens }) =>
      overLength.length === 0
        ? null
        : {
            severity: 'warning',
            count: overLength.length,
            rows: overLength,
            message: `${plural(overLength.length, 'row')} ${overLength.length === 1 ? 'is' : 'are'} longer than the longest row of the settings: ${percent(tokens.cutTokens, tokens.tokens + tokens.cutTokens)} of all tokens are not read. Raise max_length where the model allows it.`,
          },
  },
  {
    id: 'learned_share',
    label: 'Tokens learned',
    fine: 'A fair share of the tokens is learned.',
    find: ({ tokens: { learnedTokens, tokens } }) =>
      tokens === 0 || learnedTokens >= LITTLE_LEARNED * tokens
        ? null
        : {
            severity: 'note',
            count: 0,
            message: `Only ${((100 * learnedTokens) / tokens).toFixed(1)} % of the tokens are learned; the others are read as prompts. Shorter prompts make a run quicker.`,
          },
  },
  {
    id: 'label_balance',
    label: 'Balance of labels',
    fine: 'No answer is much more frequent than the others.',
    find: ({ labels, examples }) => {
      const [first] = labels?.labels ?? [];
      if (!labels || !first || labels.share <= MUCH) return null;
      const count = first.train + first.validation + first.test;
      return {
        severity: 'warning',
        count,
        message:
          labels.labels.length === 1
            ? `Every answer is ${quoted(first.text)}, so the model only has to learn to say that.`
            : `${percent(count, examples.length)} of the answers are ${quoted(first.text)}. A model that always says so is right that often.`,
      };
    },
  },
  {
    id: 'system_prompts',
    label: 'System prompts',
    fine: 'All rows are alike in having a system prompt or none.',
    find: ({ rowsWithSystemPrompt: some, examples }) => {
      const chats = examples.filter(({ example }) => example.text === undefined);
      if (some === 0 || some === chats.length) return null;
      const without = chats.filter(({ example }) => !example.messages.some((m) => m.role === 'system'));
      return {
        severity: 'note',
        count: chats.length - some,
        rows: without,
        message: `${plural(some, 'row')} ${some === 1 ? 'has' : 'have'} a system prompt and ${chats.length - some} ${chats.length - some === 1 ? 'has' : 'have'} none. The model learns both ways; ask it with the prompt that it learned.`,
      };
    },
  },
  {
    id: 'openings',
    label: 'Answers that open the same way',
    fine: 'No opening is shared by half of the answers.',
    find: ({ openings, examples }) => {
      const [first] = openings;
      if (!first || first.rows < HALF * examples.length) return null;
      return {
        severity: 'note',
        count: first.rows,
        message: `${percent(first.rows, examples.length)} of the answers begin ${quoted(first.text, 80)}. The model will begin so too.`,
      };
    },
  },
  ...PERSONAL_KINDS.map(
    (kind): DataCheck => ({
      id: kind.id,
      label: kind.label,
      fine: `No row holds what looks like ${kind.what}.`,
      find: ({ personal }) => {
        const rows = personal.find((found) => found.kind === kind)?.rows ?? [];
        if (rows.length === 0) return null;
        return {
          severity: 'warning',
          count: rows.length,
          rows,
          message: `${plural(rows.length, 'row')} ${rows.length === 1 ? 'holds' : 'hold'} what looks like ${kind.what}. A model can say again what it was taught: take out what is not meant for others.`,
        };
      },
    }),
  ),
];

/** Every check, in the order of the list; `ok` where there is nothing to report. */
export function runChecks(facts: Facts): CheckResult[] {
  return CHECKS.map(({ id, label, fine, find }) => {
    const found = find(facts);
    if (!found) return { id, label, severity: 'ok', count: 0, places: [], message: fine };
    const { severity, count, rows = [], message } = found;
    return { id, label, severity, count, places: rows.slice(0, MAX_PLACES).map(placeOf), message };
  });
}
