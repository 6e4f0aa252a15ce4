// A run as a project for TRL, PEFT and accelerate: its rows as split, its tokens, the order of its updates, its first weights.
// Not here: the files that say how to train (formats/trainingProject/), checking and writing (exports.ts, the platforms).

import type { EncodedExample, Example, RunConfig } from '../contract';
import type { Row } from '../data/prepareRows';
import type { SplitSide } from '../dataContract';
import { createLearner, disposeLearner } from '../engine/model/adapters';
import { baseFiles, type LoadedModel, placeOf, stepFiles, tokenizerFiles } from '../engine/model/artifacts';
import type { OutFile } from '../engine/model/weightFiles';
import { EpochRows } from '../engine/training/epochRows';
import { planTraining } from '../engine/training/plan';
import { PlaygroundError } from '../errors';
import { BASE_FOLDER } from '../formats/modelCard';
import { openAiRow, type ProjectFacts, projectFiles } from '../formats/trainingProject/project';
import { plural } from '../wording';
import type { Dataset } from './dataset';
import type { Measures } from './results';

export interface ProjectSource extends Pick<Measures, 'points'> {
  base: LoadedModel;
  config: RunConfig;
  /** With the rows of the run. It is encoded for its settings in a copy. */
  dataset: Dataset;
}

/** A row as train.py reads it. The first token has no token before it that could foretell it. */
function tokenLine({ ids, mask }: EncodedExample): string {
  const labels = [...ids].map((id, t) => (t > 0 && mask[t] === 1 ? id : -100));
  return `${JSON.stringify({ input_ids: [...ids], labels })}\n`;
}

/** @throws PlaygroundError `export_other_data` where these rows or this model are not those of the run */
function assertRowsOfRun(config: RunConfig, dataset: Dataset, base: LoadedModel): void {
  const { report } = dataset;
  const hashOf = (files: readonly { use: string; hash: string }[] | undefined, use: string) =>
    files?.find((file) => file.use === use)?.hash;
  const parts: [string, unknown, unknown][] = [
    ['the model', config.modelId, base.id],
    ['the version of the model', config.modelCommit, base.commit],
    ['the text of the data', config.datasetHash, report.hash],
    [
      'the text of the validation file',
      hashOf(config.beside, 'validation'),
      hashOf(report.beside, 'validation'),
    ],
    ['the set of test rows', config.test?.hash, report.test?.hash],
    ['the set of general rows', config.replay?.hash, report.replay?.hash],
    ['the number of training rows', config.trainRows, report.trainRows],
    ['the number of validation rows', config.validationRows, report.validationRows],
  ];
  const other = parts.find(([, then, now]) => then !== now);
  if (!other) return;
  const [what, then, now] = other;
  throw new PlaygroundError({
    code: 'export_other_data',
    message: `These are not the model and the rows of the run: ${what} is ${String(now ?? 'absent')} now and was ${String(then ?? 'absent')}.`,
    fix: 'Give the model and the data that the run began with, read in the same way.',
  });
}

/** A line for each update: numbers of its rows, general rows counted after the training rows. A piece for each epoch. */
function orderFile(rows: EpochRows, stepsPerEpoch: number, epochs: number): Blob {
  const numbers = new Map(rows.all.map((row, i) => [row, i]));
  const pieces = Array.from({ length: epochs }, (_, epoch) =>
    Array.from({ length: stepsPerEpoch }, (__, step) => {
      const its = rows.ofStep(epoch, step).flat();
      return `${JSON.stringify(its.map((row) => numbers.get(row)))}\n`;
    }).join(''),
  );
  return new Blob(pieces);
}

const formOf = (examples: readonly Example[]): ProjectFacts['form'] => {
  const texts = examples.filter(({ text }) => text !== undefined).length;
  return texts === 0 ? 'chat' : texts === examples.length ? 'text' : 'both';
};

