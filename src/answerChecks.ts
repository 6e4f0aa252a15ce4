// ONE table of the checks of an answer and of what each can be told: forms, validation, the command line and the records of evaluations read it.
// Not here: what a check does (metrics/checks.ts), checks of the rows themselves (data/dataChecks.ts).

import type { GenerateResult } from './contract';

/** The parameters of each check, by its id. */
export interface CheckParametersById {
  exact: { ignore_case: boolean; ignore_space: boolean; ignore_punctuation: boolean };
  one_of: { values: string[]; ignore_case: boolean };
  contains: { texts: string[]; of: 'all' | 'any'; ignore_case: boolean };
  starts_with: { texts: string[]; ignore_case: boolean };
  ends_with: { texts: string[]; ignore_case: boolean };
  regex: { pattern: string; whole: boolean; ignore_case: boolean };
  valid_json: { type: 'any' | 'object' | 'array' };
  json_schema: { schema: string };
  json_fields: { fields: string[]; extra: boolean };
  label: { labels: string[]; field: string; ignore_case: boolean };
  number: { tolerance: number; relative_tolerance: number; which: 'first' | 'last' };
  word_limit: { min: number; max: number };
  ends_turn: Record<never, never>;
  chrf: { threshold: number; char_order: number; word_order: number; beta: number };
}

export type CheckId = keyof CheckParametersById;

export type ParameterValue = string | number | boolean | string[];

interface ParameterBase {
  label: string;
  help: string;
}
export interface TextParameter extends ParameterBase {
  kind: 'text' | 'json';
  default: string;
}
/** Several texts, one a line in a form. */
export interface TextsParameter extends ParameterBase {
  kind: 'texts';
  default: string[];
}
export interface NumberParameter extends ParameterBase {
  kind: 'number' | 'integer';
  default: number;
  min: number;
  max: number;
  /** Form step. */
  step: number;
}
export interface BooleanParameter extends ParameterBase {
  kind: 'boolean';
  default: boolean;
}
export interface ChoiceParameter extends ParameterBase {
  kind: 'choice';
  default: string;
  options: { value: string; label: string }[];
}
export type CheckParameter =
  | TextParameter
  | TextsParameter
  | NumberParameter
  | BooleanParameter
  | ChoiceParameter;

type ParameterFor<V> = V extends string[]
  ? TextsParameter
  : V extends number
    ? NumberParameter
    : V extends boolean
      ? BooleanParameter
      : TextParameter | ChoiceParameter;

export interface CheckDescription<K extends CheckId = CheckId> {
  label: string;
  /** What an answer must do to pass, in one sentence. */
  description: string;
  /** It compares with the answer of the row; without one it does not apply. */
  needsExpected: boolean;
  /** Who passes is right in what is said, not in its form or likeness alone. */
  provesRight: boolean;
  parameters: { readonly [P in keyof CheckParametersById[K]]: ParameterFor<CheckParametersById[K][P]> };
}

const ignoreCase: BooleanParameter = {
  kind: 'boolean',
  label: 'Ignore case',
  default: false,
  help: 'Capital and small letters are the same.',
};
const texts = (help: string): TextsParameter => ({ kind: 'texts', label: 'Texts', default: [], help });

