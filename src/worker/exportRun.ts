// A run as one zip: what it learned, its settings and its numbers.
// Not here: the files in it (engine/artifacts.ts), which weights (session.ts).

import { zipSync } from 'fflate';
import type { MetricPoint, RunConfig } from '../contract';
import type { Learner } from '../engine/adapters';
import { jsonText, type LoadedModel, learnedFiles, type OutFile } from '../engine/artifacts';
import { toCsv } from '../metrics/curves';

/** @throws PlaygroundError `non_finite` rather than writing weights that are not numbers. */
export async function exportRun(
  loaded: LoadedModel,
  learner: Learner,
  config: RunConfig,
  points: readonly MetricPoint[],
): Promise<Blob> {
  const files: OutFile[] = [
    ...(await learnedFiles(loaded, learner, config, points)),
    { path: 'run.json', bytes: jsonText(config) },
    { path: 'metrics.csv', bytes: toCsv(points) },
  ];
  const text = new TextEncoder();
  const entries = files.map(({ path, bytes }) => [
    path,
    typeof bytes === 'string' ? text.encode(bytes) : bytes,
  ]);
  // Weights do not compress; storing them is quick.
  const zip = zipSync(Object.fromEntries(entries), { level: 0 });
  return new Blob([zip as Uint8Array<ArrayBuffer>], { type: 'application/zip' });
}
