// The store of runs: whatever a write is cut off by, the newest state that was complete is what is read; and files of runs, packed and hostile.
// Not here: what a run does with it (storedRuns.test.ts), the browser's own files and locks.

import fc from 'fast-check';
import { strToU8, zipSync } from 'fflate';
import { describe, expect, it, test } from 'vitest';
import type { RunConfig } from '../src/contract';
import { createRandom } from '../src/data/random';
import { PlaygroundError } from '../src/errors';
import { localLocks } from '../src/worker/runLocks';
import { type RunState, RunStore } from '../src/worker/runStore';
import { packRuns, unpackRuns } from '../src/worker/runsFile';
import { memoryStore } from '../src/worker/storage';
import { PowerCut, RunDisk } from './runDisk';

const RUN = 'run-a';
const state = (step: number): RunState => ({
  config: { runId: RUN, modelId: 'm', hyperparameters: {}, totalSteps: 100 } as unknown as RunConfig,
  summary: null,
  step,
  bestStep: null,
  kept: 'last',
});
/** Content that says which step it is of. */
const content = (step: number) => Uint8Array.from({ length: 500 + step }, (_, i) => (i * 7 + step) % 251);
const bytesOf = async (blob: Blob) => new Uint8Array(await blob.arrayBuffer());

/** Four states, the last of them without a checkpoint. @returns the last step that was acknowledged */
async function commitAll(store: RunStore, acknowledged: (step: number) => void): Promise<void> {
  for (const step of [10, 20, 30]) {
    await store.commit(RUN, state(step), { checkpoint: content(step) });
    acknowledged(step);
  }
  await store.commit(RUN, state(40), { learned: content(40) });
  acknowledged(40);
}

