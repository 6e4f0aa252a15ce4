// Where the command line keeps the tiles that were measured on this machine's GPU: one file in the user's cache folder.
// Not here: measuring, and which kept table still holds (engine/tuning.ts).

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import type { DeviceReport, TileReport } from '../contract';
import { settleTiles } from '../engine/tuning';

/** `$XDG_CACHE_HOME`, or what each system has in its place. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
  const base =
    env.XDG_CACHE_HOME ||
    (platform === 'win32' && env.LOCALAPPDATA) ||
    path.join(homedir(), ...(platform === 'darwin' ? ['Library', 'Caches'] : ['.cache']));
  return path.join(base, 'finetune-playground');
}

/**
 * Settles the device's tiles with what was kept, and keeps what is new. Says what was measured, and when keeping fails, which costs a
 * measurement at each start and nothing else.
 */
export async function settleKeptTiles(
  device: DeviceReport,
  say: (sentence: string) => void,
  folder = cacheFolder(),
  settle: typeof settleTiles = settleTiles,
): Promise<TileReport | null> {
  const file = path.join(folder, 'tiles.json');
  let kept: unknown = null;
  try {
    kept = JSON.parse(await readFile(file, 'utf8'));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT')
      say(`${file} cannot be read: ${reasonOf(thrown)}`);
  }
  const settled = await settle(device, { kept, now: () => performance.now() });
  if (settled === null) return null;
  if (settled.report.chosen !== 'kept') say(`Matrix tiles: ${settled.report.because}`);
  if (settled.keep !== null) {
    try {
      await mkdir(folder, { recursive: true });
      await writeFile(file, JSON.stringify(settled.keep));
    } catch (thrown) {
      say(`They could not be kept, so the next start measures again: ${reasonOf(thrown)}`);
    }
  }
  return settled.report;
}

const reasonOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
