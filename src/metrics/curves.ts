// MetricPoint[] → lines to draw: series, smoothing, thinning, epoch borders, CSV.
// Not here: what a curve means (diagnosis.ts), drawing it (ui/train/LossChart.svelte).

import type { MetricName, MetricPoint } from '../contract';

/** One drawable point of one line. */
export interface CurvePoint {
  step: number;
  epoch: number;
  value: number;
}

/** The points of one metric in step order; a step measured twice keeps its last value. */
export function series(points: readonly MetricPoint[], name: MetricName): CurvePoint[] {
  const byStep = new Map<number, CurvePoint>();
  for (const point of points) {
    if (point.name === name) {
      byStep.set(point.step, { step: point.step, epoch: point.epoch, value: point.value });
    }
  }
  return [...byStep.values()].sort((a, b) => a.step - b.step);
}

/**
 * Exponential moving average with the bias of its zero start divided out, as TensorBoard does it
 * (`data_transformer.ts`): s_t = w·s_{t-1} + (1-w)·v_t, drawn as s_t / (1 - w^t).
 * Non-finite values pass through unsmoothed and leave the average alone.
 * @param weight 0 draws the values as they are; towards 1 it remembers longer. In [0, 1).
 */
export function smooth(points: readonly CurvePoint[], weight: number): CurvePoint[] {
  let average = 0;
  let debias = 1;
  return points.map((point) => {
    if (!Number.isFinite(point.value) || weight <= 0) return { ...point };
    average = weight * average + (1 - weight) * point.value;
    debias *= weight;
    return { ...point, value: average / (1 - debias) };
  });
}

/**
 * At most `limit` points of a line: the steps are cut into equal buckets and each keeps its lowest and its highest
 * value, so that a spike survives at any zoom (a stride would drop it). First and last point always stay.
 * @param limit at least 4
 */
export function thin(points: readonly CurvePoint[], limit: number): CurvePoint[] {
  const first = points[0];
  const last = points.at(-1);
  if (points.length <= limit || !first || !last) return [...points];
  const buckets = Math.max(1, Math.floor((limit - 2) / 2));
  const width = (last.step - first.step) / buckets || 1;
  const kept: CurvePoint[] = [first];
  let bucket = 0;
  let low: CurvePoint | null = null;
  let high: CurvePoint | null = null;
  const close = () => {
    if (!low || !high) return;
    if (low === high) kept.push(low);
    else if (low.step < high.step) kept.push(low, high);
    else kept.push(high, low);
    low = high = null;
  };
  for (const point of points.slice(1, -1)) {
    const index = Math.min(buckets - 1, Math.floor((point.step - first.step) / width));
    if (index !== bucket) {
      close();
      bucket = index;
    }
    // A non-finite value compares as neither low nor high; it is where the run diverged, so it counts as both.
    if (!Number.isFinite(point.value)) low = high = point;
    else {
      if (low === null || point.value < low.value) low = point;
      if (high === null || point.value > high.value) high = point;
    }
  }
  close();
  kept.push(last);
  return kept;
}

/** The measured point nearest to a step, or null for an empty line. */
export function nearest(points: readonly CurvePoint[], step: number): CurvePoint | null {
  let low = 0;
  let high = points.length - 1;
  if (high < 0) return null;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((points[middle] as CurvePoint).step <= step) low = middle;
    else high = middle;
  }
  const left = points[low] as CurvePoint;
  const right = points[high] as CurvePoint;
  return step - left.step <= right.step - step ? left : right;
}

/** The finite point with the lowest value; of equals the first. */
export function lowest(points: readonly CurvePoint[]): CurvePoint | null {
  let best: CurvePoint | null = null;
  for (const point of points) {
    if (Number.isFinite(point.value) && (best === null || point.value < best.value)) best = point;
  }
  return best;
}

/** The steps after which a new epoch begins, at most `limit` of them (then every second, fifth, tenth … epoch). */
export function epochBorders(
  stepsPerEpoch: number,
  totalSteps: number,
  limit = 24,
): { epoch: number; step: number }[] {
  if (!(stepsPerEpoch > 0) || !(totalSteps > 0)) return [];
  const epochs = Math.floor(totalSteps / stepsPerEpoch);
  const stride = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((s) => epochs / s <= limit) ?? epochs;
  const borders: { epoch: number; step: number }[] = [];
  for (let epoch = stride; epoch <= epochs; epoch += stride) {
    borders.push({ epoch, step: epoch * stepsPerEpoch });
  }
  return borders;
}

/** Columns of the CSV file; one row a step, empty where nothing was measured. */
export const CSV_COLUMNS = [
  'step',
  'epoch',
  'num_tokens',
  'elapsed_ms',
  'train_loss',
  'train_eval_loss',
  'train_eval_mean_token_accuracy',
  'valid_loss',
  'valid_mean_token_accuracy',
  'valid_loss_standard_error',
  'valid_rise_standard_error',
  'full_train_eval_loss',
  'full_train_eval_mean_token_accuracy',
  'full_valid_loss',
  'full_valid_mean_token_accuracy',
  'full_valid_loss_standard_error',
  'full_valid_rise_standard_error',
  'learning_rate',
  'grad_norm',
  'tokens_per_second',
  'memory_allocated',
  'general_loss',
  'general_rise_standard_error',
  'full_general_loss',
  'full_general_rise_standard_error',
] as const satisfies readonly (MetricName | 'epoch' | 'num_tokens' | 'elapsed_ms' | 'step')[];

/** All points as a CSV table (RFC 4180, `\n` line ends, full precision). */
export function toCsv(points: readonly MetricPoint[]): string {
  const rows = new Map<number, Partial<Record<(typeof CSV_COLUMNS)[number], number>>>();
  for (const point of points) {
    const row = rows.get(point.step) ?? {};
    row.step = point.step;
    row.epoch = point.epoch;
    row.num_tokens = point.tokens;
    // The best step is measured once more at the end; its row keeps the time at which it was made.
    row.elapsed_ms ??= Math.round(point.elapsedMs);
    row[point.name] = point.value;
    rows.set(point.step, row);
  }
  const lines = [...rows.values()]
    .sort((a, b) => (a.step ?? 0) - (b.step ?? 0))
    .map((row) => CSV_COLUMNS.map((column) => row[column] ?? '').join(','));
  return `${[CSV_COLUMNS.join(','), ...lines].join('\n')}\n`;
}
