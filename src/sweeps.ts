// What can be swept: the settings, the number of values, the presets, and reading a list of values as a person writes it.
// Not here: the order of the runs (session/sweep.ts), what they come to (metrics/sweep.ts).

import { checkHyperparameters } from './hyperparameterChecks';
import {
  HYPERPARAMETER_NAMES,
  HYPERPARAMETERS,
  type HyperparameterName,
  type Hyperparameters,
  withChange,
} from './hyperparameters';
import { type SettingValue, settingText } from './settingText';
import { listed } from './wording';

/** Fewer say nothing, more take too long to be watched. */
export const SWEEP_VALUES = { least: 2, most: 5 };

/** Settings whose values can be compared by validation loss. */
export const SWEEP_SETTINGS = HYPERPARAMETER_NAMES.filter((name) => {
  const { kind, comparable } = HYPERPARAMETERS[name];
  return kind !== 'text' && comparable !== false;
});

/** Sweeps that answer a question, for page and command line. */
export const SWEEP_PRESETS: readonly {
  id: string;
  label: string;
  setting: HyperparameterName;
  values: readonly SettingValue[];
}[] = [
  {
    id: 'more_rows',
    label: 'Would more rows help?',
    setting: 'train_fraction',
    values: [0.12, 0.25, 0.5, 1],
  },
];

/** Three values around the one in the form, to begin with; all of a choice. */
export function proposedValues(name: HyperparameterName, h: Hyperparameters): SettingValue[] {
  const preset = SWEEP_PRESETS.find((p) => p.setting === name);
  if (preset) return [...preset.values];
  const entry = HYPERPARAMETERS[name];
  if (entry.kind === 'choice') return entry.options.map((o) => o.value as SettingValue);
  if (entry.kind === 'boolean') return [false, true];
  if (entry.kind === 'text') return [];
  const value = h[name] as number;
  if (name === 'seed') return [value, value + 1, value + 2];
  const inRange = (v: number) => Math.min(entry.max, Math.max(entry.min, v));
  const around =
    entry.step === 'log'
      ? [value / 3, value, value * 3]
      : entry.kind === 'integer'
        ? [Math.round(value / 2), value, Math.max(value + 1, value * 2)]
        : [value - 2 * entry.step, value, value + 2 * entry.step];
  const exactness = entry.step === 'log' ? 2 : 4;
  return [...new Set(around.map((v) => inRange(Number(v.toPrecision(exactness)))))];
}

/** One value as it is written: a number, `true` or `on`, the name or the label of a choice. Null where it is none of them. */
function readValue(name: HyperparameterName, text: string): SettingValue | null {
  const entry = HYPERPARAMETERS[name];
  if (entry.kind === 'boolean') {
    if (/^(true|on|yes|1)$/i.test(text)) return true;
    return /^(false|off|no|0)$/i.test(text) ? false : null;
  }
  if (entry.kind === 'choice') {
    const found = entry.options.find(({ value, label }) =>
      [value, label].some((known) => known.toLowerCase() === text.toLowerCase()),
    );
    return (found?.value as SettingValue | undefined) ?? null;
  }
  const percent = /^(.+?)\s*%$/.exec(text)?.[1];
  const value = Number(percent ?? text);
  return Number.isFinite(value) ? (percent === undefined ? value : value / 100) : null;
}

export type ReadValues = { values: SettingValue[]; problem: null } | { values: null; problem: string };

/** Values separated by commas, semicolons or spaces (choices by commas or semicolons); percents as shares. With a sentence where one is wrong. */
export function readSweepValues(name: HyperparameterName, text: string, h: Hyperparameters): ReadValues {
  const no = (problem: string): ReadValues => ({ values: null, problem });
  const { kind } = HYPERPARAMETERS[name];
  const parts = text
    .replaceAll(/\s+%/g, '%')
    .split(kind === 'choice' ? /[,;]/ : /[,;\s]+/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const values: SettingValue[] = [];
  for (const part of parts) {
    const value = readValue(name, part);
    if (value === null) return no(`“${part.slice(0, 40)}” is no value of ${HYPERPARAMETERS[name].label}.`);
    values.push(value);
  }
  const problem = sweepProblem(name, values, h);
  return problem === null ? { values, problem: null } : no(problem);
}

/** What is wrong with a sweep over these values, as a sentence; null when nothing is. */
export function sweepProblem(
  name: HyperparameterName,
  values: readonly SettingValue[],
  h: Hyperparameters,
): string | null {
  const { label, applies } = HYPERPARAMETERS[name];
  if (!SWEEP_SETTINGS.includes(name))
    return `${label} cannot be swept: its runs could not be compared by validation loss.`;
  if (applies?.(h) === false) return `${label} has no effect with the other settings.`;
  const { least, most } = SWEEP_VALUES;
  if (values.length < least) return `A sweep needs at least ${least} values.`;
  if (values.length > most) return `A sweep takes at most ${most} values; these are ${values.length}.`;
  const double = values.find((value, i) => values.indexOf(value) !== i);
  if (double !== undefined) return `${settingText(name, double)} is given twice.`;
  for (const value of values) {
    const problem = checkHyperparameters(withChange(h, name, value as never)).find(
      (p) => p.severity === 'error',
    );
    if (problem) return `With ${settingText(name, value)}: ${problem.message}`;
  }
  return null;
}

/** "0.12, 0.25, 0.5 and 1". */
export const valuesText = (name: HyperparameterName, values: readonly SettingValue[]) =>
  listed(values.map((value) => settingText(name, value)));
