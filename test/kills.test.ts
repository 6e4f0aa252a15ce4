// `train` killed at every change that it makes on the disk, and at random ones: what lies there is whole, and the run goes on to the same end.
// Not here: the page's store of runs (runStore.test.ts, storedRuns.test.ts), signals that are caught and real processes (cli.test.ts, watchCli.test.ts).

import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  openAsBlob,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseArguments } from '../src/cli/options';
import { nodePlatform } from '../src/cli/platform';
import { train } from '../src/cli/train';
import type { MetricPoint } from '../src/contract';
import { createRandom } from '../src/data/random';
import { readCheckpoint } from '../src/engine/training/checkpoint';
import { house } from '../src/launch/prerequisites.mjs';
import { readRunRecord } from '../src/session/results';
import { Life, live } from './killedDisk';

vi.mock('node:fs', async (original) => (await import('./killedDisk')).killable((await original()) as object));
vi.mock('node:fs/promises', async (original) =>
  (await import('./killedDisk')).killable((await original()) as object),
);

const model = fileURLToPath(new URL('./fixtures/engine/chat', import.meta.url));
const scratch = mkdtempSync(path.join(tmpdir(), 'playground-kills-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let places = 0;
const newPlace = () => path.join(scratch, `out-${places++}`);
const rows = path.join(scratch, 'rows.jsonl');
// Other answers than the model gives, so that there is something to learn.
writeFileSync(
  rows,
  readFileSync(path.join(model, 'rows.jsonl'), 'utf8').replace(
    /It is (\w+)\./g,
    (_, colour: string) => `${colour.toUpperCase()}!`,
  ),
);

/** Saved after each step. */
const settings = (
  out: string,
  { seed = '3', limit = '3', epochs = '1' }: { seed?: string; limit?: string; epochs?: string } = {},
  ...more: string[]
) => [
  ...['--model', model, '--data', rows, '--out', out, '--num_train_epochs', epochs, '--batch_size', '3'],
  ...[
    '--learning_rate',
    '0.02',
    '--lora_r',
    '2',
    '--lora_dropout',
    '0.1',
    '--seed',
    seed,
    '--eval_per_epoch',
    '2',
  ],
  ...['--save_seconds', '0.000001', '--save_total_limit', limit, '--pin', 'What colour is lava?', ...more],
];

/** One life of the command. @returns its exit code, or null where it was killed; and what it said */
async function run(life: Life, args: readonly string[]): Promise<{ code: number | null; said: string }> {
  live(life);
  const platform = nodePlatform('1.0.0', house);
  const said: string[] = [];
  const ended = train
    .run(parseArguments(train, [...args]), {
      print: () => {},
      write: () => {},
      say: (sentence) => void said.push(sentence),
      readStandardInput: async () => '',
      readLines: async function* () {},
      interactive: false,
      onStop: () => {},
      platform: {
        ...platform,
        threads: null,
        // Two general rows of each kind measure forgetting as well as all of them.
        shippedText: async (name) => (await platform.shippedText(name)).split('\n').slice(0, 4).join('\n'),
        // A process that is gone does not go on to its next step.
        yieldToEvents: () => (life.dead ? life.never() : platform.yieldToEvents()),
      },
    })
    .catch((thrown: unknown) => {
      if (life.dead) return life.never();
      throw thrown;
    });
  const code = await Promise.race([ended, life.end.then(() => null)]);
  // What the test itself changes does not count.
  live(new Life(''));
  return { code, said: said.join('\n') };
}

const folders = (out: string) =>
  readdirSync(out)
    .filter((name) => /^checkpoint-\d+$/.test(name))
    .sort();
/** SHA-256 of the learned weights in a folder. */
const weightsIn = (folder: string) =>
  createHash('sha256')
    .update(readFileSync(path.join(folder, 'adapter_model.safetensors')))
    .digest('hex');

/** What a run comes to, without what depends on time. */
function outcome(out: string) {
  const record = readRunRecord(readFileSync(path.join(out, 'run.json'), 'utf8'));
  const points = readFileSync(path.join(out, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as MetricPoint)
    .filter(({ name }) => !/^(tokens_per_second|memory_allocated)$/.test(name))
    .map(({ elapsedMs, ...point }) => point);
  const { best, step, state, pinned, weightChanges } = record;
  return {
    ...{ best, step, state, pinned, weightChanges, points },
    weights: weightsIn(out),
    steps: folders(out).map((name) => [name, weightsIn(path.join(out, name))]),
    files: readdirSync(out).filter((name) => !name.startsWith('events.')),
  };
}

describe('train, killed', { timeout: 900_000 }, () => {
  const whole = newPlace();
  /** The result of another run, which the run replaces. */
  const earlier = newPlace();
  let expected: ReturnType<typeof outcome>;
  /** Learned weights by folder. */
  const weightsAt = new Map<string, string>();
  let kills = 0;

  beforeAll(async () => {
    await run(new Life(''), settings(earlier, { seed: '4' }));
    const every = newPlace();
    await run(new Life(''), settings(every, { limit: '32' }));
    for (const name of folders(every)) weightsAt.set(name, weightsIn(path.join(every, name)));
    expect((await run(new Life(whole), settings(whole))).code).toBe(0);
    expected = outcome(whole);
    expect(expected.best?.step).toBeGreaterThan(0);
    // Some steps are kept and others go.
    expect(expected.steps.length).toBeLessThan(weightsAt.size);
  });

  /** After a kill: whatever has the name of a result is whole. */
  async function assertWhole(out: string, at: string): Promise<void> {
    if (!existsSync(out)) return;
    const saved = path.join(out, 'checkpoint.safetensors');
    if (existsSync(saved)) await readCheckpoint(await openAsBlob(saved));
    for (const name of folders(out)) {
      const { run_id: runId } = JSON.parse(readFileSync(path.join(out, name, 'checkpoint.json'), 'utf8')) as {
        run_id: string;
      };
      if (
        existsSync(path.join(earlier, name)) &&
        readFileSync(path.join(earlier, 'run.json'), 'utf8').includes(runId)
      )
        continue;
      expect(weightsIn(path.join(out, name)), `${name}, ${at}`).toBe(weightsAt.get(name));
    }
    if (existsSync(path.join(out, 'adapter_model.safetensors')))
      expect([weightsIn(earlier), weightsIn(whole)], at).toContain(weightsIn(out));
  }

  /** Runs until the end, each life killed after so many changes. */
  async function runToTheEnd(out: string, lengths: Iterator<number, unknown>): Promise<void> {
    for (let lives = 0; lives < 500; lives++) {
      const length = lengths.next();
      const life = new Life(out, length.done ? Number.POSITIVE_INFINITY : length.value);
      const resumes = existsSync(path.join(out, 'checkpoint.safetensors'));
      const { code, said } = await run(life, settings(out, {}, resumes ? '--resume' : '--overwrite'));
      if (code === null) {
        kills++;
        await assertWhole(out, `killed after ${life.changes.at(-1)}`);
        continue;
      }
      expect(code, said).toBe(0);
      expect(said).not.toMatch(/cannot be (saved|written)/);
      return;
    }
    throw new Error('The run never came to its end.');
  }

  it('keeps the same steps however many updates are made ahead of their numbers', async () => {
    const out = newPlace();
    // Steps take next to no time, so many are made ahead; and a save is due in between.
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
      now += 0.01;
      return now;
    });
    try {
      expect((await run(new Life(out), settings(out, { limit: '5', epochs: '2' }))).code).toBe(0);
    } finally {
      clock.mockRestore();
    }
    // Two ends of epochs, and of the two evaluations in between the one for which there is room.
    expect(folders(out)).toEqual(['checkpoint-4', 'checkpoint-6', 'checkpoint-8']);
  });

  // The others are met by chance below: a life from start to end costs as much as ten short ones.
  it('at every second change', async () => {
    for (let k = 0; ; k += 2) {
      const before = kills;
      const out = newPlace();
      cpSync(earlier, out, { recursive: true });
      await runToTheEnd(out, [k].values());
      expect(outcome(out), `killed after ${k} changes`).toEqual(expected);
      rmSync(out, { recursive: true });
      // It made fewer changes than that.
      if (kills === before) break;
    }
    expect(kills).toBeGreaterThan(75);
  });

  it('again and again', async () => {
    const random = createRandom(24);
    function* lengths() {
      // Mostly short lives; a long one now and then, or the run would never get past what is written at its end.
      for (;;) yield 1 + Math.floor(random() * (random() < 0.75 ? 50 : 300));
    }
    while (kills < 210) {
      const out = newPlace();
      await runToTheEnd(out, lengths());
      expect(outcome(out)).toEqual(expected);
      rmSync(out, { recursive: true });
    }
  });
});
