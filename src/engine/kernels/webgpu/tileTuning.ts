// Measures which tile is fastest for which class of shapes, within a budget: what is timed, how often, and the table that results.
// Not here: the GPU and its clock (tileTuning.wgsl.ts), how a table is used (tiles.ts).

import {
  AREAS,
  asClass,
  className,
  DEPTHS,
  shapeOfClass,
  type Tile,
  type TileLimits,
  type TileTable,
  tileByRule,
  tileFromTable,
  tileName,
  type WorkClass,
  worthMeasuring,
} from './tiles';

/** The product of a class, `repeats` times one after the other, each after the one before it. */
export interface Sample {
  tile: Tile;
  work: WorkClass;
  repeats: number;
}

/** Runs samples on the device. Returns the milliseconds that each took there, all its repeats together. */
export type Stopwatch = (samples: readonly Sample[]) => Promise<number[]>;

export interface TuningOptions {
  candidates: readonly Tile[];
  limits: TileLimits;
  stopwatch: Stopwatch;
  /** Milliseconds of any clock that runs while the device works. */
  now: () => number;
  /** No class is begun that is expected to end after this much time on the device. */
  deviceMs: number;
  /** No class is begun after this value of `now`. */
  until: number;
  /** Milliseconds of a tile's first sample, and of each later sample of the best tiles. */
  firstMs: number;
  sampleMs: number;
}

export interface Tuning {
  table: TileTable;
  /** Classes that were timed; the table also has those between two that agree. */
  measured: number;
  deviceMs: number;
}

/** Repeats that one submit may hold: recording takes the processor about as long as the device needs for the smallest products. */
const MAX_REPEATS = 256;
/** A tile whose first sample takes this many times the shortest is not sampled again. */
const MAX_FIRST_RATIO = 1.3;
/** Tiles that are sampled again, beside the rule's own, and how often. */
const FINALISTS = 2;
const ROUNDS = 3;
/** An idle card runs at a low clock; this much work raises it. */
const WARM_UP_MS = 25;

/** Every second area, the most frequent shapes of small models first; the areas between are measured only where their neighbours disagree. */
const ORDER: readonly WorkClass[] = (
  [
    [8, 256],
    [6, 256],
    [10, 256],
    [4, 256],
    [8, 64],
    [6, 1024],
    [12, 256],
    [8, 1024],
    [10, 64],
    [6, 64],
    [4, 1024],
    [12, 64],
    [10, 1024],
    [2, 256],
    [4, 64],
    [2, 1024],
    [2, 64],
  ] as const
).map(([area, depth]) => ({ area, depth }));

/** Every class that may be timed, for allocating the buffers they need. */
export const classesToMeasure = (): WorkClass[] => {
  const all = new Map<string, WorkClass>();
  for (let area = AREAS.min; area <= AREAS.max; area++) {
    for (const depth of DEPTHS) all.set(className(asClass(area, depth)), asClass(area, depth));
  }
  return [...all.values()];
};

const flopsOf = (work: WorkClass): number => {
  const { m, n } = shapeOfClass(work);
  return 2 * m * n * work.depth;
};

/**
 * How it works: warm the card up; then, class by class in `ORDER`, (1) find how many repeats of the rule's own tile the clock can resolve,
 * (2) time every candidate once, (3) time the best `FINALISTS` and the rule's own in `ROUNDS` interleaved rounds, so that a change
 * of the card's clock affects all alike, and keep the shortest time of each, since disturbances only lengthen a sample. A class between two
 * that chose the same tile gets the mean of their times; one between two that disagree is measured.
 * Stops adding classes when the predicted time would exceed `deviceMs`, or at `until`.
 */
