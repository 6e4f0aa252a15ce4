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
 * Memory: a few numbers a class; the buffers are the bench's (tileTuning.wgsl.ts).
 */
export async function tuneTiles(options: TuningOptions): Promise<Tuning> {
  const { candidates, limits } = options;
  const meter = new TileMeter(options);
  const classes: Record<string, Record<string, number>> = {};
  await meter.warmUp(ORDER[0] as WorkClass);
  const winner = (work: WorkClass) => {
    const tile = tileFromTable({ classes }, [shapeOfClass(work)], limits, candidates);
    return tile && tileName(tile);
  };
  const measureIfAffordable = async (work: WorkClass) => {
    const times = meter.affordable(work) ? await meter.measure(work) : null;
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
  return { table: { classes }, measured: meter.measured, deviceMs: meter.spentMs };
}

/** A tile and the milliseconds that one product took with it; infinite where the clock gave no usable time. */
interface TimedTile {
  tile: Tile;
  name: string;
  ms: number;
}

/** Times classes one after the other, and knows what they have cost. */
class TileMeter {
  readonly #options: TuningOptions;
  /** Classes that were timed. */
  measured = 0;
  /** Milliseconds on the device so far. */
  spentMs = 0;
  /** Floating-point operations a millisecond, the highest so far: predicts what a class will take. */
  #speed = 0;

  constructor(options: TuningOptions) {
    this.#options = options;
  }

  async warmUp(work: WorkClass): Promise<void> {
    const tile = tileByRule([shapeOfClass(work)], this.#options.limits);
    for (let repeats = 4; this.spentMs < WARM_UP_MS && repeats <= MAX_REPEATS; repeats *= 4) {
      await this.#time([tile], work, repeats);
    }
  }

  affordable(work: WorkClass): boolean {
    const { candidates, limits, now, until, firstMs, sampleMs, deviceMs } = this.#options;
    if (now() >= until) return false;
    const each = this.#speed > 0 ? flopsOf(work) / this.#speed : 0;
    const firstSamples = worthMeasuring(candidates, work, limits).length + 2;
    const predictedMs =
      firstSamples * Math.max(firstMs, each) + ROUNDS * (FINALISTS + 1) * Math.max(sampleMs, each);
    return this.spentMs + predictedMs <= deviceMs;
  }

  /** Time of each usable tile relative to the shortest; null where nothing can be compared with the rule's own tile. */
  async measure(work: WorkClass): Promise<Record<string, number> | null> {
    const { candidates, limits } = this.#options;
    const tiles = worthMeasuring(candidates, work, limits);
    const rule = tileName(tileByRule([shapeOfClass(work)], limits));
    const own = tiles.find((tile) => tileName(tile) === rule);
    if (own === undefined || tiles.length < 2) return null;
    const first = await this.#firstTimes(tiles, own, work);
    const byTime = first.filter(({ ms }) => ms < Number.POSITIVE_INFINITY).sort((a, b) => a.ms - b.ms);
    const shortest = byTime[0]?.ms ?? 0;
    const rules = byTime.find(({ name }) => name === rule);
    if (!(shortest > 0) || rules === undefined) return null;
    const finalists = byTime.filter(({ ms }) => ms <= MAX_FIRST_RATIO * shortest).slice(0, FINALISTS);
    if (!finalists.includes(rules)) finalists.push(rules);
    const best =
      finalists.length > 1 ? await this.#rounds(finalists, work, shortest) : new Map([[rule, shortest]]);
    // The others keep their first time relative to the shortest first time, so they never come out ahead of a finalist.
    const reference = Math.min(...best.values());
    const final = byTime.map(({ name, ms }) => ({ name, ms: best.get(name) ?? (ms / shortest) * reference }));
    const lowest = Math.min(...final.map(({ ms }) => ms));
    if (!(lowest > 0) || lowest === Number.POSITIVE_INFINITY) return null;
    this.#speed = Math.max(this.#speed, flopsOf(work) / lowest);
    this.measured++;
    const usable = final.filter(({ ms }) => ms < Number.POSITIVE_INFINITY);
    return Object.fromEntries(usable.map(({ name, ms }) => [name, Math.round((1000 * ms) / lowest) / 1000]));
  }

  /** One sample of every tile, with as many repeats as the clock needs: found with the rule's own tile. */
  async #firstTimes(tiles: readonly Tile[], own: Tile, work: WorkClass): Promise<TimedTile[]> {
    const { firstMs } = this.#options;
    let each = 0;
    for (let repeats = 2; repeats <= MAX_REPEATS; repeats *= 8) {
      [each = Number.POSITIVE_INFINITY] = await this.#time([own], work, repeats);
      if (each * repeats >= firstMs / 4 && each < Number.POSITIVE_INFINITY) break;
    }
    const times = await this.#time(tiles, work, repeatsFor(firstMs, each));
    return tiles.map((tile, i) => ({ tile, name: tileName(tile), ms: times[i] as number }));
  }

  /** The shortest of `ROUNDS` samples of each finalist, in alternating order. */
  async #rounds(
    finalists: readonly TimedTile[],
    work: WorkClass,
    shortest: number,
  ): Promise<Map<string, number>> {
    const best = new Map(finalists.map(({ name }) => [name, Number.POSITIVE_INFINITY]));
    const repeats = repeatsFor(this.#options.sampleMs, shortest);
    for (let round = 0; round < ROUNDS; round++) {
      const order = round % 2 === 0 ? [...finalists].reverse() : finalists;
      const tiles = order.map(({ tile }) => tile);
      const times = await this.#time(tiles, work, repeats);
      for (const [i, { name }] of order.entries()) {
        best.set(name, Math.min(best.get(name) as number, times[i] as number));
      }
    }
    return best;
  }

  /** Milliseconds of one product with each tile; infinite where the clock gave no usable time. */
  async #time(tiles: readonly Tile[], work: WorkClass, repeats: number): Promise<number[]> {
    const samples = await this.#options.stopwatch(tiles.map((tile) => ({ tile, work, repeats })));
    return samples.map((ms) => {
      if (!(ms > 0) || !Number.isFinite(ms)) return Number.POSITIVE_INFINITY;
      this.spentMs += ms;
      return ms / repeats;
    });
  }
}

const repeatsFor = (ms: number, each: number) => Math.min(MAX_REPEATS, Math.max(1, Math.round(ms / each)));

/** The mean times of two classes, for the tiles that both have. */
function between(one: Record<string, number>, other: Record<string, number>): Record<string, number> {
  const both = Object.keys(one).filter((name) => other[name] !== undefined);
  const mean = both.map((name) => ((one[name] as number) + (other[name] as number)) / 2);
  const lowest = Math.min(...mean);
  return Object.fromEntries(
    both.map((name, i) => [name, Math.round((1000 * (mean[i] as number)) / lowest) / 1000]),
  );
}
