// Which share of a run's processor time is spent on measuring: `node test/bench/run.mjs measuring pebble-1m`.
// Not here: how the shares are planned (src/engine/training/plan.ts, src/session/pinned.ts), what a rise means (models/eval/forgetting.mjs).
//
// How it works: whole runs in Node on wasm with one thread, as the command line makes them. The trainer's generator and the making of pinned
// answers are timed from outside; the time of each piece goes to what the piece says it was. Processor time of the process, so what other
// programs do does not count.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArguments, settingsFor } from '../../src/cli/options';
import { nodePlatform } from '../../src/cli/platform';
import { train } from '../../src/cli/train';
import { openWorkbench, readRows, type Workbench } from '../../src/cli/workbench';
import type { TrainEvent } from '../../src/engine/training/train';
import { house } from '../../src/launch/prerequisites.mjs';
import { PinnedAnswers } from '../../src/session/pinned';
import { Run } from '../../src/session/run';
import { processorMs } from './pebble';

const PARTS = ['update', 'evaluation', 'weight changes', 'at the end', 'general', 'pinned', 'other'] as const;
type Part = (typeof PARTS)[number];
type Times = Record<Part, number>;
/** Of these, measuring. */
const DURING: readonly Part[] = ['evaluation', 'weight changes', 'general', 'pinned'];
/** And all held-out rows, once, with the last and with the best weights. */
const MEASURING: readonly Part[] = [...DURING, 'at the end'];

const platform = { ...nodePlatform('measuring', house), threads: null };

/** Prompts of one's own, and none of any shipped row. */
const PROMPTS = [
  'What do you do on a rainy day?',
  'Where did you leave the old lamp?',
  'Is the bridge open?',
];

/** What a piece of the trainer's work was spent on. */
function partOf(event: TrainEvent): Part {
  switch (event.kind) {
    case 'step':
      return 'update';
    case 'general':
      return 'general';
    case 'evaluation':
      return event.on === 'all' ? 'at the end' : 'weight changes';
    default:
      if (event.during !== 'evaluating') return 'update';
      if (event.measuring?.what === 'general') return 'general';
      if (!event.measuring) return 'weight changes';
      return event.measuring.what === 'sample' ? 'evaluation' : 'at the end';
  }
}

interface Case {
  rows: string;
  text: string;
  pins: number;
  settings?: string[];
}

const sample = (id: string): string =>
  readFileSync(path.join(house, 'public', 'datasets', `${id}.jsonl`), 'utf8').trimEnd();

/** A file of so many rows: those of two samples in turn. */
function mixedFile(rows: number): string {
  const others = sample('sentiment-label').split('\n');
  const lines = sample('pirate-voice').split('\n');
  return lines
    .flatMap((line, i) => [line, others[i] ?? ''])
    .slice(0, rows)
    .join('\n');
}

/** Makes one run, and tells where its processor time went, in ms. */
async function timesOf(
  { text, pins, settings = [] }: Case,
  model: string,
  work: string,
  workbench: Workbench,
): Promise<{ times: Times; run: Run }> {
  const data = path.join(work, 'rows.jsonl');
  writeFileSync(data, `${text}\n`);
  const args = parseArguments(train, ['--model', model, '--data', data, '--out', 'none', ...settings]);
  const h = settingsFor(args, workbench.model.parameters);
  const dataset = await readRows(args, workbench, h, () => {}, platform);
  await dataset.provideProbe(platform);
  const prompts = PROMPTS.slice(0, pins).map((prompt) => ({ prompt, system: '', expected: '' }));
  const pinned = pins > 0 ? { prompts, every: 'epoch' as const } : null;
  const run = Run.prepare(workbench, dataset, h, workbench, platform, { pinned });

  const times = Object.fromEntries(PARTS.map((part) => [part, 0])) as Times;
  const { trainer } = run;
  const events = trainer.run.bind(trainer);
  trainer.run = async function* (lookahead) {
    const going = events(lookahead);
    try {
      for (;;) {
        const before = processorMs();
        const next = await going.next();
        times[next.done ? 'other' : partOf(next.value)] += processorMs() - before;
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await going.return(undefined);
    }
  };
  const make = PinnedAnswers.prototype.make;
  PinnedAnswers.prototype.make = async function (...about) {
    const before = processorMs();
    await make.apply(this, about);
    times.pinned += processorMs() - before;
  };
  const before = processorMs();
  const summary = await run
    .go(
      () => {},
      () => {},
    )
    .finally(() => {
      PinnedAnswers.prototype.make = make;
    });
  times.other += processorMs() - before - PARTS.reduce((sum, part) => sum + times[part], 0);
  if (summary.state !== 'finished') throw new Error(`The run ${summary.state}: ${summary.error?.message}`);
  if (pins > 0 && times.pinned === 0) throw new Error('No pinned prompt was answered.');
  return { times, run };
}

/** Prints a table, a line a run. @param rounds of each case, in turns */
export async function measure(name = 'pebble-1m', rounds = '1'): Promise<void> {
  const model = path.join(house, 'models', name);
  const workbench = await openWorkbench(model, 'wasm', platform, () => {});
  const list: { id: string; settings: { lora: object } }[] = JSON.parse(
    readFileSync(path.join(house, 'public', 'datasets', 'index.json'), 'utf8'),
  );
  const own = list.find(({ id }) => id === 'pirate-voice')?.settings.lora ?? {};
  const recommended = Object.entries(own).flatMap(([setting, value]) => [`--${setting}`, String(value)]);
  const cases: Case[] = [0, 3].flatMap((pins) => [
    { rows: 'pirate-voice', text: sample('pirate-voice'), pins },
    { rows: 'pirate-voice, its settings', text: sample('pirate-voice'), pins, settings: recommended },
    { rows: '240 rows', text: mixedFile(240), pins },
  ]);
  const work = mkdtempSync(path.join(tmpdir(), 'measuring-'));
  try {
    // V8 compiles the hot loops while the first run goes on.
    await timesOf({ rows: '', text: mixedFile(60), pins: 1 }, model, work, workbench);
    console.log(
      `| rows | pins | steps | evaluations × rows | ${MEASURING.join(' | ')} | without the end | all |`,
    );
    console.log(`|${' --- |'.repeat(6 + MEASURING.length)}`);
    for (let round = 0; round < Number(rounds); round++)
      for (const about of cases) {
        const { times, run } = await timesOf(about, model, work, workbench);
        const all = PARTS.reduce((sum, part) => sum + times[part], 0);
        const percent = (ms: number) => `${((100 * ms) / all).toFixed(1)} %`;
        const sumOf = (parts: readonly Part[]) => parts.reduce((sum, part) => sum + times[part], 0);
        const { evaluateAt, sample: rows, totalSteps } = run.trainer.plan;
        const measured = `${evaluateAt.size} × ${rows.train.length + rows.validation.length}`;
        const shares = MEASURING.map((part) => percent(times[part])).join(' | ');
        console.log(
          `| ${about.rows} | ${about.pins} | ${totalSteps} | ${measured} | ${shares} | ${percent(sumOf(DURING))} | ${percent(sumOf(MEASURING))} |`,
        );
        run.trainer.dispose();
      }
  } finally {
    rmSync(work, { recursive: true });
  }
}
