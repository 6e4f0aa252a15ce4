// Changes of the learning rate inside a run: added while it goes on, or planned before it as STEP=RATE.
// Not here: the schedule that reads them (engine/training/train.ts), asking for one (run.ts, the platforms).

import { rateAt, type Schedule, scheduleOf } from '../engine/training/train';
import { PlaygroundError } from '../errors';
import { assertHyperparameters, checkHyperparameters } from '../hyperparameterChecks';
import type { Hyperparameters } from '../hyperparameters';
import type { RateChange } from '../stepContract';

/** Adds a change behind those of earlier steps; it takes the place of one at the same step. */
export function addRateChange(
  changes: RateChange[],
  h: Hyperparameters,
  { step, to }: Pick<RateChange, 'step' | 'to'>,
): RateChange {
  while (changes.length > 0 && (changes.at(-1) as RateChange).step >= step) changes.pop();
  const change = { step, from: rateAt(h, changes, step), to };
  changes.push(change);
  return change;
}

/** The learning rate of one run: its schedule, and the changes that this reads at each update. */
export class LearningRate {
  readonly #h: Hyperparameters;
  readonly #changes: RateChange[];
  readonly schedule: Schedule;

  /** @param changes that are planned or were made */
  constructor(h: Hyperparameters, changes: readonly RateChange[] = []) {
    this.#h = h;
    this.#changes = [...changes];
    this.schedule = scheduleOf(h, this.#changes);
  }

  /** For the record of the run; empty where nothing was changed. */
  get record(): { rateChanges?: RateChange[] } {
    return this.#changes.length > 0 ? { rateChanges: [...this.#changes] } : {};
  }

  /** @param step updates made; null where none is left. @throws PlaygroundError `run_ended`, `bad_hyperparameter` */
  change(step: number | null, to: number): RateChange {
    if (step === null) {
      throw new PlaygroundError({
        code: 'run_ended',
        message: 'The learning rate cannot be changed: no update is left in this run.',
        fix: 'Start another run with that learning rate.',
      });
    }
    assertHyperparameters({ ...this.#h, learning_rate: to });
    return addRateChange(this.#changes, this.#h, { step, to });
  }
}

/**
 * Changes as they are written on a command line: `20=1e-3,40=2e-4` changes the rate after 20 updates, and again after 40.
 * @throws PlaygroundError `bad_usage`
 */
export function readRateChanges(text: string, h: Hyperparameters): RateChange[] {
  const changes: RateChange[] = [];
  for (const part of text.split(',')) {
    const match = /^\s*(\d+)\s*=\s*(\S+)\s*$/.exec(part);
    const [step, to] = [Number(match?.[1]), Number(match?.[2])];
    const problem =
      !match || !Number.isFinite(to)
        ? `“${part.trim().slice(0, 40)}” is not a number of updates, an equals sign and a learning rate.`
        : (checkHyperparameters({ ...h, learning_rate: to }).find(
            (p) => p.severity === 'error' && p.name === 'learning_rate',
          )?.message ?? null);
    if (problem !== null) throw badChange(problem);
    const last = changes.at(-1);
    if (last && last.step >= step) throw badChange(`Step ${step} does not come after step ${last.step}.`);
    addRateChange(changes, h, { step, to });
  }
  return changes;
}

/** @throws PlaygroundError `bad_usage` where a change would never take effect */
export function assertRateChanges(changes: readonly RateChange[], totalSteps: number): void {
  const late = changes.find(({ step }) => step >= totalSteps);
  if (late)
    throw badChange(`The run makes ${totalSteps} updates, so no update comes after step ${late.step}.`);
}

const badChange = (message: string) =>
  new PlaygroundError({
    code: 'bad_usage',
    message: `--lr_at: ${message}`,
    fix: 'Write for example --lr_at 20=1e-3,40=2e-4, with rising steps.',
    where: 'lr_at',
  });
