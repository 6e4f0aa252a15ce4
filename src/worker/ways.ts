// The comparison of ways in the worker: the session with one more task, its weights and its answers.
// Not here: the comparison (session/waysMeasurement.ts), the rest of the session (session.ts).

import type { Learner } from '../engine/model/adapters';
import { PlaygroundError } from '../errors';
import { folderFromUrl } from '../formats/huggingface';
import { readParameters } from '../metrics/checkRules';
import { proposedChecks, startingChecks } from '../metrics/checks';
import { type BaseModel, openAdapter } from '../session/model';
import { readRunRecord } from '../session/results';
import type { Clock } from '../session/ways';
import { WaysMeasurement } from '../session/waysMeasurement';
import {
  evenly,
  type OpenFile,
  PROMPT_SETTINGS,
  possibleWays,
  questionsOfRows,
  readDocuments,
  readTask,
  type Trained,
  type WaysTask,
} from '../session/waysTask';
import { type Training, type WayId, type WayRun, wayOf } from '../ways';
import type { WaysCalls, WaysOverview, WaysProgress, WaysResult, WaysSource } from '../waysContract';
import type { EngineParts } from './engineParts';
import { EngineSession } from './session';

/** Where no other check fits the rows. */
const EXACT = readParameters('exact', {});
/** Seed of every training on the page. */
const SEED = 1;

/** A worker cannot see its processor time. */
const wallClock: Clock = { kind: 'wall', nowMs: () => performance.now() };

interface Opened {
  base: BaseModel;
  task: WaysTask;
  url: string | null;
  measurement: WaysMeasurement;
}

/** Reads files beside a task. @throws PlaygroundError `page_file_missing` */
const filesBeside =
  (url: string): OpenFile =>
  async (name) => {
    const response = await fetch(new URL(name, url));
    if (response.ok) return response.blob();
    throw new PlaygroundError({
      code: 'page_file_missing',
      message: `${name} is missing from this site (${response.status}).`,
      fix: 'Reload the page.',
      where: name,
    });
  };

export class PageSession extends EngineSession implements WaysCalls {
  #ways: Opened | null = null;

  async openWays(source: WaysSource): Promise<WaysOverview> {
    return this.alone('read a task', async (engine) => {
      const task = await taskOf(source, engine);
      this.#ways?.measurement.dispose();
      const { base, device, tiles, platform } = engine;
      const measurement = new WaysMeasurement(base, task, { device, tiles }, { platform, clock: wallClock });
      this.#ways = { base, task, url: source.kind === 'task' ? source.url : null, measurement };
      const { name, questions, settings, form, passages, changedPassages, adapters } = task;
      return {
        name,
        questions,
        settings,
        form,
        passages: passages.length,
        changedPassages: changedPassages?.length ?? null,
        shipped: Object.keys(adapters[base.id] ?? {}) as Trained[],
        ways: possibleWays(task),
      };
    });
  }

  async measureWay(
    { way, facts, shipped }: { way: WayId; facts: WayRun['facts']; shipped: boolean },
    onProgress: (progress: WaysProgress) => void,
  ): Promise<WaysResult> {
    return this.alone('compare ways', async ({ base, cancelled }) => {
      const { measurement, task, url } = this.#opened(base);
      const { tuning } = wayOf(way);
      if (shipped && tuning !== 'none' && !measurement.ready(way, SEED)) {
        const folder = task.adapters[base.id]?.[tuning];
        if (folder === undefined || url === null) throw notShipped(base.id);
        const { learner, training } = await shippedWeights(new URL(`${folder}/`, url).href, tuning, base);
        measurement.useWeights(training, learner);
      }
      await measurement.measure(way, SEED, { onProgress, cancelled }, facts).catch((thrown: unknown) => {
        // Cancelled in the middle of training: there is nothing new.
        if (!(cancelled() && thrown instanceof PlaygroundError && thrown.code === 'ways_stopped'))
          throw thrown;
      });
      // Whether the model follows any instruction: the evidence for what is said of this one.
      if (way === 'prompt' && facts === 'now' && !cancelled())
        await measurement.measureControl({ onProgress, cancelled });
      return measurement.result();
    });
  }

  async closeWays(): Promise<void> {
    this.#ways?.measurement.dispose();
    this.#ways = null;
  }

  #opened(base: BaseModel): Opened {
    if (this.#ways?.base === base) return this.#ways;
    throw new PlaygroundError({
      code: 'no_ways',
      message: 'The comparison was made for another model, or none is open.',
      fix: 'Open it again.',
    });
  }
}

const notShipped = (model: string) =>
  new PlaygroundError({
    code: 'no_shipped_weights',
    message: `There are no weights of this task for ${model} beside the page.`,
    fix: 'Train them here.',
  });

/** Weights that the command line made, and what its record says of them. */
async function shippedWeights(
  url: string,
  tuning: Trained,
  base: BaseModel,
): Promise<{ learner: Learner; training: Training }> {
  const folder = folderFromUrl(
    url,
    (input, init) => fetch(input, init),
    () => {},
  );
  const { learner } = await openAdapter(folder, base);
  const record = readRunRecord(await ((await filesBeside(url)('run.json')) as Blob).text());
  const { method, learning_rate, num_train_epochs, batch_size } = record.config.hyperparameters;
  return {
    learner,
    training: {
      tuning,
      seed: SEED,
      steps: record.step,
      ms: null,
      peakBytes: null,
      rows: record.config.trainRows,
      from: `made by the command line on ${record.config.startedAt.slice(0, 10)}`,
      hyperparameters: { method, learning_rate, num_train_epochs, batch_size },
    },
  };
}

async function taskOf(source: WaysSource, { base, platform, data }: EngineParts): Promise<WaysTask> {
  if (source.kind === 'task') {
    const name = source.url.split('/').at(-1) as string;
    const open = filesBeside(source.url);
    const json = await ((await open(name)) as Blob).text();
    const task = await readTask(json, open);
    return { ...task, questions: evenly(task.questions, source.most) };
  }
  const { documents, changedDocuments, template, instruction, hyperparameters: h } = source;
  const rows = data();
  await rows.provideReplay(h, platform);
  const { test, name } = rows.encode(base.chat, base.model.architecture, h);
  rows.assertTrainable();
  const taught = rows.rows('train').map(({ example }) => ({
    expected: example.messages.findLast(({ role }) => role === 'assistant')?.content ?? null,
  }));
  const facts = startingChecks(taught)[0] ?? EXACT;
  const ends = proposedChecks(taught).filter(({ check }) => check === 'starts_with' || check === 'ends_with');
  const form = ends.length > 0 ? { all: ends } : null;
  const questions = questionsOfRows(rows, test ? 'test' : 'validation', facts);
  if (questions.length === 0) {
    throw new PlaygroundError({
      code: 'no_rows',
      message: 'No row that is kept from training is a question with an answer, so there is nothing to ask.',
      fix: 'Hold out a share of the rows, or take rows of questions and answers.',
    });
  }
  const read = (files: typeof documents) => {
    const byName = new Map(files.map((entry) => [entry.name, entry.file]));
    return readDocuments([...byName.keys()], async (file) => byName.get(file) as Blob, template);
  };
  return {
    name,
    questions: evenly(questions, source.most),
    form,
    control: null,
    settings: { ...PROMPT_SETTINGS, instruction },
    passages: await read(documents),
    changedPassages: changedDocuments.length > 0 ? await read(changedDocuments) : null,
    rows,
    hyperparameters: (_tuning, seed) => ({ ...h, seed, folds: 1 }),
    adapters: {},
  };
}
