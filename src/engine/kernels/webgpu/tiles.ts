// How a matrix product is cut into tiles: the candidates, the rule by shape, and a device's table of measured times, which overrides the rule.
// Not here: the program that uses a tile (matmul/matmul.wgsl.ts), measuring (tileTuning.ts, tileTuning.wgsl.ts).

/** The part of a result that one workgroup makes. Threads = slices · (rows / threadRows) · (columns / 4). */
export interface Tile {
  rows: 32 | 64 | 128;
  columns: 32 | 64;
  /** Rows of the result that one thread holds: 4 or 8, by 4 columns. */
  threadRows: 4 | 8;
  /** Parts of the inner dimension that are summed by different threads of one workgroup, for results too small to fill a GPU. */
  slices: 1 | 2 | 4;
}

/** One result, [m, n], and the inner dimension of each product in its sum. */
export interface Shape {
  m: number;
  n: number;
  depths: readonly number[];
}

/** The limits of a device that bound a tile. */
export type TileLimits = Pick<
  GPUSupportedLimits,
  'maxComputeWorkgroupStorageSize' | 'maxComputeInvocationsPerWorkgroup' | 'maxComputeWorkgroupSizeX'
>;

/** Inner elements a tile holds at a time. */
export const DEPTH = 16;
export const LARGE: Tile = { rows: 64, columns: 64, threadRows: 8, slices: 1 };
const SMALL: Tile = { rows: 32, columns: 32, threadRows: 4, slices: 1 };
/** With fewer large tiles than this most of a GPU is idle. */
export const ENOUGH_TILES = 96;

export const tileName = ({ rows, columns, threadRows, slices }: Tile): string =>
  `${rows}x${columns}x${threadRows}x${slices}`;

export const threadsOf = ({ rows, columns, threadRows, slices }: Tile): number =>
  slices * (rows / threadRows) * (columns / 4);

/** Bytes of workgroup memory: both sides of the product, and the sums that slices exchange. */
export function memoryOf(tile: Tile): number {
  const vectors = tile.slices * DEPTH * (tile.rows / 4 + 1 + tile.columns / 4 + 1);
  const handed = tile.slices > 1 ? (threadsOf(tile) / tile.slices) * tile.threadRows : 0;
  return 16 * (vectors + handed);
}

/**
 * The program can be written for any tile; these dozen are compiled when a device is measured. Small ones with slices for results that are too
 * small to fill a GPU, large ones for results that fill it many times over, and some between; none with fewer than 64 threads, which
 * would leave half of a wave of 64 idle.
 */
const CANDIDATES: readonly Tile[] = [
  // Those of the rule first, then by expected speed: with little time, only the first ones are compiled.
  SMALL,
  { ...SMALL, slices: 2 },
  { ...SMALL, slices: 4 },
  LARGE,
  { rows: 64, columns: 32, threadRows: 8, slices: 1 },
  { rows: 64, columns: 64, threadRows: 4, slices: 1 },
  { rows: 32, columns: 64, threadRows: 4, slices: 1 },
  { rows: 128, columns: 64, threadRows: 8, slices: 1 },
  { rows: 64, columns: 32, threadRows: 8, slices: 2 },
  { rows: 32, columns: 32, threadRows: 8, slices: 4 },
  { rows: 64, columns: 32, threadRows: 4, slices: 1 },
  { rows: 32, columns: 32, threadRows: 8, slices: 2 },
];

/** Those of the candidates that this device can run. */
export function candidateTiles(limits: TileLimits): Tile[] {
  const threads = Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX);
  return CANDIDATES.filter(
    (tile) => threadsOf(tile) <= threads && memoryOf(tile) <= limits.maxComputeWorkgroupStorageSize,
  );
}

/** How many tiles of this size cover all results. */
export function tilesOf(shapes: readonly Shape[], rows: number, columns = rows): number {
  return shapes.reduce((sum, { m, n }) => sum + Math.ceil(m / rows) * Math.ceil(n / columns), 0);
}

/** A workgroup goes through the inner dimensions of all its terms, so their sum counts; of the deepest result, which takes longest. */
const depthOf = (shapes: readonly Shape[]): number =>
  Math.max(...shapes.map((s) => s.depths.reduce((a, b) => a + b, 0)));

/** With less depth a slice would have work for one block only. */
const deepEnough = ({ slices }: Tile, depth: number) => slices === 1 || depth >= 2 * DEPTH * slices;

/**
 * By shape alone, for devices without measurements: large tiles where there are enough of them to fill a GPU; else small ones, with the
 * inner dimension cut into slices when it is long.
 */
export function tileByRule(shapes: readonly Shape[], limits: TileLimits): Tile {
  if (tilesOf(shapes, 64) >= ENOUGH_TILES) return LARGE;
  if (tilesOf(shapes, 32) >= 4 * ENOUGH_TILES) return SMALL;
  const depth = depthOf(shapes);
  const sliced = ([4, 2, 1] as const).map((slices) => ({ ...SMALL, slices }));
  const fits = (tile: Tile) =>
    deepEnough(tile, depth) && memoryOf(tile) <= limits.maxComputeWorkgroupStorageSize;
  return sliced.find(fits) ?? SMALL;
}

// ───────────────────────────── classes of work ─────────────────────────────

/** Shapes that share one measurement: `area` is log2 of the number of 32×32 tiles of all results, `depth` one of `DEPTHS`. */
export interface WorkClass {
  area: number;
  depth: Depth;
}

/** Inner dimensions that stand for all up to twice as much. */
export const DEPTHS = [64, 256, 1024] as const;
type Depth = (typeof DEPTHS)[number];

