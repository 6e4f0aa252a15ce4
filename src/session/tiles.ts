// The device's tiles at the start: what was measured and kept before, or measured now and kept.
// Not here: measuring, and which kept table still holds (engine/device/tuning.ts), where records are kept (the platform).

import type { DeviceReport, TileReport } from '../contract';
import { measurable, selectTiles } from '../engine/device/tuning';
import { errorDetails } from '../errors';
import type { Records } from './platform';

const RECORD = 'tiles';

/**
 * Chooses the tiles of matrix products and keeps what is new. A record that cannot be read or kept costs a measurement at each start,
 * which the report then says; it never stops the start.
 * @param again measures although a good table was kept
 */
export async function keptTiles(
  device: DeviceReport,
  records: Records,
  again = false,
  select: typeof selectTiles = selectTiles,
): Promise<TileReport | null> {
  const remarks: string[] = [];
  let kept: unknown = null;
  if (measurable(device) && !again) {
    try {
      kept = await records.read(RECORD);
    } catch (thrown) {
      remarks.push(`What was kept could not be read: ${errorDetails(thrown).message}`);
    }
  }
  const selected = await select(device, { kept, now: () => performance.now(), again });
  if (selected === null) return null;
  if (selected.keep !== null) {
    try {
      await records.write(RECORD, selected.keep);
      const notLasting = await records.notLasting();
      if (notLasting !== null) remarks.push(`${notLasting} The next start measures again.`);
    } catch (thrown) {
      remarks.push(
        `They could not be kept, so the next start measures again: ${errorDetails(thrown).message}`,
      );
    }
  }
  return { ...selected.report, because: [selected.report.because, ...remarks].join(' ') };
}
