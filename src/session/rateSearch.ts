// A learning-rate range test on a data set, from its settings to the proposed rate.
// Not here: the test itself (engine/training/learningRateRange.ts).

import type { RatePoint } from '../contract';
import { takeDeviceError } from '../engine/device/device';
import { learningRateRange } from '../engine/training/learningRateRange';
import type { Hyperparameters } from '../hyperparameters';
import type { Dataset } from './dataset';
import type { BaseModel } from './model';
import { createPace, type Platform } from './platform';
import { fitToDevice } from './runExtras';

export interface RateSearchHooks {
  onPoint: (p: RatePoint) => void;
  /** Looked at between pieces of a step. */
  stopped: () => boolean;
}

/** @returns the proposed rate; null when the loss never fell, or when it was stopped. Nothing of the short run is kept. */
export async function searchRate(
  base: BaseModel,
  dataset: Dataset,
  h: Hyperparameters,
  device: Parameters<typeof fitToDevice>[3],
  platform: Platform,
  { onPoint, stopped }: RateSearchHooks,
): Promise<number | null> {
  dataset.encode(base.chat, base.model.architecture, h);
  const fitted = fitToDevice(base.model, dataset, h, device);
  const events = learningRateRange(base.model, dataset.trainingData(), fitted);
  const pace = createPace(platform);
  try {
    while (!stopped()) {
      const next = await events.next();
      const gpuError = takeDeviceError();
      if (gpuError) throw gpuError;
      if (next.done) return next.value.proposed;
      if (next.value.kind === 'point')
        onPoint({ learningRate: next.value.learningRate, loss: next.value.loss });
      await (next.value.kind === 'point' ? platform.yieldToEvents() : pace());
    }
    return null;
  } finally {
    await events.return({ points: [], proposed: null });
  }
}
