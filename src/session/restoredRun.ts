// A run that was kept, with its weights on the device once more: they answer and are exported as those of a run that has just ended.
// Not here: where it was kept (the platforms), going on with it (run.ts : Run.resume).

import type { MetricPoint, RunConfig, RunSummary, TunedWeights } from '../contract';
import type { Learner } from '../engine/model/adapters';
import type { Checkpoint } from '../engine/training/checkpoint';
import { type LearnedTensors, learnedTensors } from '../engine/training/learned';
import { type NamedTensors, readAll } from '../engine/training/namedTensors';
import { PlaygroundError } from '../errors';
import type { PinnedColumn } from '../stepsContract';
import type { WeightChanges } from '../weightContract';
import type { BaseModel } from './model';

export class RestoredRun {
  /** It does not go on: as of a run that has ended. */
  readonly active = false;
  readonly config: RunConfig;
  #summary: RunSummary;
  readonly points: readonly MetricPoint[];
  readonly weights: readonly WeightChanges[];
  readonly #tensors: LearnedTensors;

  /**
   * @param summary null where the run was cut off: it then counts as stopped after the step of the checkpoint
   * @throws PlaygroundError `other_model` when the weights belong to another base model, `bad_checkpoint` when they do not fit it
   */
  constructor(
    base: BaseModel,
    { config, points, weights, pinned, trainer }: Checkpoint,
    summary: RunSummary | null,
  ) {
    assertModel(config, base);
    this.config = config;
    this.points = points;
    this.weights = weights;
    this.#summary = summary ?? stoppedAt(config, trainer, pinned);
    this.#tensors = learnedTensors(base.model, config.hyperparameters, trainer);
  }

  get summary(): RunSummary {
    return this.#summary;
  }

  /** As `Run.note`. */
  note(later: Pick<RunSummary, 'testUses' | 'generalAnswers'>): void {
    this.#summary = { ...this.#summary, ...later };
  }

  get step(): number {
    return this.#summary.step;
  }

  get best(): RunSummary['best'] {
    return this.#summary.best;
  }

  /** As `Run.tensorsOf`. */
  async tensorsOf(which: TunedWeights): Promise<NamedTensors> {
    return readAll(this.learned(which).learner.tensors);
  }

  /** As `Run.learned`. */
  learned(which: TunedWeights): { learner: Learner; which: TunedWeights } {
    const { last, best } = this.#tensors;
    return which === 'best' && best ? { learner: best, which } : { learner: last, which: 'last' };
  }

  dispose(): void {
    this.#tensors.dispose();
  }
}

/** What is reported of a run that was cut off: it ended with the step that was saved. */
export function stoppedAt(
  config: RunConfig,
  { step, best }: Checkpoint['trainer'],
  pinned: PinnedColumn[],
): RunSummary {
  const { loss, rows } = best?.validation ?? { loss: 0, rows: [] };
  return {
    config,
    state: 'stopped',
    step,
    best: best && { step: best.step, loss, rows: rows.length },
    ...(config.pinned && { pinned }),
  };
}

function assertModel(config: RunConfig, base: BaseModel): void {
  if (config.modelId === base.id && config.modelCommit === base.commit) return;
  const version = (commit?: string) => (commit === undefined ? '' : `, version ${commit.slice(0, 7)}`);
  throw new PlaygroundError({
    code: 'other_model',
    message: `The weights belong to ${config.modelId}${version(config.modelCommit)}; loaded is ${base.id}${version(base.commit)}.`,
    fix: 'Load that model first.',
  });
}
