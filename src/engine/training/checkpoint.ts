// Checkpoint of a run: its state as one safetensors file, written during the run and read back to resume it.
// Not here: when it is written and where (session/run.ts, the platforms), what the state is (train.ts).
//
// How it works: tensors of the learner, its best copy and the moments have a prefix each (learner, best, m, v); settings, metric
// points and counters are JSON in the header. One file, so that a rename replaces the one before as a whole. The header holds the SHA-256
// of all tensor bytes in the order of their names: a file that was cut off or changed is refused.
// Memory: all tensors are in memory twice while the file is written, once as arrays and once as bytes.

import type { MetricPoint, RunConfig } from '../../contract';
import { contentHash, digestHex } from '../../data/sha256';
import type { RowMeasurement } from '../../dataContract';
import { PlaygroundError } from '../../errors';
import { readSafetensors, type TensorToWrite, writeSafetensors } from '../../formats/safetensors';
import { defaultHyperparameters } from '../../hyperparameters';
import type { PinnedColumn } from '../../stepsContract';
import type { WeightChanges } from '../../weightContract';
import type { NamedTensors } from './namedTensors';
import type { TrainerState } from './train';

/** Increased when a reader of an earlier version would misread the file. */
const VERSION = '1';

export interface Checkpoint {
  config: RunConfig;
  /** Every metric point so far. */
  points: MetricPoint[];
  /** The losses of single rows at each evaluation. */
  rows: RowMeasurement[];
  /** How far the weights had moved at each evaluation. */
  weights: WeightChanges[];
  /** Answers to the pinned prompts so far. */
  pinned: PinnedColumn[];
  /** Time of the run so far, without pauses and interruptions. */
  elapsedMs: number;
  /** Time spent in updates, for `tokens_per_second`. */
  trainingMs: number;
  trainer: TrainerState;
}

/** The part of a trainer's state that is not tensors: JSON in the header. */
interface Counters {
  step: number;
  tokens: number;
  withoutGain: number;
  latest: TrainerState['latest'];
  best: Omit<NonNullable<TrainerState['best']>, 'tensors'> | null;
  updates: number;
  general?: TrainerState['general'];
}

export async function writeCheckpoint({ trainer, ...run }: Checkpoint): Promise<Uint8Array<ArrayBuffer>> {
  const { learner, best, optimizer, latest, step, tokens, withoutGain, general } = trainer;
  const tensors: TensorToWrite[] = [];
  const put = (group: string, named: NamedTensors) => {
    for (const [name, { shape, data }] of named) tensors.push({ name: `${group}/${name}`, shape, data });
  };
  put('learner', learner);
  if (best) put('best', best.tensors);
  for (const [name, { m, v }] of optimizer.moments) {
    const shape = learner.get(name)?.shape ?? [m.length];
    tensors.push({ name: `m/${name}`, shape, data: m }, { name: `v/${name}`, shape, data: v });
  }
  const counters: Counters = {
    ...{ step, tokens, withoutGain, latest, updates: optimizer.count },
    ...(general && { general }),
    best: best && { step: best.step, tokens: best.tokens, train: best.train, validation: best.validation },
  };
  const [runJson, countersJson] = [JSON.stringify(run), JSON.stringify(counters)];
  return writeSafetensors(tensors, {
    checkpoint: VERSION,
    run: runJson,
    trainer: countersJson,
    sha256: await digestOf(tensors),
    header: await headerHash(runJson, countersJson),
  });
}

/** The weights after a single step as such a file: they can be used, and the run cannot be resumed from them. */
export async function writeStepWeights(
  config: RunConfig,
  step: number,
  learner: NamedTensors,
): Promise<Uint8Array<ArrayBuffer>> {
  return writeCheckpoint({
    config,
    ...{ points: [], rows: [], weights: [], pinned: [], elapsedMs: 0, trainingMs: 0 },
    trainer: {
      ...{ step, tokens: 0, withoutGain: 0, latest: null, best: null, learner },
      optimizer: { count: step, moments: new Map() },
    },
  });
}