describe('a store whose power is cut', () => {
  test('reads the newest complete state, at every point and with every part of a write', async () => {
    const whole = new RunDisk();
    await commitAll(new RunStore(whole.store(), localLocks()), () => {});
    expect(whole.changes).toBeGreaterThan(20);
    const random = createRandom(5);
    const random20 = Array.from(
      { length: 20 },
      () => [Math.floor(random() * whole.changes), random()] as const,
    );
    const every = Array.from({ length: whole.changes }, (_, cut) => [cut, 0.5] as const);
    for (const [cutAfter, part] of [...every, ...random20]) {
      const disk = new RunDisk();
      let last = 0;
      const broken = new RunStore(disk.store({ cutAfter, part }), localLocks());
      await expect(commitAll(broken, (step) => (last = step))).rejects.toBeInstanceOf(PowerCut);

      // What a reload finds.
      const store = new RunStore(disk.store(), localLocks());
      const { runs, unreadable } = await store.list();
      expect(unreadable, `cut after ${cutAfter}`).toEqual([]);
      const found = runs[0]?.step ?? 0;
      // The state before, or the new one where only deleting the old one was cut off.
      expect([last, last + 10]).toContain(found);
      if (found === 0) expect(disk.folders.size).toBe(0);
      else {
        const { file } = await store.read(RUN, found === 40 ? 'learned' : 'checkpoint');
        expect(await bytesOf(file)).toEqual(content(found));
      }
      // It goes on: the next save leaves nothing of the broken one behind.
      await store.commit(RUN, state(50), { checkpoint: content(50) });
      expect([...(disk.folders.get(RUN)?.keys() ?? [])]).toHaveLength(2);
      expect(await bytesOf((await store.read(RUN, 'checkpoint')).file)).toEqual(content(50));
    }
  });

  test('has the steps of the state that it reads, whole, and no others', async () => {
    const commitSteps = async (store: RunStore) => {
      let kept: number[] = [];
      for (const step of [4, 8, 12]) {
        // Every second step is let go as the run grows.
        kept = kept.filter((s) => s % 8 === 0);
        const add = new Map([[step, content(step)]]);
        await store.commit(RUN, state(step), { checkpoint: content(100 + step) }, [], { keep: kept, add });
        kept.push(step);
      }
      // A note on the run leaves them as they are.
      await store.commit(RUN, state(12), {}, ['checkpoint']);
    };
    const whole = new RunDisk();
    await commitSteps(new RunStore(whole.store(), localLocks()));
    const expected: Record<number, number[]> = { 4: [4], 8: [8], 12: [8, 12] };
    for (let cutAfter = 0; cutAfter <= whole.changes; cutAfter++) {
      const disk = new RunDisk();
      await commitSteps(new RunStore(disk.store({ cutAfter, part: 0.4 }), localLocks())).catch(() => {});
      const store = new RunStore(disk.store(), localLocks());
      const found = (await store.list()).runs[0];
      if (!found) continue;
      const steps = (found.files.steps ?? []).map(({ step }) => step);
      expect(steps, `cut after ${cutAfter}`).toEqual(expected[found.step]);
      for (const step of steps)
        expect(await bytesOf((await store.read(RUN, step)).file)).toEqual(content(step));
      await expect(store.read(RUN, 5)).rejects.toMatchObject({ code: 'no_stored_run' });
    }
    expect((await new RunStore(whole.store(), localLocks()).find(RUN))?.files.steps).toHaveLength(2);
  });

  test('a full disk ends in the sentence of the browser and leaves the state before', async () => {
    const disk = new RunDisk();
    const store = new RunStore(disk.store({ room: 1800 }), localLocks());
    await store.commit(RUN, state(10), { checkpoint: content(10) });
    const before = disk.snapshot();
    await expect(store.commit(RUN, state(900), { checkpoint: content(900) })).rejects.toMatchObject({
      code: 'storage_full',
    });
    expect(disk.folders).toEqual(before);
    expect((await store.list()).runs[0]?.step).toBe(10);
  });

  test('the budget counts all runs and refuses before anything is written', async () => {
    const disk = new RunDisk();
    const store = new RunStore(disk.store(), localLocks(), 2500);
    await store.commit(RUN, state(10), { checkpoint: content(10) });
    await store.commit('run-b', state(20), { checkpoint: content(20) });
    const before = disk.snapshot();
    const refused = store.commit('run-c', state(30), { checkpoint: content(900) });
    await expect(refused).rejects.toMatchObject({
      code: 'runs_full',
      message: expect.stringMatching(/take .* MB together/),
    });
    expect(disk.folders).toEqual(before);
    // In the place of its own state there is room.
    await store.commit(RUN, state(30), { checkpoint: content(30) });
    await store.remove('run-b');
    expect((await store.list()).runs.map((r) => r.runId)).toEqual([RUN]);
  });

  test('a file that was changed is refused, and a manifest that was changed is none', async () => {
    const disk = new RunDisk();
    const store = new RunStore(disk.store(), localLocks());
    await store.commit(RUN, state(10), { checkpoint: content(10) });
    const files = disk.folders.get(RUN) as Map<string, Uint8Array<ArrayBuffer>>;
    for (const [name, bytes] of files) {
      const changed = bytes.slice();
      changed[bytes.length >> 1] = (changed[bytes.length >> 1] as number) ^ 1;
      files.set(name, changed);
      const code = name.startsWith('manifest') ? 'no_stored_run' : 'bad_checkpoint';
      await expect(store.read(RUN, 'checkpoint')).rejects.toMatchObject({ code });
      files.set(name, bytes);
    }
    expect((await store.read(RUN, 'checkpoint')).run.step).toBe(10);
  });

  test('what another version wrote is named, not deleted', async () => {
    const disk = new RunDisk();
    const store = new RunStore(disk.store(), localLocks());
    await store.commit(RUN, state(10), { checkpoint: content(10) });
    const files = disk.folders.get(RUN) as Map<string, Uint8Array<ArrayBuffer>>;
    const [name, bytes] = [...files].find(([n]) => n.startsWith('manifest')) as [
      string,
      Uint8Array<ArrayBuffer>,
    ];
    const json = new TextDecoder()
      .decode(bytes)
      .split('\n')[1]
      ?.replace('"version":1', '"version":2') as string;
    const digest = await crypto.subtle.digest('SHA-256', strToU8(json));
    const hex = Buffer.from(digest).toString('hex');
    files.set(name, strToU8(`${hex}\n${json}`) as Uint8Array<ArrayBuffer>);
    expect(await store.list()).toMatchObject({
      runs: [],
      unreadable: [{ runId: RUN, reason: expect.stringMatching(/version/) }],
    });
    expect(disk.folders.get(RUN)?.size).toBe(2);
  });
});

test('a run that another tab holds is neither written nor deleted, and is told to be busy', async () => {
  const disk = new RunDisk();
  const locks = localLocks();
  const [here, there] = [new RunStore(disk.store(), locks), new RunStore(disk.store(), locks)];
  const release = await here.hold(RUN);
  // The other tab looks while the first save of this one is under way, and leaves it alone.
  disk.folders.set(RUN, new Map([['checkpoint-00000001.safetensors', content(1)]]));
  await there.list();
  expect(disk.folders.get(RUN)?.size).toBe(1);
  await here.commit(RUN, state(10), { checkpoint: content(10) });
  await expect(there.hold(RUN)).rejects.toMatchObject({ code: 'run_busy' });
  await expect(there.remove(RUN)).rejects.toMatchObject({ code: 'run_busy' });
  expect([...(await there.list()).busy]).toEqual([RUN]);
  expect((await there.read(RUN, 'checkpoint')).run.step).toBe(10);
  release();
  await there.remove(RUN);
  expect((await here.list()).runs).toEqual([]);
});

