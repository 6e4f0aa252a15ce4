// Runs that the session keeps: cut off and gone on with, used once more after another run, exported with another model loaded, refused where something differs.
// Not here: the store itself (runStore.test.ts), tabs and reloads.

import { unzipSync } from 'fflate';
import { beforeAll, describe, expect, test } from 'vitest';
import type { MetricPoint, RunEvent, RunSummary } from '../src/contract';
import { writeSafetensors } from '../src/formats/safetensors';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import type { SaveReport } from '../src/storedRuns';
import { localLocks } from '../src/worker/runLocks';
import { RunStore } from '../src/worker/runStore';
import { EngineSession } from '../src/worker/session';
import { maxDifference } from './engineFixtures';
import { RunDisk } from './runDisk';
import { CHAT, chatRows, exported, hastenClock, modelFolder, openIn } from './sessionFixtures';

const settings: Hyperparameters = {
  ...defaultHyperparameters(),
  ...{ num_train_epochs: 60, batch_size: 2, learning_rate: 0.01, lora_r: 4, lora_alpha: 8 },
};

const disk = new RunDisk();
let room = Number.POSITIVE_INFINITY;
let session: EngineSession;
const saves: SaveReport[] = [];

async function open(): Promise<void> {
  session = new EngineSession(
    () => {},
    async () => new RunStore(disk.store({ room }), localLocks()),
  );
  await session.watchSaving((report) => void saves.push(report));
  await openIn(session, settings);
}
beforeAll(open);

interface Watched {
  points: MetricPoint[];
  /** Resolves once the run has been saved and waits. */
  paused: Promise<void>;
  summary: Promise<RunSummary>;
}

function watch(
  begin: (onEvent: (e: RunEvent) => void) => Promise<RunSummary>,
  atStep = -1,
  act = () => {},
): Watched {
  const points: MetricPoint[] = [];
  let acted = false;
  const endHaste = atStep < 0 ? () => {} : hastenClock();
  let reached = () => {};
  const paused = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const summary = begin((e) => {
    points.push(...e.points);
    if (e.progress.state === 'paused') reached();
    if (acted || atStep < 0 || e.progress.step < atStep) return;
    acted = true;
    endHaste();
    act();
  });
  return { points, paused, summary };
}
const train = (h = settings, atStep = -1, act = () => {}) =>
  watch((onEvent) => session.train(h, onEvent, () => {}), atStep, act);
const goOn = (runId: string) => watch((onEvent) => session.resumeRun(runId, onEvent, () => {}));

/** Numbers that do not depend on the clock. */
const numbers = (points: readonly MetricPoint[]) =>
  points
    .filter((p) => !/^(tokens_per_second|memory_allocated)$/.test(p.name))
    .flatMap((p) => [p.step, p.tokens, p.value]);
const exportedWeights = async (blob: Promise<Blob>) => {
  const files = unzipSync(new Uint8Array(await (await blob).arrayBuffer()));
  return files['adapter_model.safetensors'] ?? files['model.safetensors'];
};

describe('a run that is cut off', () => {
  const ways: [string, Partial<Hyperparameters>][] = [
    ['LoRA with dropout', { lora_dropout: 0.2 }],
    ['full, two micro-batches a step', { method: 'full', gradient_accumulation_steps: 2, batch_size: 1 }],
    ['early stopping that has begun to wait', { early_stopping_patience: 20 }],
  ];
  test.each(ways)(
    'goes on with the numbers that it would have given: %s',
    async (_, more) => {
      const h = { ...settings, ...more };
      const whole = train(h);
      const end = await whole.summary;
      expect(end.state).toBe('finished');
      const weights = await exportedWeights(exported(session));

      // Paused from within a report: the run takes less time than a few reports, and must not end before the pause arrives.
      const before = saves.length;
      const half = train(h, 1, () => void session.pause());
      await half.paused;
      expect(saves.length).toBeGreaterThan(before);
      // What a reload would find now: the run as it was saved in the pause.
      const found = disk.snapshot();
      const step = half.points.at(-1)?.step as number;
      await session.stop();
      const { config } = await half.summary;
      disk.folders = found;
      await open();
      const { runs } = await session.storedRuns();
      expect(runs.find((r) => r.runId === config.runId)).toMatchObject({
        summary: null,
        resumableAt: step,
        busy: false,
      });

      const rest = goOn(config.runId);
      const summary = await rest.summary;
      expect(summary).toMatchObject({ state: 'finished', step: end.step, best: end.best });
      expect(summary.config.runId).toBe(config.runId);
      // The first report tells of all that was before.
      expect(maxDifference(numbers(rest.points), numbers(whole.points))).toBeLessThanOrEqual(1e-6);
      expect(await exportedWeights(exported(session))).toEqual(weights);
      // At its end only the weights are kept, and there is nothing to go on with.
      const kept = (await session.storedRuns()).runs.find((r) => r.runId === config.runId);
      expect(kept).toMatchObject({ resumableAt: null, step: end.step, bestStep: end.best?.step });
      await expect(
        session.resumeRun(
          config.runId,
          () => {},
          () => {},
        ),
      ).rejects.toMatchObject({ code: 'no_stored_run' });
    },
    120_000,
  );

  test('by a stop goes on too, and says what differs where rows or model do', async () => {
    const run = train({ ...settings, num_train_epochs: 400 }, 3, () => void session.stop());
    const { config, state, step } = await run.summary;
    expect(state).toBe('stopped');
    const stored = (await session.storedRuns()).runs.find((r) => r.runId === config.runId);
    expect(stored).toMatchObject({ resumableAt: step, step });
    const refused = () =>
      session.resumeRun(
        config.runId,
        () => {},
        () => {},
      );

    await session.readData(
      { kind: 'text', name: 'rows.jsonl', text: `${chatRows.trimEnd().split('\n').slice(1).join('\n')}\n` },
      settings,
    );
    await expect(refused()).rejects.toMatchObject({
      code: 'bad_checkpoint',
      message: expect.stringMatching(/text of the data/),
    });
    await session.loadModel(modelFolder(CHAT, 'other'), () => {});
    await session.readData({ kind: 'text', name: 'rows.jsonl', text: chatRows }, settings);
    await expect(refused()).rejects.toMatchObject({
      message: expect.stringMatching(/The model is not that/),
    });
    await expect(session.useStoredRun(config.runId)).rejects.toMatchObject({ code: 'other_model' });
    await open();
  }, 60_000);
});