/** SHA-256 of the tensors' bytes, in the order of their names. */
async function digestOf(tensors: readonly Pick<TensorToWrite, 'name' | 'data'>[]): Promise<string> {
  const ordered = [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
  const bytes = new Uint8Array(ordered.reduce((sum, { data }) => sum + data.byteLength, 0));
  let at = 0;
  for (const { data } of ordered) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return digestHex(bytes);
}

const headerHash = (run: string, trainer: string) => contentHash(`${run}\n${trainer}`);

const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws PlaygroundError `bad_checkpoint` */
function assertCounters(counters: Counters): void {
  const counts = isObject(counters)
    ? [counters.step, counters.tokens, counters.withoutGain, counters.updates]
    : [-1];
  if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0))
    throw damaged('its counts of steps and tokens are not whole numbers');
  const { best } = counters;
  if (best !== null && (!isObject(best) || !Number.isSafeInteger(best.step)))
    throw damaged('its best step is not a number');
}

const damaged = (reason: string, cause?: unknown) =>
  new PlaygroundError(
    {
      code: 'bad_checkpoint',
      message: `The checkpoint cannot be used: ${reason}.`,
      fix: 'Start the run again. An earlier result of it, if there is one, is not touched.',
    },
    { cause },
  );

/** @throws PlaygroundError `bad_checkpoint` when the file is cut off, changed, or of another version */
export async function readCheckpoint(blob: Blob): Promise<Checkpoint> {
  let run: Omit<Checkpoint, 'trainer'>;
  let counters: Counters;
  let digest: string | undefined;
  const found: { name: string; shape: number[]; data: Float32Array<ArrayBuffer> }[] = [];
  try {
    const file = await readSafetensors(blob, 'The checkpoint');
    const { checkpoint, run: runJson, trainer, sha256, header } = file.metadata;
    if (checkpoint !== VERSION || runJson === undefined || trainer === undefined)
      throw damaged(`it is of version ${checkpoint ?? 'none'}, and this program reads version ${VERSION}`);
    // Files of earlier versions hold no hash of these.
    if (header !== undefined && header !== (await headerHash(runJson, trainer)))
      throw damaged('its settings are not those that were written');
    // Files of earlier versions hold no losses of single rows, not how far the weights had moved, and no answers to pinned prompts.
    const parsed = JSON.parse(runJson) as Omit<Checkpoint, 'trainer' | 'rows' | 'weights' | 'pinned'> &
      Partial<Checkpoint>;
    run = {
      ...parsed,
      rows: parsed.rows ?? [],
      weights: parsed.weights ?? [],
      pinned: parsed.pinned ?? [],
    };
    const lists = [run.points, run.rows, run.weights, run.pinned];
    if (!isObject(run.config) || !lists.every(Array.isArray))
      throw damaged('the record of the run is not in it');
    // A setting that came later has its default, as which the run was made.
    run.config.hyperparameters = { ...defaultHyperparameters(), ...run.config.hyperparameters };
    counters = JSON.parse(trainer) as Counters;
    assertCounters(counters);
    digest = sha256;
    for (const { name } of file.entries) {
      const { shape, data } = await file.read(name);
      found.push({ name, shape, data: data as Float32Array<ArrayBuffer> });
    }
  } catch (cause) {
    if (cause instanceof PlaygroundError && cause.code === 'bad_checkpoint') throw cause;
    const reason =
      cause instanceof PlaygroundError ? cause.message.replace(/\.$/, '') : 'its header is broken';
    throw damaged(reason, cause);
  }
  if (digest !== (await digestOf(found))) throw damaged('its numbers are not those that were written');
  const group = (prefix: string): NamedTensors =>
    new Map(
      found
        .filter(({ name }) => name.startsWith(`${prefix}/`))
        .map(({ name, shape, data }) => [name.slice(prefix.length + 1), { shape, data }]),
    );
  const [m, v] = [group('m'), group('v')];
  const moments = new Map(
    [...m].map(([name, { data }]) => {
      const second = v.get(name)?.data;
      if (second?.length !== data.length) throw damaged(`the second moment of ${name} is not in it`);
      return [name, { m: data, v: second }];
    }),
  );
  const { updates, best, general, ...state } = counters;
  return {
    ...run,
    trainer: {
      ...state,
      ...(general && { general }),
      best: best && { ...best, tensors: group('best') },
      learner: group('learner'),
      optimizer: { count: updates, moments },
    },
  };
}
