// Choosing tiles and measuring them, without a GPU: the rule, classes of work, the table, the search within its budget, and keeping.
// Not here: the numbers that a tile computes, and the bench that times it (tiles.gpu.test.ts).

import { describe, expect, it } from 'vitest';
import type { DeviceReport } from '../src/contract';
import type { selectTiles, TileSelection } from '../src/engine/device/tuning';
import {
  asClass,
  candidateTiles,
  chooseTile,
  className,
  classOf,
  DEPTHS,
  LARGE,
  memoryOf,
  readTileTable,
  shapeOfClass,
  type Tile,
  type TileTable,
  threadsOf,
  tileByRule,
  tileFromTable,
  tileName,
  useTileTable,
} from '../src/engine/kernels/webgpu/tiles';
import {
  classesToMeasure,
  type Stopwatch,
  type TuningOptions,
  tuneTiles,
} from '../src/engine/kernels/webgpu/tileTuning';
import { PlaygroundError } from '../src/errors';
import { keptTiles } from '../src/session/tiles';
import { storeRecords } from '../src/worker/platform';
import { memoryStore } from '../src/worker/storage';

const limits = {
  maxComputeWorkgroupStorageSize: 32 * 1024,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupSizeX: 1024,
};
const candidates = candidateTiles(limits);
const shape = (m: number, n: number, ...depths: number[]) => ({ m, n, depths });
const named = (name: string) => candidates.find((tile) => tileName(tile) === name) as Tile;

describe('candidates', () => {
  it('keep to the limits of the device', () => {
    const small = {
      maxComputeWorkgroupStorageSize: 16 * 1024,
      maxComputeInvocationsPerWorkgroup: 128,
      maxComputeWorkgroupSizeX: 256,
    };
    const few = candidateTiles(small);
    expect(few.length).toBeGreaterThan(4);
    expect(few.length).toBeLessThan(candidates.length);
    for (const tile of few) {
      expect(threadsOf(tile)).toBeLessThanOrEqual(128);
      expect(memoryOf(tile)).toBeLessThanOrEqual(16 * 1024);
    }
    expect(few.map(tileName)).toContain(tileName(LARGE));
  });

  it('have names of their own', () => {
    expect(new Set(candidates.map(tileName)).size).toBe(candidates.length);
  });
});

describe('the rule', () => {
  it.each([
    ['many large tiles', shape(768, 512, 64), '64x64x8x1'],
    ['a short inner dimension', shape(64, 64, 63), '32x32x4x1'],
    ['a longer one', shape(64, 64, 127), '32x32x4x2'],
    ['a long one', shape(64, 64, 128), '32x32x4x4'],
    ['terms that are long together', shape(64, 64, 100, 28), '32x32x4x4'],
    ['many narrow tiles', shape(32 * 384, 8, 512), '64x64x8x1'],
  ])('%s', (_, given, expected) => {
    expect(tileName(tileByRule([given], limits))).toBe(expected);
  });

  it('takes fewer slices where workgroup memory is short', () => {
    const short = { ...limits, maxComputeWorkgroupStorageSize: 16 * 1024 };
    expect(tileName(tileByRule([shape(64, 64, 512)], short))).toBe('32x32x4x2');
  });
});

describe('classes of work', () => {
  it('count the tiles of all results together, and the deepest', () => {
    expect(classOf([shape(64, 64, 70), shape(32, 33, 20, 500)])).toEqual({ area: 3, depth: 1024 });
    expect(classOf([shape(1, 1, 8)])).toEqual({ area: 2, depth: 64 });
    expect(classOf([shape(9000, 9000, 4000)])).toEqual({ area: 12, depth: 256 });
  });

  it('contain the shape that represents them', () => {
    for (const work of classesToMeasure()) expect(classOf([shapeOfClass(work)])).toEqual(work);
  });
});

