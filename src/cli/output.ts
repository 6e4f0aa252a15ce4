// What a run leaves in its folder: the adapter or the whole model, how it was made, and its metric points.
// Not here: the formats themselves (formats/), writing to disk (disk.ts).

import type { MetricPoint, RunSummary } from '../contract';
import type { Learner } from '../engine/adapters';
import { jsonText, learnedFiles, type OutFile } from '../engine/artifacts';
import { toCsv } from '../metrics/curves';
import type { Workbench } from './workbench';

/** All that a training run writes. */
export async function runFiles(
  workbench: Workbench,
  learner: Learner,
  summary: RunSummary,
  points: readonly MetricPoint[],
): Promise<OutFile[]> {
  return [
    ...(await learnedFiles(workbench, learner, summary.config, points)),
    ...recordFiles(summary, points),
  ];
}

/** How it went, without weights: all there is when a run failed before its first step. */
export function recordFiles(summary: RunSummary, points: readonly MetricPoint[]): OutFile[] {
  return [
    { path: 'run.json', bytes: jsonText(summary) },
    { path: 'metrics.jsonl', bytes: points.map((p) => `${JSON.stringify(p)}\n`).join('') },
    { path: 'metrics.csv', bytes: toCsv(points) },
  ];
}