export const ANSWER_CHECKS: { readonly [K in CheckId]: CheckDescription<K> } = {
  exact: {
    label: 'Exact',
    description: 'The answer is the expected answer.',
    needsExpected: true,
    provesRight: true,
    parameters: {
      ignore_case: ignoreCase,
      ignore_space: {
        kind: 'boolean',
        label: 'Ignore spacing',
        default: true,
        help: 'Space at the ends does not count, and any run of space is one.',
      },
      ignore_punctuation: {
        kind: 'boolean',
        label: 'Ignore punctuation',
        default: false,
        help: 'The ASCII punctuation marks do not count.',
      },
    },
  },
  one_of: {
    label: 'One of',
    description: 'The answer is one of the values.',
    needsExpected: false,
    provesRight: false,
    parameters: {
      values: { kind: 'texts', label: 'Values', default: [], help: 'The answers that are allowed.' },
      ignore_case: ignoreCase,
    },
  },
  contains: {
    label: 'Contains',
    description: 'The answer contains the texts, or the expected answer where no text is given.',
    needsExpected: false,
    provesRight: true,
    parameters: {
      texts: texts('What the answer must contain. None: the expected answer.'),
      of: {
        kind: 'choice',
        label: 'Of them',
        default: 'all',
        options: [
          { value: 'all', label: 'all' },
          { value: 'any', label: 'any' },
        ],
        help: 'Whether all of the texts must occur, or one is enough.',
      },
      ignore_case: ignoreCase,
    },
  },
  starts_with: {
    label: 'Starts with',
    description: 'The answer starts with one of the texts.',
    needsExpected: false,
    provesRight: false,
    parameters: { texts: texts('One of these must stand at the start.'), ignore_case: ignoreCase },
  },
  ends_with: {
    label: 'Ends with',
    description: 'The answer ends with one of the texts.',
    needsExpected: false,
    provesRight: false,
    parameters: { texts: texts('One of these must stand at the end.'), ignore_case: ignoreCase },
  },
  regex: {
    label: 'Regular expression',
    description: 'A regular expression (RE2 syntax) matches the answer.',
    needsExpected: false,
    provesRight: false,
    parameters: {
      pattern: {
        kind: 'text',
        label: 'Pattern',
        default: '',
        help: 'In RE2 syntax: no look-ahead, look-behind or back-reference, and time linear in the length of the answer.',
      },
      whole: {
        kind: 'boolean',
        label: 'Whole answer',
        default: false,
        help: 'The pattern must match from the first letter to the last, not only somewhere.',
      },
      ignore_case: ignoreCase,
    },
  },
  valid_json: {
    label: 'Valid JSON',
    description: 'The answer is JSON and nothing else.',
    needsExpected: false,
    provesRight: false,
    parameters: {
      type: {
        kind: 'choice',
        label: 'Type',
        default: 'any',
        options: [
          { value: 'any', label: 'any' },
          { value: 'object', label: 'object' },
          { value: 'array', label: 'array' },
        ],
        help: 'What the JSON must be.',
      },
    },
  },
  json_schema: {
    label: 'JSON schema',
    description: 'The answer is JSON that a JSON Schema (2020-12) allows.',
    needsExpected: false,
    provesRight: false,
    parameters: {
      schema: {
        kind: 'json',
        label: 'Schema',
        default: '',
        help: 'A JSON Schema. Not supported: pattern, patternProperties, and references outside the schema.',
      },
    },
  },
  json_fields: {
    label: 'JSON fields',
    description: 'The answer is a JSON object whose fields have the values of the expected answer.',
    needsExpected: true,
    provesRight: true,
    parameters: {
      fields: {
        kind: 'texts',
        label: 'Fields',
        default: [],
        help: 'Fields that are compared, such as intent or user.name. None: all fields of the expected answer.',
      },
      extra: {
        kind: 'boolean',
        label: 'Other fields allowed',
        default: false,
        help: 'Fields that the expected answer does not have are allowed.',
      },
    },
  },
  label: {
    label: 'Label',
    description: 'The answer is the label of the expected answer.',
    needsExpected: true,
    provesRight: true,
    parameters: {
      labels: { kind: 'texts', label: 'Labels', default: [], help: 'All labels that there are.' },
      field: {
        kind: 'text',
        label: 'Field',
        default: '',
        help: 'The JSON field that holds the label; empty where the answer is the label.',
      },
      ignore_case: ignoreCase,
    },
  },
  number: {
    label: 'Number',
    description: 'A number of the answer is the number of the expected answer, within a tolerance.',
    needsExpected: true,
    provesRight: true,
    parameters: {
      tolerance: {
        kind: 'number',
        label: 'Tolerance',
        default: 0,
        min: 0,
        max: 1e15,
        step: 0.01,
        help: 'The largest difference that is allowed.',
      },
      relative_tolerance: {
        kind: 'number',
        label: 'Relative tolerance',
        default: 0,
        min: 0,
        max: 1,
        step: 0.01,
        help: 'Or the largest share of the expected number: 0.05 allows 5 % more or less.',
      },
      which: {
        kind: 'choice',
        label: 'Which number',
        default: 'last',
        options: [
          { value: 'first', label: 'first' },
          { value: 'last', label: 'last' },
        ],
        help: 'Where a text has several numbers.',
      },
    },
  },
  word_limit: {
    label: 'Word limit',
    description: 'The answer has as many words as allowed.',
    needsExpected: false,
    provesRight: false,
    parameters: {
      min: { kind: 'integer', label: 'Fewest', default: 1, min: 0, max: 1_000_000, step: 1, help: 'Words.' },
      max: { kind: 'integer', label: 'Most', default: 100, min: 0, max: 1_000_000, step: 1, help: 'Words.' },
    },
  },
  ends_turn: {
    label: 'Ends its turn',
    description: 'The model ended the answer by itself, before the limit of tokens.',
    needsExpected: false,
    provesRight: false,
    parameters: {},
  },
  chrf: {
    label: 'Similar (chrF)',
    description: 'The answer shares enough character n-grams with the expected answer (chrF).',
    needsExpected: true,
    provesRight: false,
    parameters: {
      threshold: {
        kind: 'number',
        label: 'Least',
        default: 50,
        min: 0,
        max: 100,
        step: 1,
        help: 'chrF from 0, nothing shared, to 100, the same.',
      },
      char_order: {
        kind: 'integer',
        label: 'Letters',
        default: 6,
        min: 1,
        max: 12,
        step: 1,
        help: 'The longest character n-gram.',
      },
      word_order: {
        kind: 'integer',
        label: 'Words',
        default: 0,
        min: 0,
        max: 4,
        step: 1,
        help: 'The longest word n-gram: 0 for chrF, 2 for chrF++.',
      },
      beta: {
        kind: 'number',
        label: 'Beta',
        default: 2,
        min: 0.1,
        max: 10,
        step: 0.1,
        help: 'How many times as much recall counts as precision.',
      },
    },
  },
};

export const CHECK_IDS = Object.keys(ANSWER_CHECKS) as CheckId[];

/** One check with all of its parameters. */
export type ChosenCheck = {
  [K in CheckId]: { check: K; parameters: CheckParametersById[K] };
}[CheckId];

/** Checks and what combines them. */
export type CheckRule = ChosenCheck | { all: CheckRule[] } | { any: CheckRule[] } | { not: CheckRule };

/** An answer as checks see it. */
export interface CheckedAnswer {
  text: string;
  stoppedBy: GenerateResult['stoppedBy'];
}

/** What a check says of an answer. `detail`: what was found, in a few words. */
export interface CheckOutcome {
  passed: boolean;
  detail: string;
}
