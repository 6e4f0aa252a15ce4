// Notes that are added to the run.json of a result later: that its test rows were measured, what a cross-validation came to.
// Not here: the record itself (session/results.ts), putting files in place (output.ts).

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { jsonText } from '../engine/model/artifacts';
import { type RunRecord, readRunRecord } from '../session/results';
import { replaceFile } from './output';

/** Adds to the record in a folder, or replaces what stands there under these names. @throws PlaygroundError `bad_record` */
export async function noteInRecord(folder: string, notes: Partial<RunRecord>): Promise<void> {
  const record = readRunRecord(await readFile(path.join(folder, 'run.json'), 'utf8'));
  await replaceFile(folder, 'run.json', new TextEncoder().encode(jsonText({ ...record, ...notes })));
}
