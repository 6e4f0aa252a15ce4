// Statistics of counts: the interval of a rate, the sign test, a paired bootstrap.
// Not here: what is counted (answerScores.ts), standard errors of losses (engine/training/evaluate.ts).

/** Two-sided 95 % quantile of the normal distribution. */
const Z = 1.959963984540054;

/**
 * Wilson's score interval of a rate at 95 % (Wilson 1927): (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n). Unlike p ± z·√(p(1−p)/n) it
 * stays within 0 and 1, and holds for few rows and for rates near 0 or 1.
 */
export function wilson(passed: number, of: number): { low: number; high: number } {
  if (of === 0) return { low: 0, high: 1 };
  const p = passed / of;
  const z2 = Z * Z;
  const middle = p + z2 / (2 * of);
  const half = Z * Math.sqrt((p * (1 - p)) / of + z2 / (4 * of * of));
  const scale = 1 + z2 / of;
  // At the ends the formula is 0 and 1 exactly, but for rounding.
  return {
    low: passed === 0 ? 0 : (middle - half) / scale,
    high: passed === of ? 1 : (middle + half) / scale,
  };
}

/**
 * Exact two-sided sign test: the chance that a fair coin gives wins and losses at least as uneven. Ties are left out. With right and wrong it
 * is the exact McNemar test. Sums the smaller tail of the binomial distribution, in logarithms.
 * @returns 1 without wins and losses
 */
export function signTest(wins: number, losses: number): number {
  const n = wins + losses;
  const least = Math.min(wins, losses);
  if (2 * least === n) return 1;
  let logTerm = -n * Math.LN2; // of the binomial coefficient n over k, by 2^n
  let tail = Math.exp(logTerm);
  for (let k = 1; k <= least; k++) {
    logTerm += Math.log((n - k + 1) / k);
    tail += Math.exp(logTerm);
  }
  return Math.min(1, 2 * tail);
}

/** Samples that the bootstrap draws. */
const DRAWS = 2000;

/**
 * Mean of paired differences with its 95 % interval by the percentile bootstrap (Efron 1979): rows are drawn again with replacement, 2000
 * times, and the middle 95 % of their means taken. Rows stay pairs, so what makes a row hard for both cancels.
 * @param random uniform numbers in [0, 1), from a seed
 */
export function pairedBootstrap(
  differences: readonly number[],
  random: () => number,
): { mean: number; low: number; high: number } {
  const n = differences.length;
  if (n === 0) return { mean: 0, low: 0, high: 0 };
  const mean = differences.reduce((sum, value) => sum + value, 0) / n;
  const means = new Float64Array(DRAWS);
  for (let draw = 0; draw < DRAWS; draw++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += differences[Math.floor(random() * n)] as number;
    means[draw] = sum / n;
  }
  means.sort();
  const quantile = (q: number) => means[Math.round(q * (DRAWS - 1))] as number;
  return { mean, low: quantile(0.025), high: quantile(0.975) };
}
