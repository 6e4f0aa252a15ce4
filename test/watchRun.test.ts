// Single steps of a run through the session: their weights are exactly those of the step, they are stored, packed and thinned, and pinned prompts are answered on the way.
// Not here: which steps are kept (keptSteps.test.ts), the store itself (runStore.test.ts).

import { unzipSync } from 'fflate';
import { beforeAll, describe, expect, test } from 'vitest';
import type { RunEvent, RunSummary } from '../src/contract';
import { defaultGeneration } from '../src/generation';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { readRunRecord } from '../src/session/results';
import type { PinnedColumn, PinnedRequest } from '../src/stepsContract';
import type { SaveReport } from '../src/storedRuns';
import { localLocks } from '../src/worker/runLocks';
import { RunStore } from '../src/worker/runStore';
import { EngineSession } from '../src/worker/session';
import { RunDisk } from './runDisk';
import { chatRows, exported, hastenClock, openIn } from './sessionFixtures';

const settings: Hyperparameters = {
  ...defaultHyperparameters(),
  ...{ num_train_epochs: 6, batch_size: 2, learning_rate: 0.02, lora_r: 4, lora_alpha: 8 },
};
const PINNED: PinnedRequest = {
  prompts: [
    { prompt: 'Who are you?', system: '', expected: '' },
    { prompt: 'What is red?', system: 'Answer shortly.', expected: 'A rose.' },
  ],
  every: 1,
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

/** @param act called once, with a report at or after step `at` */
async function train(
  h = settings,
  { pinned = null as PinnedRequest | null, at = -1, act = () => {} } = {},
): Promise<{ summary: RunSummary; losses: number[]; columns: PinnedColumn[] }> {
  const losses: number[] = [];
  const columns: PinnedColumn[] = [];
  let acted = false;
  const endHaste = at < 0 ? () => {} : hastenClock();
  const summary = await session.train(
    h,
    (e: RunEvent) => {
      for (const p of e.points) if (p.name.endsWith('loss')) losses.push(p.step, p.value);
      columns.push(...e.pinned);
      if (acted || at < 0 || e.progress.step < at) return;
      acted = true;
      endHaste();
      act();
    },
    () => {},
    pinned,
  );
  return { summary, losses, columns };
}

const ask = async (which: 'base' | 'tuned' = 'tuned') =>
  (
    await session.generate(
      {
        which,
        messages: [{ role: 'user', content: 'Who are you?' }],
        settings: { ...defaultGeneration(), do_sample: false, max_new_tokens: 24 },
      },
      () => {},
    )
  ).text;
async function unpacked(blob: Promise<Blob>) {
  const files = unzipSync(new Uint8Array(await (await blob).arrayBuffer()));
  const text = (name: string) => new TextDecoder().decode(files[name]);
  return {
    weights: files['adapter_model.safetensors'] ?? files['model.safetensors'],
    record: readRunRecord(text('run.json')),
  };
}

describe('weights of a single step', () => {
  const ways: [string, Partial<Hyperparameters>][] = [
    ['LoRA with dropout', { lora_dropout: 0.2 }],
    ['full, two micro-batches a step', { method: 'full', gradient_accumulation_steps: 2, batch_size: 1 }],
  ];
  test.each(ways)(
    'answer and are exported as those of a run that was stopped after that step: %s',
    async (_, more) => {
      const h = { ...settings, ...more };
      // Stopped a few steps in: what a run with the same seed and schedule is at that step.
      const stopped = await train(h, { at: 2, act: () => void session.stop() });
      const { step } = stopped.summary;
      expect(stopped.summary.state).toBe('stopped');
      await session.useTunedWeights('last');
      const wanted = { weights: (await unpacked(exported(session))).weights, answer: await ask() };

      const { summary } = await train(h);
      expect(summary.step).toBeGreaterThan(step);
      await session.useTunedWeights('last');
      const last = { weights: (await unpacked(exported(session))).weights, answer: await ask() };
      expect(last.weights).not.toEqual(wanted.weights);
      const base = await ask('base');
      const { tensors } = await session.memory();
      // Of the run itself, then read from the store after a reload.
      for (const reloaded of [false, true]) {
        if (reloaded) {
          await open();
          await session.useStoredRun(summary.config.runId);
        }
        expect(await session.shownSteps()).toEqual(
          expect.arrayContaining([0, step, summary.config.stepsPerEpoch, summary.step]),
        );
        await session.showStep(step);
        const shown = await unpacked(exported(session));
        expect(shown.weights).toEqual(wanted.weights);
        expect(shown.record).toMatchObject({ weights: 'step', weightsStep: step });
        expect(await ask()).toBe(wanted.answer);
        await session.showStep(0);
        expect(await ask()).toBe(base);
        await session.showStep(summary.step);
        expect((await unpacked(exported(session))).weights).toEqual(last.weights);
        await session.showStep(null);
        await session.useTunedWeights('last');
        expect(await unpacked(exported(session))).toMatchObject({
          weights: last.weights,
          record: { weights: 'last', weightsStep: summary.step },
        });
        // Each took the place of the one before.
        if (!reloaded) expect((await session.memory()).tensors).toBe(tensors);
      }
    },
    60_000,
  );

  test('that was not kept are refused with the nearest that was, and without a run there are none', async () => {
    await open();
    await expect(session.showStep(3)).rejects.toMatchObject({ code: 'no_tuned_model' });
    expect(await session.shownSteps()).toEqual([]);
    const { summary } = await train();
    const refused = session.showStep(summary.step + 5);
    await expect(refused).rejects.toMatchObject({
      code: 'step_not_kept',
      fix: expect.stringMatching(`${summary.step}`),
    });
  }, 30_000);

  test('can be shown while the run is paused, and the run goes on as if nothing had been', async () => {
    const whole = await train();
    let paused: { steps: number[]; answer: string } | null = null;
    const run = train(settings, { at: 4, act: () => void session.pause() });
    for (let i = 0; i < 200 && paused === null; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const steps = await session.shownSteps();
      if (steps.length < 3) continue;
      await session.showStep(steps[1] as number);
      paused = { steps, answer: await ask() };
    }
    await session.resume();
    expect((await run).losses).toEqual(whole.losses);
    expect(paused?.steps).toEqual(expect.arrayContaining([0, 1, 2]));
    await session.showStep(paused?.steps[1] as number);
    expect(await ask()).toBe(paused?.answer);
  }, 30_000);
});

describe('weights of single steps that are stored', () => {
  test('are listed, counted, packed with the run, and deleted with it', async () => {
    const { summary } = await train();
    const { runId } = summary.config;
    const find = async () => (await session.storedRuns()).runs.find((r) => r.runId === runId);
    const stored = await find();
    const { steps = [], bytes = 0 } = stored ?? {};
    expect(steps.length).toBeGreaterThan(2);
    const files = [...(disk.folders.get(runId)?.entries() ?? [])];
    expect(bytes).toBe(files.reduce((sum, [, file]) => sum + file.length, 0));
    expect(files.filter(([name]) => name.startsWith('step-'))).toHaveLength(steps.length);
    await session.showStep(steps[1] as number);
    const answer = await ask();

    const packed = await session.packRuns([{ runId, record: {}, points: [] }]);
    await session.deleteStoredRun(runId);
    expect(disk.folders.has(runId)).toBe(false);
    const [run] = await session.unpackRuns(packed);
    expect(run?.steps).toHaveLength(steps.length);
    await session.storeWeights(runId, run?.weights as Blob, run?.steps as Blob[], summary, 'best');
    expect((await find())?.steps).toEqual(steps);
    await open();
    await session.useStoredRun(runId);
    await session.showStep(steps[1] as number);
    expect(await ask()).toBe(answer);
    // Those of another run are not taken.
    const other = (await train()).summary.config.runId;
    const foreign = await session.packRuns([{ runId: other, record: {}, points: [] }]);
    const [mixed] = await session.unpackRuns(foreign);
    await session.deleteStoredRun(runId);
    const taken = session.storeWeights(runId, run?.weights as Blob, mixed?.steps as Blob[], summary, 'best');
    await expect(taken).rejects.toMatchObject({ code: 'bad_checkpoint' });
  }, 60_000);

  test('go first where there is no room, and that is said', async () => {
    disk.folders.clear();
    const { summary } = await train();
    const { runId } = summary.config;
    const alone = [...(disk.folders.get(runId)?.entries() ?? [])]
      .filter(([name]) => !name.startsWith('step-'))
      .reduce((sum, [, file]) => sum + file.length, 0);
    disk.folders.clear();
    room = Math.round(1.2 * alone);
    await open();
    saves.length = 0;
    const { summary: second } = await train();
    room = Number.POSITIVE_INFINITY;
    const report = saves.at(-1);
    expect(report).toMatchObject({ problem: { code: 'steps_not_stored' }, stored: { steps: [] } });
    expect(report?.stored?.step).toBe(second.step);
    // In this visit they are there all the same.
    expect((await session.shownSteps()).length).toBeGreaterThan(4);
    await session.showStep(2);
    expect(await ask()).not.toBe('');
    await open();
  }, 60_000);
});

describe('pinned prompts', () => {
  test('are answered on the way without changing the run, the same each time, and kept with it', async () => {
    const plain = await train();
    const { summary, losses, columns } = await train(settings, { pinned: PINNED });
    expect(losses).toEqual(plain.losses);
    expect(summary.pinned).toEqual(columns);
    expect(columns[0]?.step).toBe(0);
    expect(columns.at(-1)?.step).toBe(summary.step);
    expect(columns.every(({ answers }) => answers.length === 2)).toBe(true);
    expect(summary.config.pinned).toMatchObject({ ...PINNED, sides: [null, null] });
    const again = await train(settings, { pinned: PINNED });
    expect(again.columns).toEqual(columns);

    // Each is what the weights of that step answer.
    const { maxNewTokens } = summary.config.pinned as { maxNewTokens: number };
    for (const { step, answers } of columns) {
      await session.showStep(step);
      const { text } = await session.generate(
        {
          which: 'tuned',
          messages: [{ role: 'user', content: 'Who are you?' }],
          settings: { ...defaultGeneration(), do_sample: false, max_new_tokens: maxNewTokens },
        },
        () => {},
      );
      expect(answers[0]?.text).toBe(text);
    }
    expect((await unpacked(exported(session))).record.pinned).toEqual(columns);
    const { runId } = again.summary.config;
    await open();
    expect((await session.storedMeasures(runId)).pinned).toEqual(columns);
    expect((await session.storedRuns()).runs.find((r) => r.runId === runId)?.summary?.pinned).toEqual(
      columns,
    );
  }, 60_000);

  test('go on with a run that was stopped', async () => {
    const h = { ...settings, num_train_epochs: 12 };
    const whole = await train(h, { pinned: PINNED });
    const half = await train(h, { pinned: PINNED, at: 3, act: () => void session.stop() });
    expect(half.columns.length).toBeLessThan(whole.columns.length);
    const columns: PinnedColumn[] = [];
    const summary = await session.resumeRun(
      half.summary.config.runId,
      (e) => void columns.push(...e.pinned),
      () => {},
    );
    expect(columns).toEqual(whole.columns);
    expect(summary.pinned).toEqual(whole.columns);
  }, 60_000);

  test('are refused in words where they cannot be answered', async () => {
    const of = (...prompts: string[]): PinnedRequest => ({
      prompts: prompts.map((prompt) => ({ prompt, system: '', expected: '' })),
      every: 'epoch',
    });
    const refused = (pinned: PinnedRequest) => expect(train(settings, { pinned })).rejects;
    await refused(of('1', '2', '3', '4', '5', '6', '7')).toMatchObject({ code: 'bad_pinned' });
    await refused(of('a', ' ')).toMatchObject({ message: expect.stringMatching(/prompt 2 is empty/) });
    await refused(of('a b', 'A  B')).toMatchObject({ message: expect.stringMatching(/twice/) });
    await refused({ ...of('a'), every: 0 }).toMatchObject({ code: 'bad_pinned' });
    await refused(of('word '.repeat(2000))).toMatchObject({ code: 'context_exceeded' });

    const h = { ...settings, test_fraction: 0.2 };
    await session.readData({ kind: 'text', name: 'rows.jsonl', text: chatRows }, h);
    const [test] = await session.previewRows({ split: 'test', offset: 0, count: 1 });
    const [held] = await session.previewRows({ split: 'validation', offset: 0, count: 1 });
    const userOf = (row: typeof test) => row?.messages.find((m) => m.role === 'user')?.content as string;
    const asked = train(h, { pinned: of(` ${userOf(test).toUpperCase()}`) });
    await expect(asked).rejects.toMatchObject({
      code: 'pinned_test_row',
      message: expect.stringMatching(/Pinned prompt 1 is that of a test row/),
    });
    const { summary } = await train(h, { pinned: of(userOf(held)) });
    expect(summary.config.pinned?.sides).toEqual(['validation']);
    await session.readData({ kind: 'text', name: 'rows.jsonl', text: chatRows }, settings);
  }, 60_000);
});
