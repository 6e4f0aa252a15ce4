// What is wrong or unusual with the values of settings.
// Not here: the settings and their bounds (hyperparameters.ts).

import { PlaygroundError } from './errors';
import {
  HYPERPARAMETER_NAMES,
  HYPERPARAMETERS,
  type HyperparameterName,
  type Hyperparameters,
} from './hyperparameters';

export interface HyperparameterProblem {
  name: HyperparameterName;
  severity: 'error' | 'warning';
  message: string;
}

/** What is wrong (errors) or unusual (warnings) with these values. */
export function checkHyperparameters(h: Hyperparameters): HyperparameterProblem[] {
  const problems: HyperparameterProblem[] = [];
  for (const name of HYPERPARAMETER_NAMES) {
    const entry = HYPERPARAMETERS[name];
    const value: unknown = h[name];
    const say = (severity: 'error' | 'warning', message: string) =>
      problems.push({ name, severity, message });
    if (entry.kind === 'text') {
      const problem = typeof value === 'string' ? entry.check(value) : `${entry.label} must be text.`;
      if (problem) say('error', `${entry.label}: ${problem}`);
    } else if (entry.kind === 'boolean') {
      if (typeof value !== 'boolean') say('error', `${entry.label} must be true or false.`);
    } else if (entry.kind === 'choice') {
      if (!entry.options.some((o) => o.value === value)) {
        say('error', `${entry.label} must be one of ${entry.options.map((o) => o.value).join(', ')}.`);
      }
    } else if (typeof value !== 'number' || !Number.isFinite(value)) {
      say('error', `${entry.label} must be a number.`);
    } else if (entry.kind === 'integer' && !Number.isInteger(value)) {
      say('error', `${entry.label} must be a whole number.`);
    } else if (value < entry.min || value > entry.max) {
      say('error', `${entry.label} must lie between ${entry.min} and ${entry.max}.`);
    } else if (entry.sensible && (entry.applies?.(h) ?? true)) {
      const [low, high] = entry.sensible(h);
      if (value < low || value > high) {
        say(
          'warning',
          `${entry.label} is usually between ${Number(low.toPrecision(2))} and ${Number(high.toPrecision(2))}.`,
        );
      }
    }
  }
  return problems;
}

/** Throws the first error of `checkHyperparameters`, if any. */
export function assertHyperparameters(h: Hyperparameters): void {
  const problem = checkHyperparameters(h).find((p) => p.severity === 'error');
  if (!problem) return;
  throw new PlaygroundError({
    code: 'bad_hyperparameter',
    message: problem.message,
    fix: `Change ${problem.name} and start again.`,
    where: problem.name,
  });
}
