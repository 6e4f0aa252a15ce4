// Measuring which tile is fastest for which class of work, within a budget: what is timed, how often, and what becomes of the times.
// Not here: the GPU and its clock (tileTuning.wgsl.ts), what a table is good for (tiles.ts).

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

/** Runs samples on the device. Answers the milliseconds that each took there, all its repeats together. */
export type Stopwatch = (samples: readonly Sample[]) => Promise<number[]>;

export interface TuningOptions {
  candidates: readonly Tile[];
  limits: TileLimits;
  stopwatch: Stopwatch;
  /** Milliseconds of any clock that goes on while the device works. */
  now: () => number;
  /** No class is begun that is expected to end after this much time on the device. */
  deviceMs: number;
  /** No class is begun after this value of `now`. */
  until: number;
  /** Milliseconds of a first look, and of each later sample of a tile that looked good. */
  lookMs: number;
  sampleMs: number;
}

export interface Tuning {
  table: TileTable;
  /** Classes that were timed; the table also has those between two that agree. */
  measured: number;
  deviceMs: number;
}

/** Repeats that one submit may hold: recording takes the processor about as long as the device needs for the smallest products. */
const MOST_REPEATS = 256;
/** A tile that takes this much longer than the best at first sight is not looked at again. */
const HOPELESS = 1.3;
const SURVIVORS = 2;
const ROUNDS = 3;
/** Cards at rest run at a low clock; this much work wakes them. */
const WARM_UP_MS = 25;

/** Every second area, the most usual work of small models first; what lies between two follows where they disagree. */
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

/** Every class that may be timed, for whoever lays out memory for them. */
export const classesToMeasure = (): WorkClass[] => {
  const all = new Map<string, WorkClass>();
  for (let area = AREAS.least; area <= AREAS.most; area++) {
    for (const depth of DEPTHS) all.set(className(asClass(area, depth)), asClass(area, depth));
  }
  return [...all.values()];
};

const flopsOf = (work: WorkClass): number => {
  const { m, n } = shapeOfClass(work);
  return 2 * m * n * work.depth;
};

/**
 * Times the candidates class by class: a first look at all, further rounds for the best and for the rule's own tile, in turn so that a
 * change of the card's clock meets all alike; the least of each counts, since whatever disturbs a sample makes it longer.
 */
export async function tuneTiles(options: TuningOptions): Promise<Tuning> {
  const { candidates, limits, stopwatch, now, until, lookMs, sampleMs } = options;
  const classes: Record<string, Record<string, number>> = {};
  let spentMs = 0;
  let measured = 0;
  /** Floating-point operations a millisecond, the most so far; foretells what a class will take. */
  let speed = 0;

  /** Milliseconds of one product with each tile; infinite where the clock gave nothing to go by. */
  const timed = async (tiles: readonly Tile[], work: WorkClass, repeats: number): Promise<number[]> => {
    const samples = await stopwatch(tiles.map((tile) => ({ tile, work, repeats })));
    return samples.map((ms) => {
      if (!(ms > 0) || !Number.isFinite(ms)) return Number.POSITIVE_INFINITY;
      spentMs += ms;
      return ms / repeats;
    });
  };
  const repeatsFor = (ms: number, each: number) => Math.min(MOST_REPEATS, Math.max(1, Math.round(ms / each)));

  const measure = async (work: WorkClass): Promise<Record<string, number> | null> => {
    const tiles = worthMeasuring(candidates, work, limits);
    const rule = tileName(tileByRule([shapeOfClass(work)], limits));
    const own = tiles.find((tile) => tileName(tile) === rule);
    // Without its own tile beside the others there is nothing to be better than.
    if (own === undefined || tiles.length < 2) return null;
    let each = 0;
    for (let repeats = 2; repeats <= MOST_REPEATS; repeats *= 8) {
      [each = Number.POSITIVE_INFINITY] = await timed([own], work, repeats);
      if (each * repeats >= lookMs / 4 && each < Number.POSITIVE_INFINITY) break;
    }
    const firstLook = await timed(tiles, work, repeatsFor(lookMs, each));
    const looked = tiles.map((tile, i) => ({ tile, name: tileName(tile), ms: firstLook[i] as number }));
    const byTime = looked.filter(({ ms }) => ms < Number.POSITIVE_INFINITY).sort((a, b) => a.ms - b.ms);
    const shortest = byTime[0]?.ms ?? 0;
    const rulesLook = looked.find(({ name }) => name === rule)?.ms ?? Number.POSITIVE_INFINITY;
    if (!(shortest > 0) || rulesLook === Number.POSITIVE_INFINITY) return null;
    const hopeful = byTime.filter(({ ms }) => ms <= HOPELESS * shortest).slice(0, SURVIVORS);
    if (!hopeful.some(({ name }) => name === rule)) hopeful.push({ tile: own, name: rule, ms: rulesLook });
    const least = new Map(hopeful.map(({ name }) => [name, Number.POSITIVE_INFINITY]));
    const repeats = repeatsFor(sampleMs, shortest);
    for (let round = 0; round < ROUNDS && hopeful.length > 1; round++) {
      const order = round % 2 === 0 ? [...hopeful].reverse() : hopeful;
      const times = await timed(
        order.map(({ tile }) => tile),
        work,
        repeats,
      );
      for (const [i, { name }] of order.entries()) {
        least.set(name, Math.min(least.get(name) as number, times[i] as number));
      }
    }
    // The others keep their first look, as a multiple of the shortest then: so they never come out ahead of what was looked at again.
    const leader = hopeful.length > 1 ? Math.min(...least.values()) : shortest;
    const final = byTime.map(({ name, ms }) => {
      const again = hopeful.length > 1 ? least.get(name) : undefined;
      return { name, ms: again ?? (ms / shortest) * leader };
    });
    const best = Math.min(...final.map(({ ms }) => ms));
    if (!(best > 0) || best === Number.POSITIVE_INFINITY) return null;
    speed = Math.max(speed, flopsOf(work) / best);
    measured++;
    const sound = final.filter(({ ms }) => ms < Number.POSITIVE_INFINITY);
    return Object.fromEntries(sound.map(({ name, ms }) => [name, Math.round((1000 * ms) / best) / 1000]));
  };

  const affordable = (work: WorkClass): boolean => {
    if (now() >= until) return false;
    const each = speed > 0 ? flopsOf(work) / speed : 0;
    const looks = worthMeasuring(candidates, work, limits).length + 2;
    const foretold = looks * Math.max(lookMs, each) + ROUNDS * (SURVIVORS + 1) * Math.max(sampleMs, each);
    return spentMs + foretold <= options.deviceMs;
  };

  const first = ORDER[0] as WorkClass;
  const warm = tileByRule([shapeOfClass(first)], limits);
  for (let repeats = 4; spentMs < WARM_UP_MS && repeats <= MOST_REPEATS; repeats *= 4) {
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

/** The mean of two classes, of the tiles that both have. */
function between(one: Record<string, number>, other: Record<string, number>): Record<string, number> {
  const both = Object.keys(one).filter((name) => other[name] !== undefined);
  const mean = both.map((name) => ((one[name] as number) + (other[name] as number)) / 2);
  const least = Math.min(...mean);
  return Object.fromEntries(
    both.map((name, i) => [name, Math.round((1000 * (mean[i] as number)) / least) / 1000]),
  );
}
