// Where the tiles that were measured on this device are kept between visits: one small file in the browser's private file system.
// Not here: measuring, and which kept table still holds (engine/tuning.ts), the file system itself (storage.ts).

import type { DeviceReport, TileReport } from '../contract';
import { type KeptTiles, measurable, settleTiles } from '../engine/tuning';
import { errorDetails } from '../errors';
import { openStore, type Store } from './storage';

const FOLDER = 'tiles';
const FILE = 'table.json';

const openTiles = (): Promise<Store> => openStore('device');

/**
 * Settles the device's tiles with what was kept, and keeps what is new. A store that fails costs a measurement at each visit, which the
 * report then says; it never costs the visit.
 */
export async function settleKeptTiles(
  device: DeviceReport,
  again: boolean,
  open: () => Promise<Store> = openTiles,
  settle: typeof settleTiles = settleTiles,
): Promise<TileReport | null> {
  const remarks: string[] = [];
  let kept: unknown = null;
  if (measurable(device) && !again) {
    try {
      kept = await readKept(await open());
    } catch (thrown) {
      remarks.push(`What was kept could not be read: ${errorDetails(thrown).message}`);
    }
  }
  const settled = await settle(device, { kept, now: () => performance.now(), again });
  if (settled === null) return null;
  if (settled.keep !== null) {
    try {
      const store = await open();
      await writeKept(store, settled.keep);
      if (!store.lasting)
        remarks.push('This browser keeps no files for the page, so the next visit measures again.');
    } catch (thrown) {
      remarks.push(
        `They could not be kept, so the next visit measures again: ${errorDetails(thrown).message}`,
      );
    }
  }
  return { ...settled.report, because: [settled.report.because, ...remarks].join(' ') };
}

async function readKept(store: Store): Promise<unknown> {
  const file = await store.read(FOLDER, FILE);
  return file === null ? null : JSON.parse(await file.text());
}

async function writeKept(store: Store, kept: KeptTiles): Promise<void> {
  const file = await store.append(FOLDER, FILE, 0);
  await file.write(new TextEncoder().encode(JSON.stringify(kept)));
  await file.close();
}
