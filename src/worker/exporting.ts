// Exporting for the page: the files of a format, proved, in one zip file.
// Not here: making and proving them (session/exports.ts), the packed file of several runs (runsFile.ts).

import { Zip, ZipPassThrough } from 'fflate';
import type { RunConfig } from '../contract';
import type { KeepFile, OutFile } from '../engine/model/weightFiles';
import { PlaygroundError } from '../errors';
import type { ExportedFile, ExportRequest } from '../exportContract';
import type { Dataset } from '../session/dataset';
import { type ExportHooks, makeExport } from '../session/exports';
import type { BaseModel } from '../session/model';
import type { Platform } from '../session/platform';
import type { RestoredRun } from '../session/restoredRun';
import type { LearnedWeights } from '../session/results';
import type { Run } from '../session/run';
import { needed } from './refusals';

/**
 * What a run has learned, in a format.
 * @param dataset what is loaded, or null; its rows are the prompts of the proof where the run was made on them
 * @throws PlaygroundError `no_tuned_model` before the run has ended; what `makeExport` throws
 */
export async function exportedFile(
  base: BaseModel,
  run: Run | RestoredRun,
  learned: LearnedWeights,
  dataset: Dataset | null,
  request: ExportRequest,
  platform: Platform,
  hooks: ExportHooks,
): Promise<ExportedFile> {
  const summary = needed('run', run.summary);
  const { points, weights } = run;
  const own = rowsOf(run.config, dataset);
  const source = { base, learner: learned.learner, run: { summary, learned, points, weights }, dataset: own };
  const { files, proof, notices } = await makeExport(source, request, keepAsBlob, platform, hooks);
  return { file: await zipOf(files), paths: files.map(({ path }) => path), proof, notices };
}

/** The rows that are loaded, where they are those of the run. */
export const rowsOf = ({ datasetHash }: RunConfig, dataset: Dataset | null): Dataset | null =>
  dataset?.report.hash === datasetHash ? dataset : null;

/** Blobs live where the browser puts them, on disk when they are large. */
const keepAsBlob: KeepFile = async (_path, _size, pieces) => {
  const parts: Blob[] = [];
  for await (const piece of pieces) parts.push(new Blob([piece]));
  return new Blob(parts);
};

/** A zip file without its extension for files over 4 GiB cannot hold more. */
const MOST_BYTES = 2 ** 32 - 2 ** 20;

/**
 * Files as one zip, not compressed: weights hardly get smaller. Memory: one piece of a file at a time.
 * @throws PlaygroundError `export_too_large`
 */
async function zipOf(files: readonly OutFile[]): Promise<Blob> {
  const blobs = files.map(({ path, bytes }) => ({ path, blob: new Blob([bytes as BlobPart]) }));
  if (blobs.reduce((sum, { blob }) => sum + blob.size, 0) > MOST_BYTES)
    throw new PlaygroundError({
      code: 'export_too_large',
      message: 'Together the files are larger than 4 GiB, which one zip file cannot hold.',
      fix: 'Choose a smaller type of weights, or export with the command line.',
    });
  const parts: Blob[] = [];
  const zip = new Zip((thrown, bytes) => {
    if (thrown) throw thrown;
    parts.push(new Blob([bytes as Uint8Array<ArrayBuffer>]));
  });
  for (const { path, blob } of blobs) {
    const entry = new ZipPassThrough(path);
    zip.add(entry);
    const reader = blob.stream().getReader();
    for (;;) {
      const { done, value } = await reader.read();
      entry.push(value ?? new Uint8Array(0), done);
      if (done) break;
    }
  }
  zip.end();
  return new Blob(parts, { type: 'application/zip' });
}