describe('a table', () => {
  const table = (work: string, times: Record<string, number>): TileTable => ({ classes: { [work]: times } });
  const times = { '32x32x4x4': 1.2, '64x32x8x1': 1, '64x64x8x1': 1.1 };

  it('overrules the rule in the classes it has, and in no other', () => {
    const known = table('6:256', times);
    expect(tileFromTable(known, [shape(256, 256, 256)], limits)).toEqual(named('64x32x8x1'));
    expect(tileFromTable(known, [shape(256, 256, 64)], limits)).toBeNull();
    expect(chooseTile([shape(256, 256, 256)], limits)).toEqual(named('32x32x4x4'));
    expect(useTileTable(known)).toBeNull();
    expect(chooseTile([shape(256, 256, 256)], limits)).toEqual(named('64x32x8x1'));
    expect(chooseTile([shape(256, 256, 64)], limits)).toEqual(named('32x32x4x2'));
    expect(useTileTable(null)).toBe(known);
  });

  it('keeps the rule where the gain is no more than noise', () => {
    const close = table('6:256', { ...times, '32x32x4x4': 1.08 });
    expect(tileFromTable(close, [shape(256, 256, 256)], limits)).toEqual(named('32x32x4x4'));
  });

  it('counts what a tile computes beyond the edges', () => {
    // 64 tiles of 32×32, 2048 rows by 8 columns: a tile 64 columns wide computes twice as much for nothing.
    const wide = table('6:256', { '32x32x4x4': 1.2, '64x64x8x1': 1 });
    expect(tileFromTable(wide, [shape(256, 256, 256)], limits)).toEqual(LARGE);
    expect(tileFromTable(wide, [shape(2048, 8, 256)], limits)).toEqual(named('32x32x4x4'));
  });

  it('cuts no short inner dimension into many slices', () => {
    const sliced = table('4:64', { '32x32x4x1': 2, '32x32x8x4': 1, '32x32x4x2': 1.5 });
    expect(tileFromTable(sliced, [shape(128, 128, 128)], limits)).toEqual(named('32x32x8x4'));
    expect(tileFromTable(sliced, [shape(128, 128, 64)], limits)).toEqual(named('32x32x4x2'));
    expect(tileFromTable(sliced, [shape(128, 128, 8)], limits)).toEqual(named('32x32x4x1'));
  });

  it('is read back as it was written, and nothing else is accepted as one', () => {
    const whole = table('6:256', times);
    expect(readTileTable(JSON.parse(JSON.stringify(whole)))).toEqual(whole);
    for (const other of [
      null,
      7,
      'classes',
      {},
      { classes: 1 },
      { classes: [] },
      table('6:300', times),
      table('99:256', times),
      table('6:256', {}),
      table('6:256', { '64x64x8x1': 0 }),
      table('6:256', { '64x64x8x1': Number.NaN }),
      { classes: { '6:256': { '64x64x8x1': '1' } } },
    ]) {
      expect(readTileTable(other), JSON.stringify(other)).toBeNull();
    }
  });
});

/** A GPU that takes for a product what `costOf` says, a little more each time by `noise`. */
function card(costOf: (tile: Tile, m: number, n: number, depth: number) => number, noise = () => 0) {
  let clock = 0;
  const samples: string[] = [];
  const stopwatch: Stopwatch = async (asked) =>
    asked.map(({ tile, work, repeats }) => {
      const { m, n } = shapeOfClass(work);
      const ms = repeats * costOf(tile, m, n, work.depth) * (1 + noise());
      samples.push(className(work));
      clock += ms;
      return ms;
    });
  const options: TuningOptions = {
    candidates,
    limits,
    stopwatch,
    now: () => clock,
    deviceMs: 400,
    until: 1400,
    firstMs: 0.8,
    sampleMs: 1.6,
  };
  return { options, samples };
}

/** 0.01 ms to begin with, then as many operations a millisecond; the favourite is twice as fast. */
const fair =
  (favourite: string, speed = 5e9) =>
  (tile: Tile, m: number, n: number, depth: number) =>
    (0.01 + (2 * m * n * depth) / speed) / (tileName(tile) === favourite ? 2 : 1);

describe('the search', () => {
  it('finds the fastest tile of every class in which it is a candidate', async () => {
    const { options } = card(fair('64x32x8x1'));
    const { table, measured, deviceMs } = await tuneTiles(options);
    expect(deviceMs).toBeLessThanOrEqual(420);
    expect(measured).toBeGreaterThan(12);
    for (const area of [5, 6, 7, 8, 9, 10]) {
      const found = tileFromTable(table, [shapeOfClass(asClass(area, 256))], limits);
      expect(found && tileName(found), `area ${area}`).toBe('64x32x8x1');
    }
    expect(readTileTable(JSON.parse(JSON.stringify(table)))).toEqual(table);
  });

  it('measures between two classes that disagree, and not between two that agree', async () => {
    // Beyond 128 tiles of 32×32 the large tile wins, below it the tall one.
    const cost = (tile: Tile, m: number, n: number, depth: number) =>
      fair(m * n > 128 * 1024 ? '64x64x4x1' : '64x32x8x1')(tile, m, n, depth);
    const { options, samples } = card(cost);
    const { table } = await tuneTiles(options);
    const winner = (area: number) => {
      const tile = tileFromTable(table, [shapeOfClass(asClass(area, 256))], limits);
      return tile && tileName(tile);
    };
    expect([6, 7, 8].map(winner)).toEqual(['64x32x8x1', '64x32x8x1', '64x64x4x1']);
    expect(samples).toContain('7:256');
    expect(samples).not.toContain('9:256');
    expect(winner(9)).toBe('64x64x4x1');
  });

  it('keeps to the rule on a noisy clock where all are alike', async () => {
    let state = 1;
    const noise = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      // Mostly little, sometimes a disturbance of another program.
      return state % 10 === 0 ? 0.5 : (state / 2 ** 32) * 0.03;
    };
    const { options } = card(fair('none'), noise);
    const { table } = await tuneTiles(options);
    for (const [name] of Object.entries(table.classes)) {
      const [area, depth] = name.split(':').map(Number) as [number, number];
      const of = [shapeOfClass(asClass(area, depth))];
      expect(tileFromTable(table, of, limits), name).toEqual(tileByRule(of, limits));
    }
  });

  it('stays within its time on a slow device, and leaves the rest to the rule', async () => {
    const { options } = card(fair('64x32x8x1', 3e7));
    const { table, deviceMs, measured } = await tuneTiles(options);
    expect(measured).toBeGreaterThan(0);
    expect(deviceMs).toBeLessThan(600);
    expect(table.classes['12:256']).toBeUndefined();
  });

  it('begins nothing after the time is up', async () => {
    const { options } = card(fair('64x32x8x1'));
    const { measured, deviceMs } = await tuneTiles({ ...options, until: -1 });
    expect(measured).toBe(0);
    expect(deviceMs).toBeLessThan(100);
  });

  it('uses no time that is not a positive number', async () => {
    for (const broken of [0, -1, Number.NaN]) {
      const { options } = card(() => broken);
      expect((await tuneTiles(options)).table.classes).toEqual({});
    }
    // One tile only: it is left out, the others are judged.
    const { options } = card((tile, m, n, depth) =>
      tileName(tile) === '64x64x4x1' ? 0 : fair('64x32x8x1')(tile, m, n, depth),
    );
    const { table } = await tuneTiles(options);
    expect(table.classes['8:256']).toHaveProperty(['64x32x8x1'], 1);
    expect(table.classes['8:256']).not.toHaveProperty(['64x64x4x1']);
  });

  it('measures nothing where the rule’s own tile cannot run', async () => {
    const { options } = card(fair('64x32x8x1'));
    const without = candidates.filter((tile) => tileName(tile) !== '32x32x4x4');
    const { table } = await tuneTiles({ ...options, candidates: without });
    for (const depth of DEPTHS)
      expect(table.classes[className(asClass(8, depth))] === undefined).toBe(depth > 64);
  });
});

