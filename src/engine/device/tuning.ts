// The tiles of the running device: from a kept table, measured, or by the rule; and the report that says which.
// Not here: where they are kept (session/tiles.ts), the search (kernels/webgpu/tileTuning.ts), the rule (kernels/webgpu/tiles.ts).

import type { DeviceReport, TileReport } from '../../contract';
import { webgpuBackend } from '../kernels/webgpu/program';
import {
  asClass,
  candidateTiles,
  chooseTile,
  className,
  fingerprint,
  readTileTable,
  shapeOfClass,
  type TileTable,
  tileByRule,
  tileName,
  useTileTable,
} from '../kernels/webgpu/tiles';
import { tuneTiles } from '../kernels/webgpu/tileTuning';
import { programsOf, type TileBench, withTileBench } from '../kernels/webgpu/tileTuning.wgsl';

export interface TileOptions {
  /** What was kept at an earlier start: anything, or null. If it is not a table of this device and these programs, tiles are measured again. */
  kept: unknown;
  /** Milliseconds of any clock that runs while the device works. */
  now: () => number;
  /** Measures even if a valid table was kept. */
  again?: boolean;
  /** Measures on a software adapter too, whose times mean nothing: for tests of the mechanism. */
  onSoftware?: boolean;
  /** Replaces the bench's own stopwatch. */
  stopwatch?: TileBench['stopwatch'];
}

export interface TileSelection {
  report: TileReport;
  /** Plain JSON; null when there is nothing new to keep. */
  keep: KeptTiles | null;
}

export interface KeptTiles {
  key: string;
  table: TileTable;
}

/** Budgets: time on the device for measuring, time for compiling, and time for all. */
const DEVICE_MS = 400;
const COMPILE_MS = 600;
const ALL_MS = 1400;
/** Chrome rounds the GPU's time to 65 µs, so a sample must take much longer. */
const GPU_SAMPLES = { firstMs: 0.8, sampleMs: 1.6 };
/** The page's clock includes the time to submit and to be notified, so its samples are longer. */
const PAGE_SAMPLES = { firstMs: 4, sampleMs: 6 };

/** False on wasm, and on a software adapter, whose times depend on the processor's other work. */
export const measurable = (device: DeviceReport): boolean =>
  device.backend === 'webgpu' && device.adapter !== null && !device.adapter.software;

/** Identifies device, limits and programs: a table is valid for one key. */
function tileKey({ adapter, limits }: DeviceReport): string {
  const { vendor, architecture, description } = adapter as NonNullable<DeviceReport['adapter']>;
  const { maxComputeWorkgroupStorageSize: memory, maxComputeInvocationsPerWorkgroup: threads } = limits;
  const programs = programsOf(candidateTiles(webgpuBackend().device.limits));
  return [vendor, architecture, description, memory, threads, programs].join(' | ');
}

/**
 * Selects the tiles that products use from now on. Must not be called during a run: other tiles add numbers in another order. An error of the
 * device is not thrown: the rule is used, and the report says why. Null on backends without tiles.
 */
export async function selectTiles(device: DeviceReport, options: TileOptions): Promise<TileSelection | null> {
  if (device.backend !== 'webgpu') return null;
  useTileTable(null);
  if (!measurable(device) && !options.onSoftware) {
    const because = 'Chosen by rule: on a software adapter times say nothing about a graphics card.';
    return { report: reportOf('rule', because, null), keep: null };
  }
  const key = tileKey(device);
  const known = options.again ? null : keptTable(options.kept, key);
  if (known !== null) {
    useTileTable(known);
    const because = 'Measured on this device at an earlier visit.';
    return { report: reportOf('kept', because, known), keep: null };
  }
  try {
    const { table, because } = await measure(options);
    useTileTable(table);
    return { report: reportOf('measured', because, table), keep: { key, table } };
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    const because = `Chosen by rule, because they could not be measured: ${reason}`;
    return { report: reportOf('rule', because, null), keep: null };
  }
}

function keptTable(kept: unknown, key: string): TileTable | null {
  const { key: itsKey, table } = (kept ?? {}) as Partial<Record<keyof KeptTiles, unknown>>;
  return itsKey === key ? readTileTable(table) : null;
}

async function measure({ now, stopwatch }: TileOptions): Promise<{ table: TileTable; because: string }> {
  const { limits } = webgpuBackend().device;
  const startedAt = now();
  const all = candidateTiles(limits);
  const bench = { now, until: startedAt + COMPILE_MS };
  return withTileBench(all, bench, async ({ tiles, refused, clock, stopwatch: own }) => {
    const { table, measured } = await tuneTiles({
      candidates: tiles,
      limits,
      stopwatch: stopwatch ?? own,
      now,
      deviceMs: DEVICE_MS,
      until: startedAt + ALL_MS,
      ...(clock === 'gpu' ? GPU_SAMPLES : PAGE_SAMPLES),
    });
    if (measured === 0) {
      const late = now() - startedAt >= ALL_MS;
      throw new Error(late ? 'compiling took all the time there was.' : 'the clock gave no time to go by.');
    }
    const wrong = refused.map(({ tile, reason }) => ` ${tileName(tile)} is left out: ${reason}.`).join('');
    const how = clock === 'gpu' ? 'the GPU’s own clock' : 'the page’s clock';
    const took = Math.round(now() - startedAt);
    return {
      table,
      because: `Measured on this device: ${tiles.length} tiles in ${measured} sizes of work by ${how}, in ${took} ms.${wrong}`,
    };
  });
}

/** Work classes in the report: those of a small model's step. */
const SHOWN = [
  [4, 256],
  [6, 256],
  [8, 64],
  [8, 256],
  [8, 1024],
  [10, 256],
  [12, 256],
] as const;

function reportOf(chosen: TileReport['chosen'], because: string, table: TileTable | null): TileReport {
  const { limits } = webgpuBackend().device;
  return {
    chosen,
    because,
    id: table === null ? 'rule' : fingerprint(JSON.stringify(table)),
    sizes: SHOWN.map(([area, depth]) => {
      const work = asClass(area, depth);
      const shape = shapeOfClass(work);
      const rule = tileName(tileByRule([shape], limits));
      const tile = tileName(chooseTile([shape], limits));
      const times = table?.classes[className(work)];
      const [own, rules] = [times?.[tile], times?.[rule]];
      return {
        size: `${shape.m}×${depth}×${shape.n}`,
        tile,
        rule,
        gain: own === undefined || rules === undefined ? null : rules / own,
      };
    }),
  };
}
