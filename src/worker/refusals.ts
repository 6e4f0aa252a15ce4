// What a call of the page is refused for: the engine is at work, or something that it needs is not there yet.
// Not here: what a call does (session.ts).

import { PlaygroundError } from '../errors';

/** What a call needs, and what is said where it is not there. */
const MISSING = {
  device: ['no_device', 'The engine has not been started.', 'Reload the page.'],
  model: ['no_model', 'No model is loaded.', 'Choose a model first.'],
  data: ['no_data', 'There is no training data yet.', 'Choose a file or a sample data set.'],
  run: ['no_tuned_model', 'There is no tuned model yet.', 'Train first.'],
} as const;

/** @throws PlaygroundError `no_device`, `no_model`, `no_data`, `no_tuned_model` */
export function needed<T>(what: keyof typeof MISSING, value: T | null): T {
  if (value !== null) return value;
  const [code, message, fix] = MISSING[what];
  throw new PlaygroundError({ code, message, fix });
}

/** @throws PlaygroundError `measuring`, `run_active` */
export function assertIdle(
  purpose: string,
  { measuring, running }: { measuring: boolean; running: boolean },
): void {
  if (measuring) {
    throw new PlaygroundError({
      code: 'measuring',
      message: `Rows are being measured, so the engine cannot ${purpose}.`,
      fix: 'Wait for its end, or cancel it.',
    });
  }
  if (!running) return;
  throw new PlaygroundError({
    code: 'run_active',
    message: `A run is still going on, so the engine cannot ${purpose}.`,
    fix: 'Stop the run first; what it has learned is kept.',
  });
}
