// What to try after a verdict: one list of steps for each state, with the settings that carry them out.
// Not here: the verdict (diagnosis.ts), carrying a step out (ui/state/workspace.svelte.ts), or its options on the command line (cli/train.ts).

import type { RunConfig } from '../contract';
import type { Hyperparameters } from '../hyperparameters';
import { plural } from '../wording';
import type { Verdict, VerdictState } from './diagnosis';

export type NextStep =
  /** Another run with these settings changed. */
  | { kind: 'train'; label: string; changes: Partial<Hyperparameters> }
  /** Nothing to train: the weights with the lowest validation loss are there. */
  | { kind: 'best_weights'; label: string }
  /** The rows are what is to be changed. */
  | { kind: 'rows'; label: string };

/** What the list needs of a run that has ended. */
export interface EndedRun {
  config: RunConfig;
  verdict: Verdict;
  /** Steps made. */
  step: number;
}

/** Two digits are as exact as a learning rate is ever chosen. */
const rate = (value: number) => Number(value.toPrecision(2));
const shown = (value: number) => value.toExponential().replace('e+', 'e');

function withRate(label: string, { config }: EndedRun, factor: number): NextStep {
  const learning_rate = rate(config.hyperparameters.learning_rate * factor);
  return {
    kind: 'train',
    label: `${label} learning rate ${shown(learning_rate)}`,
    changes: { learning_rate },
  };
}

function withEpochs({ config }: EndedRun, epochs: number): NextStep[] {
  if (epochs < 1 || epochs === config.hyperparameters.num_train_epochs) return [];
  return [
    { kind: 'train', label: `Train for ${plural(epochs, 'epoch')}`, changes: { num_train_epochs: epochs } },
  ];
}

/** Epochs, rounded up, until the step with the lowest validation loss. */
const epochsToBest = ({ config, verdict }: EndedRun) =>
  Math.ceil((verdict.best?.step ?? 0) / Math.max(1, config.stepsPerEpoch));

const bestWeights = ({ verdict, step }: EndedRun): NextStep[] =>
  verdict.best !== null && verdict.best.step > 0 && verdict.best.step < step
    ? [{ kind: 'best_weights', label: `Use the weights of step ${verdict.best.step.toLocaleString('en')}` }]
    : [];

/** A larger share of held-out rows, where that is less than half of them. */
function holdOutMore({ config }: EndedRun): NextStep[] {
  const now = config.hyperparameters.validation_fraction;
  const wanted = now < 0.3 ? 0.3 : now < 0.5 ? 0.5 : null;
  if (wanted === null) return [];
  return [
    {
      kind: 'train',
      label: `Hold out ${100 * wanted} % of the rows`,
      changes: { validation_fraction: wanted },
    },
  ];
}

/** Shares of general rows to try: a quarter kept forgetting below what counts in every run that was measured (models/eval/forgetting.mjs). */
const REPLAY_SHARES = [0.25, 0.5];

/** The same run with more general rows mixed in, where it forgot. */
function replayMore({ config, verdict }: EndedRun): NextStep[] {
  // In the record of a run of an earlier version the setting is absent.
  const now = config.hyperparameters.replay_fraction ?? 0;
  const share = REPLAY_SHARES.find((more) => more > now);
  if (verdict.forgetting === null || share === undefined) return [];
  return [
    { kind: 'train', label: `Mix in ${100 * share} % general rows`, changes: { replay_fraction: share } },
  ];
}

/** The first step of a list is the one to try first. */
const NEXT: Record<VerdictState, (run: EndedRun) => NextStep[]> = {
  waiting: () => [],
  learning: (run) => withEpochs(run, 2 * run.config.hyperparameters.num_train_epochs),
  plateau: (run) => [...bestWeights(run), withRate('Try', run, 1 / 3)],
  underfitting: (run) => [
    withRate('Try', run, 3),
    ...withEpochs(run, 2 * run.config.hyperparameters.num_train_epochs),
  ],
  overfitting: (run) => [
    ...bestWeights(run),
    ...withEpochs(run, epochsToBest(run)),
    { kind: 'rows', label: 'Add more, and more varied, rows' },
  ],
  diverged: (run) => [withRate('Try', run, 1 / 10)],
  too_few: (run) => [...holdOutMore(run), { kind: 'rows', label: 'Add rows' }],
  copies: () => [{ kind: 'rows', label: 'Remove the copies' }],
};

/** What to try next, the most useful first; empty during a run, or where nothing follows. */
export function nextSteps(run: EndedRun): NextStep[] {
  return [...replayMore(run), ...NEXT[run.verdict.state](run)];
}