export const AREAS = { min: 2, max: 12 } as const;
/** Above this area there are so many workgroups that more depth only makes each of them longer: the deepest class is not measured. */
const MAX_DEEP_AREA = 10;

export const className = ({ area, depth }: WorkClass): string => `${area}:${depth}`;

/** The class that stands for this area and depth in the table. */
export function asClass(area: number, depth: number): WorkClass {
  const bounded = Math.min(AREAS.max, Math.max(AREAS.min, Math.round(area)));
  const nearest = DEPTHS.find((d) => depth <= 2 * d) ?? 1024;
  return { area: bounded, depth: nearest === 1024 && bounded > MAX_DEEP_AREA ? 256 : nearest };
}

export const classOf = (shapes: readonly Shape[]): WorkClass =>
  asClass(Math.log2(tilesOf(shapes, 32)), depthOf(shapes));

/** A plain product in the middle of a class, without a ragged edge. */
export function shapeOfClass({ area, depth }: WorkClass): Shape {
  return { m: 32 * 2 ** Math.ceil(area / 2), n: 32 * 2 ** Math.floor(area / 2), depths: [depth] };
}

// ───────────────────────────── the table ─────────────────────────────

/** Times of tiles by their name, as multiples of the shortest in their class. */
export type TileTimes = Readonly<Record<string, number>>;

/** What was measured on one device: by class name, the times of the tiles that were candidates there. Plain JSON. */
export interface TileTable {
  classes: Readonly<Record<string, TileTimes>>;
}

/** A tile replaces the rule's when its time is shorter by this share: less may be the clock's noise. */
export const MARGIN = 0.08;

/**
 * The tile with the lowest cost, which is the measured time of the class · the area that the tile computes for these shapes, edges
 * included; the rule's own tile unless another is better by `MARGIN`. Null when the class has not been measured.
 */
export function tileFromTable(
  table: TileTable,
  shapes: readonly Shape[],
  limits: TileLimits,
  candidates: readonly Tile[] = candidateTiles(limits),
): Tile | null {
  const times = table.classes[className(classOf(shapes))];
  if (times === undefined) return null;
  const rule = tileByRule(shapes, limits);
  const depth = depthOf(shapes);
  const computed = (tile: Tile) => tilesOf(shapes, tile.rows, tile.columns) * tile.rows * tile.columns;
  const cost = (tile: Tile) => (times[tileName(tile)] ?? Number.POSITIVE_INFINITY) * computed(tile);
  let best = rule;
  // Infinite when the rule's tile was not measured in this class: then any measured tile is better.
  let lowest = cost(rule) * (1 - MARGIN);
  for (const tile of candidates) {
    if (!deepEnough(tile, depth) || !(cost(tile) < lowest)) continue;
    best = tile;
    lowest = cost(tile);
  }
  return best;
}

/**
 * The tiles to measure in a class: no slices where there is too little depth to cut or there are enough workgroups, no large tiles where
 * fewer than eight would cover the result. The rule's own is always among them.
 */
export function worthMeasuring(candidates: readonly Tile[], work: WorkClass, limits: TileLimits): Tile[] {
  const shape = shapeOfClass(work);
  const rule = tileName(tileByRule([shape], limits));
  return candidates.filter((tile) => {
    if (tileName(tile) === rule) return true;
    const count = tilesOf([shape], tile.rows, tile.columns);
    const few = tile.rows * tile.columns > 32 * 32 && count < 8;
    return !few && deepEnough(tile, work.depth) && !(tile.slices > 1 && count >= 512);
  });
}

/** Checks a table that was stored; null when it is anything but a table of this form. */
export function readTileTable(kept: unknown): TileTable | null {
  const entries = (x: unknown) =>
    typeof x === 'object' && x !== null && !Array.isArray(x) ? Object.entries(x) : null;
  const classes = entries((kept as { classes?: unknown } | null)?.classes);
  if (classes === null) return null;
  const sound = classes.every(([name, times]) => {
    const [area, depth] = name.split(':').map(Number) as [number, number];
    const known = className(asClass(area, depth)) === name;
    const numbers = entries(times)?.map(([, time]) => time) ?? [];
    return known && numbers.length > 0 && numbers.every((t) => typeof t === 'number' && t >= 1 && t < 1e6);
  });
  return sound ? { classes: Object.fromEntries(classes) as TileTable['classes'] } : null;
}

/** A 32-bit hash of a text (FNV-1a) in hex. Not for secrets. */
export function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

// ───────────────────────────── the table in use ─────────────────────────────

let inUse: TileTable | null = null;
/** Candidates by the limits they were made for: products are described hundreds of times while a step is captured. */
const known = new Map<string, Tile[]>();

/**
 * Chooses tiles from this table from now on; null goes back to the rule. With other tiles sums are added in another order, so this must
 * not be called during a run. Returns the table that was in use.
 */
export function useTileTable(table: TileTable | null): TileTable | null {
  const before = inUse;
  inUse = table;
  return before;
}

/** The tile for these results, which are made in one dispatch. */
export function chooseTile(shapes: readonly Shape[], limits: TileLimits): Tile {
  if (inUse === null) return tileByRule(shapes, limits);
  const { maxComputeWorkgroupStorageSize: memory, maxComputeInvocationsPerWorkgroup: threads } = limits;
  const key = `${memory} ${threads} ${limits.maxComputeWorkgroupSizeX}`;
  const candidates = known.get(key) ?? candidateTiles(limits);
  known.set(key, candidates);
  return tileFromTable(inUse, shapes, limits, candidates) ?? tileByRule(shapes, limits);
}
