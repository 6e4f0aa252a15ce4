// The configuration of a run as it is frozen before it begins: settings, model, rows, plan, device and version.
// Not here: what is changed or added while it goes on (run.ts), the record that holds it (results.ts).

import type { DeviceReport, RunConfig, TileReport } from '../contract';
import { trainableParameters } from '../engine/model/adapters';
import type { FittedTrainer } from '../engine/training/fit';
import type { TrainingData } from '../engine/training/plan';
import type { Hyperparameters } from '../hyperparameters';
import type { Dataset } from './dataset';
import { evaluationConfig } from './evaluationConfig';
import type { BaseModel } from './model';

/** @param about the data set must have been encoded for these settings */
export function frozenConfig(
  h: Hyperparameters,
  data: TrainingData,
  about: {
    base: BaseModel;
    dataset: Dataset;
    fitted: FittedTrainer;
    device: DeviceReport;
    tiles: TileReport | null;
    appVersion: string;
  },
): RunConfig {
  const { base, dataset, fitted, device, tiles, appVersion } = about;
  const { report } = dataset;
  const { stepsPerEpoch, totalSteps } = fitted.trainer.plan;
  return {
    runId: crypto.randomUUID(),
    hyperparameters: { ...h },
    checkpointing: fitted.checkpointing,
    modelId: base.id,
    ...(base.commit !== undefined && { modelCommit: base.commit }),
    datasetName: report.name,
    datasetHash: report.hash,
    ...(report.beside.length > 0 && {
      beside: report.beside.map(({ use, name, hash }) => ({ use, name, hash })),
    }),
    trainRows: data.train.length,
    validationRows: data.validation.length,
    heldOut: report.heldOut,
    ...(report.test && { test: report.test }),
    ...(report.replay && { replay: report.replay }),
    ...(dataset.fold && { fold: dataset.fold }),
    evaluation: evaluationConfig(fitted.trainer.plan, base.chat.tokenizer),
    ...dataset.generalConfig(fitted.trainer.plan),
    stepsPerEpoch,
    totalSteps,
    trainableParameters: trainableParameters(fitted.trainer.learner),
    backend: device.backend,
    ...(tiles && { tiles: tiles.id }),
    appVersion: appVersion,
    startedAt: new Date().toISOString(),
  };
}