describe('weights of a run', () => {
  test('are used and exported after another run, and with another model loaded', async () => {
    const first = await train().summary;
    await session.useTunedWeights('last');
    const last = await exportedWeights(exported(session));
    await session.useTunedWeights('best');
    const best = await exportedWeights(exported(session));
    expect(last).not.toEqual(best);
    const second = await train({ ...settings, method: 'full' }).summary;
    const { tensors } = await session.memory();
    for (let n = 0; n < 2; n++) {
      const kept = await session.useStoredRun(first.config.runId);
      expect(kept.which).toBe(await session.tunedWeights());
      await session.useTunedWeights('last');
      expect(await exportedWeights(exported(session))).toEqual(last);
      await session.useStoredRun(second.config.runId);
    }
    await session.useStoredRun(second.config.runId);
    expect((await session.memory()).tensors).toBe(tensors);

    await session.loadModel(modelFolder('models/pebble-1m'), () => {});
    const { tensors: other } = await session.memory();
    const source = modelFolder(CHAT);
    expect(
      await exportedWeights(
        exported(session, { of: 'stored', runId: first.config.runId, which: 'last', source: source }),
      ),
    ).toEqual(last);
    expect(
      await exportedWeights(
        exported(session, { of: 'stored', runId: first.config.runId, which: 'best', source: source }),
      ),
    ).toEqual(best);
    const refused = exported(session, {
      of: 'stored',
      runId: first.config.runId,
      which: 'best',
      source: null,
    });
    await expect(refused).rejects.toMatchObject({ code: 'other_model' });
    expect((await session.memory()).tensors).toBe(other);
    await open();
  }, 60_000);

  test('are packed, deleted, unpacked and used again', async () => {
    const { config, ...summary } = await train().summary;
    const weights = await exportedWeights(exported(session));
    const { runId } = config;
    const { points, rows: measured } = await session.storedMeasures(runId);
    expect(measured.length).toBeGreaterThan(0);
    const packed = await session.packRuns([{ runId, record: { any: 1 }, points }]);
    await session.deleteStoredRun(runId);
    await expect(session.useStoredRun(runId)).rejects.toMatchObject({ code: 'no_stored_run' });
    const [run] = await session.unpackRuns(packed);
    expect(run).toMatchObject({ record: { any: 1 }, points });
    await session.storeWeights(
      runId,
      run?.weights as Blob,
      run?.steps as Blob[],
      { config, ...summary },
      'best',
    );
    await session.useStoredRun(runId);
    expect(await exportedWeights(exported(session))).toEqual(weights);

    const again = () => session.storeWeights(runId, run?.weights as Blob, [], null, 'best');
    await expect(again()).rejects.toMatchObject({ code: 'run_exists' });
    const other = session.storeWeights('other', run?.weights as Blob, [], null, 'best');
    await expect(other).rejects.toMatchObject({
      code: 'bad_checkpoint',
      message: expect.stringMatching(/another run/),
    });
    const foreign = new Blob([writeSafetensors([{ name: 'a', shape: [1], data: Float32Array.of(1) }])]);
    await expect(session.storeWeights('any', foreign, [], null, 'last')).rejects.toMatchObject({
      code: 'bad_checkpoint',
    });
  }, 60_000);

  test('that find no room are said to, and the run goes on to its end', async () => {
    room = 20_000;
    disk.folders.clear();
    await open();
    saves.length = 0;
    const run = train(settings, 2, () => void session.pause());
    await run.paused;
    await session.resume();
    const summary = await run.summary;
    expect(summary.state).toBe('finished');
    // In the pause, at the end, and in between where that took long.
    expect(saves.length).toBeGreaterThanOrEqual(2);
    expect(new Set(saves.map((s) => s.problem?.code))).toEqual(new Set(['storage_full']));
    expect(await session.storedRuns()).toMatchObject({ runs: [], unreadable: [] });
    expect((await exported(session)).size).toBeGreaterThan(10_000);
    room = Number.POSITIVE_INFINITY;
    await open();
  }, 60_000);
});
