// Learned weights from a checkpoint, on the device and without a trainer: to answer with and to export.
// Not here: going on with the run (train.ts : Trainer.restore).

import type * as tf from '@tensorflow/tfjs-core';
import { PlaygroundError } from '../../errors';
import type { Hyperparameters } from '../../hyperparameters';
import { createLearner, disposeLearner, type Learner } from '../model/adapters';
import type { Model } from '../model/model';
import { type NamedTensors, otherTensor, replaceTensors, toTensors } from './namedTensors';
import type { TrainerState } from './train';

export interface LearnedTensors {
  last: Learner;
  /** Null where the run was never measured. */
  best: Learner | null;
  dispose(): void;
}

/**
 * @param h the settings of the run: which tensors learn, and how adapters act
 * @param state null for those that a run begins with
 * @throws PlaygroundError `bad_checkpoint` when the tensors are not those that these settings train in this model
 */
export function learnedTensors(
  model: Model,
  h: Hyperparameters,
  state: Pick<TrainerState, 'learner' | 'best'> | null,
): LearnedTensors {
  const last = createLearner(model.architecture, model.weights, h);
  if (state === null) return { last, best: null, dispose: () => disposeLearner(last) };
  const { learner, best } = state;
  const fits = (named: NamedTensors) => {
    const other = otherTensor(last.tensors, named);
    if (other === undefined) return;
    disposeLearner(last);
    throw new PlaygroundError({
      code: 'bad_checkpoint',
      message: `The weights are those of another model or of other settings: ${other} does not fit.`,
      fix: 'Load the model that the run was made with.',
    });
  };
  fits(learner);
  if (best) fits(best.tensors);
  replaceTensors(last.tensors, learner);
  const bestTensors: Map<string, tf.Tensor> | null = best && toTensors(best.tensors);
  return {
    last,
    best: bestTensors && { ...last, tensors: bestTensors },
    dispose: () => {
      disposeLearner(last);
      for (const t of bestTensors?.values() ?? []) t.dispose();
    },
  };
}
