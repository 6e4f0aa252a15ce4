// Several runs as one file: a zip of stored entries with a list, the metric points and the weights of each run. Written, and read as untrusted.
// Not here: where the runs come from and go to (runKeeping.ts), the page's record of a run (ui/state/keptRecords.ts), which the page checks.

import { strFromU8, strToU8, unzipSync, Zip, ZipPassThrough } from 'fflate';
import {
  array,
  literal,
  looseObject,
  nullable,
  number,
  object,
  optional,
  pipe,
  regex,
  safeParse,
  string,
  unknown,
} from 'valibot';
import type { MetricPoint } from '../contract';
import { PlaygroundError } from '../errors';
import type { PackedRun } from '../storedRuns';
import { RUNS_BUDGET_BYTES } from './runStore';

const FORMAT = 'finetune-playground-runs';
/** Increased when a reader of an earlier version would misread the file. */
const VERSION = 1;
const LIST = 'runs.json';
const MAX_RUNS = 200;
const MAX_LIST_BYTES = 50_000_000;
const MAX_POINTS_BYTES = 100_000_000;

const NAMES = /^(runs\.json|run-\d{1,4}\/(metrics\.jsonl|weights\.safetensors|step-\d{1,9}\.safetensors))$/;

const CONTENT = object({
  format: literal(FORMAT),
  version: literal(VERSION),
  runs: array(
    object({
      record: unknown(),
      points: pipe(string(), regex(NAMES)),
      weights: nullable(pipe(string(), regex(NAMES))),
      /** Absent in files of earlier versions. */
      steps: optional(array(pipe(string(), regex(NAMES)))),
    }),
  ),
});

const POINT = looseObject({
  name: string(),
  step: number(),
  epoch: number(),
  tokens: number(),
  elapsedMs: number(),
  /** JSON has no NaN. */
  value: nullable(number()),
});

/** Weights do not compress, so entries are stored. */
export async function packRuns(runs: readonly PackedRun[]): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let failure: Error | null = null;
  const zip = new Zip((error, chunk) => {
    failure ??= error;
    if (!error) parts.push(chunk as Uint8Array<ArrayBuffer>);
  });
  const put = (path: string, bytes: Uint8Array) => {
    const entry = new ZipPassThrough(path);
    zip.add(entry);
    entry.push(bytes, true);
  };
  const list = [];
  for (const [i, { record, points, weights, steps }] of runs.entries()) {
    const at = `run-${i + 1}`;
    const entry = {
      record,
      points: `${at}/metrics.jsonl`,
      weights: weights && `${at}/weights.safetensors`,
      steps: steps.map((_, n) => `${at}/step-${n + 1}.safetensors`),
    };
    put(entry.points, strToU8(points.map((p) => `${JSON.stringify(p)}\n`).join('')));
    if (weights && entry.weights) put(entry.weights, new Uint8Array(await weights.arrayBuffer()));
    for (const [n, path] of entry.steps.entries())
      put(path, new Uint8Array(await (steps[n] as Blob).arrayBuffer()));
    list.push(entry);
  }
  put(LIST, strToU8(`${JSON.stringify({ format: FORMAT, version: VERSION, runs: list }, null, 2)}\n`));
  zip.end();
  if (failure) throw failure;
  return new Blob(parts, { type: 'application/zip' });
}

const refused = (reason: string, cause?: unknown) =>
  new PlaygroundError(
    {
      code: 'bad_runs_file',
      message: `This is no file of runs that can be read: ${reason}.`,
      fix: 'Choose a file that “Export all” of this page wrote. Nothing was changed.',
    },
    { cause },
  );

/** @throws PlaygroundError `bad_runs_file`; the weights inside are not examined yet */
export async function unpackRuns(file: Blob): Promise<PackedRun[]> {
  if (file.size > RUNS_BUDGET_BYTES + MAX_LIST_BYTES) throw refused('it is larger than all runs may be');
  const entries = unzipped(new Uint8Array(await file.arrayBuffer()));
  const list = entries.get(LIST);
  if (!list) throw refused(`it has no ${LIST}`);
  let value: unknown;
  try {
    value = JSON.parse(strFromU8(list));
  } catch (cause) {
    throw refused(`its ${LIST} is not JSON`, cause);
  }
  const version = typeof value === 'object' && value !== null ? Reflect.get(value, 'version') : undefined;
  if (Number.isInteger(version) && version !== VERSION)
    throw refused(`it is of version ${version}, and this page reads version ${VERSION}`);
  const found = safeParse(CONTENT, value);
  if (!found.success) {
    const [issue] = found.issues;
    const key = issue.path?.map((part: { key?: unknown }) => String(part.key)).join('.') ?? 'all of it';
    throw refused(`${key} in its ${LIST} is not what belongs there`);
  }
  const { runs } = found.output;
  if (runs.length > MAX_RUNS) throw refused(`it lists ${runs.length} runs, and ${MAX_RUNS} are the most`);
  const entryOf = (path: string) => {
    const bytes = entries.get(path);
    if (bytes) return bytes;
    throw refused(`${path} is listed and not in it`);
  };
  return runs.map(({ record, points, weights, steps = [] }) => ({
    record,
    points: pointsOf(strFromU8(entryOf(points)), points),
    weights: weights === null ? null : new Blob([entryOf(weights)]),
    steps: steps.map((path) => new Blob([entryOf(path)])),
  }));
}

/** By name. Nothing is unpacked that has another name or would be larger than what this page writes. */
function unzipped(bytes: Uint8Array): Map<string, Uint8Array<ArrayBuffer>> {
  let total = 0;
  let wrong: string | null = null;
  const wanted = ({ name, originalSize }: { name: string; originalSize: number }) => {
    total += originalSize;
    if (!NAMES.test(name)) wrong ??= `it holds “${name.slice(0, 60)}”, which does not belong there`;
    else if (name === LIST && originalSize > MAX_LIST_BYTES) wrong ??= `its ${LIST} is too large`;
    else if (name.endsWith('.jsonl') && originalSize > MAX_POINTS_BYTES) wrong ??= `${name} is too large`;
    else if (total > RUNS_BUDGET_BYTES + MAX_LIST_BYTES)
      wrong ??= 'it unpacks to more than all runs may take';
    return wrong === null;
  };
  let files: Record<string, Uint8Array>;
  try {
    files = unzipSync(bytes, { filter: wanted });
  } catch (cause) {
    throw refused(wrong ?? 'it is no zip file, or was cut off', cause);
  }
  if (wrong !== null) throw refused(wrong);
  return new Map(Object.entries(files) as [string, Uint8Array<ArrayBuffer>][]);
}

function pointsOf(jsonLines: string, path: string): MetricPoint[] {
  return jsonLines.split('\n').flatMap((line, i) => {
    if (line === '') return [];
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw refused(`line ${i + 1} of ${path} is not JSON`, cause);
    }
    const found = safeParse(POINT, value);
    if (!found.success) throw refused(`line ${i + 1} of ${path} is no metric point`);
    return [{ ...found.output, value: found.output.value ?? Number.NaN } as unknown as MetricPoint];
  });
}
