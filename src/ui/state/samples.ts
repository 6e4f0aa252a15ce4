// The sample data sets beside the page: their list, one as a data source, and the settings each was measured with.
// Not here: their rows (public/datasets), how they were measured (models/eval), setting the form (workspace.svelte.ts).

import type { DataSource } from '../../contract';
import { PlaygroundError } from '../../errors';
import { defaultHyperparameters, defaultLearningRate, type Hyperparameters } from '../../hyperparameters';
import { plural } from '../../wording';
import { fromPage } from './pageFiles';

/** A line of `datasets/index.json`. */
export interface SampleData {
  id: string;
  name: string;
  file: string;
  /** Absent of a plain text, whose rows depend on the model. */
  rows?: number;
  /** Of a plain text. */
  characters?: number;
  task: string;
  teaches: string;
  summary: string;
  /** What its card was measured with, by method. */
  settings: Partial<Record<Hyperparameters['method'], { learning_rate: number; num_train_epochs: number }>>;
  /** Ids of the catalogue's models that it was measured with. */
  models: string[];
  /** Answers to held-out rows, over all seeds: the base model with an instruction in its prompt, and tuned by LoRA. Absent where nobody measured it. */
  asked?: {
    model: string;
    what: string;
    prompted: [right: number, of: number];
    tuned: [right: number, of: number];
  };
}

/** What an instruction alone gets right beside tuning; '' where nobody measured it. */
export function promptedSentence(asked: SampleData['asked']): string {
  if (!asked) return '';
  const { model, what, prompted, tuned } = asked;
  return `${model}, ${what}: ${prompted[0]} of ${prompted[1]} with an instruction in its prompt, ${tuned[0]} of ${tuned[1]} tuned.`;
}

/** @throws PlaygroundError `page_file_missing` */
export async function sampleSource(sample: SampleData): Promise<DataSource> {
  const response = await fetch(fromPage(`datasets/${sample.file}`));
  if (!response.ok) {
    throw new PlaygroundError({
      code: 'page_file_missing',
      message: `The sample “${sample.name}” is missing from this site (${response.status}).`,
      fix: 'Choose another sample, or a file of your own.',
      where: sample.file,
    });
  }
  const name = sample.file.split('/').at(-1) ?? sample.file;
  return { kind: 'file', name, file: await response.blob() };
}

/**
 * The form as it stood when the sample was measured with the method that is chosen: defaults but for epochs and learning rate. Seed
 * and method stay as they are. For a model that it was not measured with, the learning rate is that model's default.
 * @param model the loaded model; null while there is none
 * @returns null where nobody measured the sample with this method
 */
export function measuredSettings(
  sample: SampleData,
  current: Hyperparameters,
  model: { id: string; parameters: number } | null,
): Hyperparameters | null {
  const { method, seed } = current;
  const measured = sample.settings[method];
  if (!measured) return null;
  const unmeasured = model !== null && !sample.models.includes(model.id);
  return {
    ...defaultHyperparameters(),
    method,
    seed,
    ...measured,
    ...(unmeasured && { learning_rate: defaultLearningRate(method, model.parameters) }),
  };
}

/** "197 rows", or of a plain text "29,000 characters". */
export const sampleSize = ({ rows, characters = 0 }: Pick<SampleData, 'rows' | 'characters'>): string =>
  rows === undefined ? `${plural(1000 * Math.round(characters / 1000), 'character')}` : plural(rows, 'row');