describe('keeping', () => {
  const device = (over: Partial<DeviceReport> = {}): DeviceReport => ({
    backend: 'webgpu',
    because: '',
    adapter: { vendor: 'v', architecture: 'a', description: 'd', software: false },
    features: [],
    limits: {},
    selfTest: [],
    threads: 0,
    simd: false,
    relaxedSimd: false,
    ...over,
  });
  const report = { chosen: 'measured', because: 'Measured.', id: '1', sizes: [] } as const;
  const fresh: TileSelection = {
    report: { ...report, sizes: [] },
    keep: { key: 'k', table: { classes: {} } },
  };
  /** Takes what was kept where there is something. */
  const selector = () => {
    const seen: unknown[] = [];
    const select: typeof selectTiles = async (_, { kept }) => {
      seen.push(kept);
      return kept === null ? fresh : { report: { ...fresh.report, chosen: 'kept' }, keep: null };
    };
    return { seen, select };
  };

  it('hands what was measured to the next start, and not to one that measures again', async () => {
    const store = memoryStore();
    const { seen, select } = selector();
    const go = (again: boolean) =>
      keptTiles(
        device(),
        storeRecords(async () => store),
        again,
        select,
      );
    expect((await go(false))?.chosen).toBe('measured');
    expect((await go(false))?.chosen).toBe('kept');
    expect((await go(true))?.chosen).toBe('measured');
    expect(seen).toEqual([null, fresh.keep, null]);
  });

  it('reports when nothing can be kept, and when what was kept cannot be read', async () => {
    const store = memoryStore();
    const forgets = await keptTiles(
      device(),
      storeRecords(async () => store),
      false,
      selector().select,
    );
    expect(forgets?.because).toMatch(/^Measured\..*keeps no files.*measures again/);
    const full = async () => {
      throw new PlaygroundError({ code: 'storage_full', message: 'No room.', fix: '' });
    };
    const lost = await keptTiles(device(), storeRecords(full), false, selector().select);
    expect(lost?.chosen).toBe('measured');
    expect(lost?.because).toMatch(/could not be read: No room\. .*could not be kept.*No room\./);
    const file = await store.append('tiles', 'table.json', 0);
    file.write(new TextEncoder().encode('{"key": "cut o'));
    file.close();
    const { seen, select } = selector();
    const mended = await keptTiles(
      device(),
      storeRecords(async () => store),
      false,
      select,
    );
    expect(seen).toEqual([null]);
    expect(mended?.because).toMatch(/could not be read/);
    expect(
      (
        await keptTiles(
          device(),
          storeRecords(async () => store),
          false,
          select,
        )
      )?.chosen,
    ).toBe('kept');
  });

  it('leaves the store alone where nothing is measured', async () => {
    const open = async () => {
      throw new Error('opened');
    };
    const software = device({ adapter: { vendor: '', architecture: '', description: '', software: true } });
    for (const other of [device({ backend: 'wasm' }), software]) {
      const select: typeof selectTiles = async () => ({ report: { ...fresh.report }, keep: null });
      expect((await keptTiles(other, storeRecords(open), false, select))?.because).toBe('Measured.');
    }
  });
});