/** The weights and the tokenizer that train.py starts from, and the facts about them. */
async function startFiles({ base, config }: ProjectSource) {
  const { hyperparameters: h } = config;
  const learner = createLearner(base.model.architecture, base.model.weights, h);
  try {
    const place = placeOf(base, {});
    const adapter = learner.adapters
      ? (await stepFiles(base, learner)).filter(({ path }) => path.startsWith('adapter_'))
      : [];
    const configFile = adapter.find(({ path }) => path === 'adapter_config.json');
    const files: OutFile[] = [
      ...adapter.map((file) => ({ ...file, path: `start_adapter/${file.path}` })),
      ...tokenizerFiles(base.files, base.chat).map((file) => ({ ...file, path: `tokenizer/${file.path}` })),
      ...(place.kind === 'included' ? await baseFiles(base) : []),
    ];
    return {
      place,
      files,
      adapterConfig: configFile
        ? (JSON.parse(configFile.bytes as string) as ProjectFacts['adapterConfig'])
        : null,
      trainable: learner.adapters ? null : [...learner.tensors.keys()],
    };
  } finally {
    disposeLearner(learner);
  }
}

/**
 * The files of the project.
 * @param notice is told what the project cannot do as the run did it
 * @throws PlaygroundError `export_other_data`, or what encoding the rows throws
 */
export async function trainingProject(
  source: ProjectSource,
  notice: (sentence: string) => void,
): Promise<OutFile[]> {
  const { base, config, points } = source;
  const { hyperparameters: h } = config;
  const dataset = source.dataset.copy();
  dataset.encode(base.chat, base.model.architecture, h);
  dataset.assertTrainable();
  assertRowsOfRun(config, dataset, base);
  const data = dataset.trainingData();
  const plan = planTraining(data, h);
  const start = await startFiles(source);
  const sides = ['train', 'validation', 'test'] as const satisfies readonly SplitSide[];
  const rowsOf = (side: SplitSide): readonly Row[] => dataset.rows(side);
  const examplesOf = (side: SplitSide) => [...new Set(rowsOf(side).map(({ example }) => example))];
  const numbersOf = (side: 'train' | 'validation') => {
    const numbers = new Map(data[side].map((row, i) => [row, i]));
    return plan.sample[side].map((row) => numbers.get(row) as number);
  };
  const replay = (config.replay && data.replay) || [];
  const weighted = data.train.filter(({ weight = 1 }) => weight !== 1).length;
  const notices =
    weighted > 0
      ? [
          `${plural(weighted, 'training row')} ${weighted === 1 ? 'has' : 'have'} a weight other than 1, which the project does not apply: its training losses differ.`,
        ]
      : [];
  for (const sentence of notices) notice(sentence);
  const facts: ProjectFacts = {
    settings: {
      base_model:
        start.place.kind === 'hub'
          ? { id: start.place.id, commit: start.place.commit }
          : { folder: BASE_FOLDER },
      hyperparameters: { ...h },
      trainable: start.trainable,
      gradient_checkpointing: config.checkpointing.on,
      rate_changes: (config.rateChanges ?? []).map(({ step, to }) => ({ step, to })),
      total_steps: plan.totalSteps,
      steps_per_epoch: plan.stepsPerEpoch,
      evaluate_at: [...plan.evaluateAt].sort((a, b) => a - b),
      evaluation_rows: { train: numbersOf('train'), validation: numbersOf('validation') },
    },
    base: start.place,
    adapterConfig: start.adapterConfig,
    rows: {
      train: data.train.length,
      validation: data.validation.length,
      test: rowsOf('test').length,
      replay: replay.length,
    },
    form: formOf([...examplesOf('train'), ...examplesOf('validation')]),
    points,
    notices,
  };
  const order = orderFile(new EpochRows(data, h), plan.stepsPerEpoch, h.num_train_epochs);
  return [
    ...projectFiles(facts),
    { path: 'order.jsonl', bytes: order },
    ...sides.map((side) => ({
      path: `data/${side}.jsonl`,
      bytes: examplesOf(side).map(openAiRow).join(''),
    })),
    { path: 'tokens/train.jsonl', bytes: data.train.map(tokenLine).join('') },
    { path: 'tokens/validation.jsonl', bytes: data.validation.map(tokenLine).join('') },
    ...(replay.length > 0 ? [{ path: 'tokens/replay.jsonl', bytes: replay.map(tokenLine).join('') }] : []),
    ...start.files,
  ];
}
