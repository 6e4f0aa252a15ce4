// Numbers about rows: least, most, mean, percentiles.
// Not here: counting tokens (tokens/encodeRows.ts), numbers about curves (metrics/).

import type { Distribution } from '../contract';

/** Least, most and between; percentiles interpolate linearly, as NumPy's do. All zero for no numbers. */
export function summarise(numbers: readonly number[]): Distribution {
  if (numbers.length === 0) return { min: 0, p10: 0, median: 0, mean: 0, p90: 0, max: 0, total: 0 };
  const sorted = Float64Array.from(numbers).sort();
  const at = (share: number) => {
    const place = share * (sorted.length - 1);
    const low = sorted[Math.floor(place)] as number;
    return low + ((sorted[Math.ceil(place)] as number) - low) * (place % 1);
  };
  const total = sorted.reduce((sum, value) => sum + value, 0);
  return {
    min: at(0),
    p10: at(0.1),
    median: at(0.5),
    mean: total / sorted.length,
    p90: at(0.9),
    max: at(1),
    total,
  };
}
