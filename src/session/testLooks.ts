// How many times test rows have been looked at on this device, by their hash: a set that is used to choose is no test any more.
// Not here: measuring them (testRows.ts, evaluation.ts), the notes in the record of one run (results.ts).

import type { Records } from './platform';

const RECORD = 'test-looks';

/**
 * Counts one more look at the test rows of this hash.
 * @returns all looks, this one included; null where the device keeps no records, so that none can be counted
 */
export async function countTestLook(records: Records, hash: string): Promise<number | null> {
  try {
    const kept = await records.read(RECORD);
    const counts: Record<string, unknown> = typeof kept === 'object' && kept !== null ? { ...kept } : {};
    const before = counts[hash];
    const looks = (typeof before === 'number' && Number.isInteger(before) ? before : 0) + 1;
    await records.write(RECORD, { ...counts, [hash]: looks });
    return (await records.notLasting()) === null ? looks : null;
  } catch {
    // Private windows keep no files. The count is then shown as unknown; the evaluation itself needs none.
    return null;
  }
}
