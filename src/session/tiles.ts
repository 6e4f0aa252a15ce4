// The device's tiles at the start: what was measured and kept before, or measured now and kept.
// Not here: measuring, and which kept table still holds (engine/device/tuning.ts), where records are kept (the platform).

import type { DeviceReport, TileReport } from '../contract';
import { measurable, settleTiles } from '../engine/device/tuning';
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
  settle: typeof settleTiles = settleTiles,
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
  const settled = await settle(device, { kept, now: () => performance.now(), again });
  if (settled === null) return null;
  if (settled.keep !== null) {
    try {
      await records.write(RECORD, settled.keep);
      const notLasting = await records.notLasting();
      if (notLasting !== null) remarks.push(`${notLasting} The next start measures again.`);
    } catch (thrown) {
      remarks.push(
        `They could not be kept, so the next start measures again: ${errorDetails(thrown).message}`,
      );
    }
  }
  return { ...settled.report, because: [settled.report.because, ...remarks].join(' ') };
}