test('in memory it works as long as the worker lives, and says that it does not last', async () => {
  const store = new RunStore(memoryStore(), localLocks());
  await store.commit(RUN, state(10), { checkpoint: content(10) });
  expect(store.lasting).toBe(false);
  expect(await bytesOf((await store.read(RUN, 'checkpoint')).file)).toEqual(content(10));
});

describe('a file of runs', () => {
  const points = [
    { name: 'train_loss' as const, step: 1, epoch: 0.5, tokens: 3, elapsedMs: 1, value: 2.5 },
    { name: 'train_loss' as const, step: 2, epoch: 1, tokens: 6, elapsedMs: 2, value: Number.NaN },
  ];

  it('reads back what was packed', async () => {
    const packed = await packRuns([
      { record: { name: 'first' }, points, weights: new Blob([content(3)]), steps: [new Blob([content(4)])] },
      { record: { name: 'second' }, points: [], weights: null, steps: [] },
    ]);
    const [first, second] = await unpackRuns(packed);
    expect(first).toMatchObject({ record: { name: 'first' }, points });
    expect(await bytesOf(first?.weights as Blob)).toEqual(content(3));
    expect(first?.steps).toHaveLength(1);
    expect(await bytesOf(first?.steps[0] as Blob)).toEqual(content(4));
    expect(second).toEqual({ record: { name: 'second' }, points: [], weights: null, steps: [] });
  });

  const list = (runs: unknown, more: object = {}) =>
    strToU8(JSON.stringify({ format: 'finetune-playground-runs', version: 1, runs, ...more }));
  const entry = { record: {}, points: 'run-1/metrics.jsonl', weights: null };
  const hostile: [string, Record<string, Uint8Array>, RegExp][] = [
    ['no list', { 'run-1/metrics.jsonl': strToU8('') }, /has no runs\.json/],
    ['a list that is no JSON', { 'runs.json': strToU8('{') }, /not JSON/],
    ['another format', { 'runs.json': list([], { format: 'x' }) }, /format in its runs\.json/],
    ['a later version', { 'runs.json': list([], { version: 2 }) }, /version 2/],
    ['a path out of the file', { 'runs.json': list([]), '../x': strToU8('x') }, /“\.\.\/x”/],
    ['a name of JavaScript', { 'runs.json': list([]), 'run-1/constructor': strToU8('x') }, /constructor/],
    ['a file that is not there', { 'runs.json': list([entry]) }, /listed and not in it/],
    [
      'a path in the list',
      { 'runs.json': list([{ ...entry, weights: '/etc/passwd' }]) },
      /weights in its runs\.json/,
    ],
    [
      'points that are none',
      { 'runs.json': list([entry]), 'run-1/metrics.jsonl': strToU8('{"name":1}\n') },
      /line 1 of/,
    ],
    ['too many runs', { 'runs.json': list(Array(201).fill(entry)) }, /201 runs/],
  ];
  it.each(hostile)('is refused with %s', async (_, files, message) => {
    const error = await unpackRuns(new Blob([zipSync(files) as Uint8Array<ArrayBuffer>])).catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(PlaygroundError);
    expect(error).toMatchObject({ code: 'bad_runs_file', message: expect.stringMatching(message) });
  });

  it('is refused when it was cut off anywhere, or is anything else', async () => {
    const packed = await bytesOf(
      await packRuns([{ record: {}, points, weights: new Blob([content(3)]), steps: [] }]),
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: packed.length - 1 }), async (length) => {
        await expect(unpackRuns(new Blob([packed.slice(0, length)]))).rejects.toMatchObject({
          code: 'bad_runs_file',
        });
      }),
      { numRuns: 40 },
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (noise) => {
        await expect(unpackRuns(new Blob([noise as Uint8Array<ArrayBuffer>]))).rejects.toMatchObject({
          code: 'bad_runs_file',
        });
      }),
    );
  });

  it('does not unpack what claims to be larger than this page writes', async () => {
    const bomb = zipSync({ 'runs.json': new Uint8Array(60_000_000) }, { level: 9 });
    expect(bomb.length).toBeLessThan(100_000);
    await expect(unpackRuns(new Blob([bomb as Uint8Array<ArrayBuffer>]))).rejects.toMatchObject({
      message: expect.stringMatching(/too large/),
    });
  });
});
