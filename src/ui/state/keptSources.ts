// Files and texts of rows, as records that are kept over a reload, and back.
// Not here: the shape of the records (keptRecords.ts), when they are kept (kept.svelte.ts).

import type { BesideSources, DataSource } from '../../contract';
import { KEPT_VERSION, type KeptData, type KeptSource } from './keptRecords';
import type { SampleData } from './samples';

/** What is kept of the rows: those that could be read. */
export interface LastingData {
  source: DataSource;
  beside: BesideSources;
  consented: boolean;
  /** The sample that they are; null for rows of one's own. */
  sample: SampleData | null;
}

/** In bytes, those of the files beside it included. */
export function sizeOf({ source, beside }: Pick<LastingData, 'source' | 'beside'>): number {
  return [source, beside.validation, beside.test].reduce((sum, one) => sum + (one ? bytesOf(one) : 0), 0);
}

function bytesOf(source: DataSource): number {
  return source.kind === 'file' ? source.file.size : new Blob([source.text]).size;
}

async function recordOf(source: DataSource): Promise<KeptSource> {
  const { name } = source;
  const reading = source.reading !== undefined && { reading: source.reading };
  if (source.kind === 'text') return { kind: 'text', name, text: source.text, ...reading };
  const { file, encoding } = source;
  const bytes = await file.arrayBuffer();
  return { kind: 'file', name, bytes, ...(encoding !== undefined && { encoding }), ...reading };
}

export function sourceOf(record: KeptSource): DataSource {
  const { name } = record;
  const reading = record.reading !== undefined && { reading: record.reading };
  if (record.kind === 'text') return { kind: 'text', name, text: record.text, ...reading };
  const { bytes, encoding } = record;
  return {
    kind: 'file',
    name,
    file: new Blob([bytes]),
    ...(encoding !== undefined && { encoding }),
    ...reading,
  };
}

export async function dataRecord({ source, beside, sample, consented }: LastingData): Promise<KeptData> {
  const kept: KeptData['beside'] = {};
  for (const use of ['validation', 'test'] as const) {
    const other = beside[use];
    if (other) kept[use] = await recordOf(other);
  }
  const common = {
    version: KEPT_VERSION,
    consent: consented,
    ...(Object.keys(kept).length > 0 && { beside: kept }),
  };
  if (sample) return { ...common, kind: 'sample', id: sample.id };
  return { ...common, ...(await recordOf(source)) };
}

export function besideOf({ beside = {} }: KeptData): BesideSources {
  return {
    ...(beside.validation && { validation: sourceOf(beside.validation) }),
    ...(beside.test && { test: sourceOf(beside.test) }),
  };
}