export async function tuneTiles(options: TuningOptions): Promise<Tuning> {
  const { candidates, limits, stopwatch, now, until, firstMs, sampleMs } = options;
  const classes: Record<string, Record<string, number>> = {};
  let spentMs = 0;
  let measured = 0;
  /** Floating-point operations a millisecond, the highest so far: predicts what a class will take. */
  let speed = 0;

  /** Milliseconds of one product with each tile; infinite where the clock gave no usable time. */
  const timed = async (tiles: readonly Tile[], work: WorkClass, repeats: number): Promise<number[]> => {
    const samples = await stopwatch(tiles.map((tile) => ({ tile, work, repeats })));
    return samples.map((ms) => {
      if (!(ms > 0) || !Number.isFinite(ms)) return Number.POSITIVE_INFINITY;
      spentMs += ms;
      return ms / repeats;
    });
  };
  const repeatsFor = (ms: number, each: number) => Math.min(MAX_REPEATS, Math.max(1, Math.round(ms / each)));

  const measure = async (work: WorkClass): Promise<Record<string, number> | null> => {
    const tiles = worthMeasuring(candidates, work, limits);
    const rule = tileName(tileByRule([shapeOfClass(work)], limits));
    const own = tiles.find((tile) => tileName(tile) === rule);
    // Without the rule's own tile there is nothing to compare the others with.
    if (own === undefined || tiles.length < 2) return null;
    let each = 0;
    for (let repeats = 2; repeats <= MAX_REPEATS; repeats *= 8) {
      [each = Number.POSITIVE_INFINITY] = await timed([own], work, repeats);
      if (each * repeats >= firstMs / 4 && each < Number.POSITIVE_INFINITY) break;
    }
    const firstTimes = await timed(tiles, work, repeatsFor(firstMs, each));
    const first = tiles.map((tile, i) => ({ tile, name: tileName(tile), ms: firstTimes[i] as number }));
    const byTime = first.filter(({ ms }) => ms < Number.POSITIVE_INFINITY).sort((a, b) => a.ms - b.ms);
    const shortest = byTime[0]?.ms ?? 0;
    const rulesFirst = first.find(({ name }) => name === rule)?.ms ?? Number.POSITIVE_INFINITY;
    if (!(shortest > 0) || rulesFirst === Number.POSITIVE_INFINITY) return null;
    const finalists = byTime.filter(({ ms }) => ms <= MAX_FIRST_RATIO * shortest).slice(0, FINALISTS);
    if (!finalists.some(({ name }) => name === rule))
      finalists.push({ tile: own, name: rule, ms: rulesFirst });
    const best = new Map(finalists.map(({ name }) => [name, Number.POSITIVE_INFINITY]));
    const repeats = repeatsFor(sampleMs, shortest);
    for (let round = 0; round < ROUNDS && finalists.length > 1; round++) {
      const order = round % 2 === 0 ? [...finalists].reverse() : finalists;
      const times = await timed(
        order.map(({ tile }) => tile),
        work,
        repeats,
      );
      for (const [i, { name }] of order.entries()) {
        best.set(name, Math.min(best.get(name) as number, times[i] as number));
      }
    }
    // The others keep their first time relative to the shortest first time, so they never come out ahead of a finalist.
    const reference = finalists.length > 1 ? Math.min(...best.values()) : shortest;
    const final = byTime.map(({ name, ms }) => {
      const again = finalists.length > 1 ? best.get(name) : undefined;
      return { name, ms: again ?? (ms / shortest) * reference };
    });
    const lowest = Math.min(...final.map(({ ms }) => ms));
    if (!(lowest > 0) || lowest === Number.POSITIVE_INFINITY) return null;
    speed = Math.max(speed, flopsOf(work) / lowest);
    measured++;
    const usable = final.filter(({ ms }) => ms < Number.POSITIVE_INFINITY);
    return Object.fromEntries(usable.map(({ name, ms }) => [name, Math.round((1000 * ms) / lowest) / 1000]));
  };

  const affordable = (work: WorkClass): boolean => {
    if (now() >= until) return false;
    const each = speed > 0 ? flopsOf(work) / speed : 0;
    const firstSamples = worthMeasuring(candidates, work, limits).length + 2;
    const predictedMs =
      firstSamples * Math.max(firstMs, each) + ROUNDS * (FINALISTS + 1) * Math.max(sampleMs, each);
    return spentMs + predictedMs <= options.deviceMs;
  };

  const first = ORDER[0] as WorkClass;
  const warm = tileByRule([shapeOfClass(first)], limits);
  for (let repeats = 4; spentMs < WARM_UP_MS && repeats <= MAX_REPEATS; repeats *= 4) {
    await timed([warm], first, repeats);
  }
  const winner = (work: WorkClass) => {
    const tile = tileFromTable({ classes }, [shapeOfClass(work)], limits, candidates);
    return tile && tileName(tile);
  };
  const measureIfAffordable = async (work: WorkClass) => {
    const times = affordable(work) ? await measure(work) : null;
    if (times !== null) classes[className(work)] = times;
  };
  for (const { area, depth } of ORDER) {
    await measureIfAffordable(asClass(area, depth));
    for (const middle of [area - 1, area + 1]) {
      const work = asClass(middle, depth);
      const sides = [asClass(middle - 1, depth), asClass(middle + 1, depth)];
      const [below, above] = sides.map((side) => classes[className(side)]);
      if (below === undefined || above === undefined || classes[className(work)] !== undefined) continue;
      const [one, other] = sides.map(winner);
      if (one === other) classes[className(work)] = between(below, above);
      else await measureIfAffordable(work);
    }
  }
  return { table: { classes }, measured, deviceMs: spentMs };
}

/** The mean times of two classes, for the tiles that both have. */
function between(one: Record<string, number>, other: Record<string, number>): Record<string, number> {
  const both = Object.keys(one).filter((name) => other[name] !== undefined);
  const mean = both.map((name) => ((one[name] as number) + (other[name] as number)) / 2);
  const lowest = Math.min(...mean);
  return Object.fromEntries(
    both.map((name, i) => [name, Math.round((1000 * (mean[i] as number)) / lowest) / 1000]),
  );
}
