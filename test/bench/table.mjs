// What was measured, as a table for people and a record for machines: medians, spreads, ratios; no time from a software adapter.
// Not here: measuring, judging (compare.mjs).

/** @param {number[]} list @param {number} share @returns {number} */
export function quantile(list, share) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** @param {number[] | null | undefined} list */
const spread = (list) =>
  list && list.length > 0
    ? {
        median: quantile(list, 0.5),
        p10: quantile(list, 0.1),
        p90: quantile(list, 0.9),
        least: Math.min(...list),
      }
    : null;

/** @param {number} value */
const short = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

/**
 * @param {{
 *   shape: import('./shapes').Shape, entries: import('./compare.mjs').Entry[], software: boolean, wasm: boolean, say: (line: string) => void
 * }} what
 * @returns {Record<string, unknown>}
 */
export function printTable({ shape, entries, software, wasm, say }) {
  const tokens = shape.batch * shape.time;
  const rows = entries.map((entry) => {
    const [first] = entry.reports;
    const all = (/** @type {keyof import('./measure').Report} */ key) =>
      entry.reports.flatMap((report) => /** @type {number[]} */ (report[key] ?? []));
    const tellTimes = entry.passed && !software;
    const waited = tellTimes ? spread(all('waitedMs')) : null;
    const block = tellTimes ? spread(all('blockMs')) : null;
    return {
      engine: entry.engine,
      version: first?.version ?? null,
      model: first?.model ?? null,
      adapter: first?.adapter ?? null,
      runtime: first?.runtime ?? null,
      gate: entry.gate,
      passed: entry.passed,
      parameters: first?.parameters ?? null,
      flops: first?.flops ?? null,
      losses: first?.losses ?? [],
      counts: first?.counts ?? null,
      steady: first?.steady ?? null,
      peakBytes: first?.peakBytes ?? null,
      // The JavaScript thread works the same for a software adapter.
      scriptMs: entry.passed ? spread(all('scriptMs')) : null,
      processorMs: tellTimes ? spread(all('processorMs')) : null,
      waitedMs: waited,
      blockMs: block,
      tokensPerSecond:
        (block ?? waited) ? (1000 * tokens) / /** @type {any} */ (block ?? waited).median : null,
    };
  });

  say('');
  say(
    `Shape ${shape.name}: vocabulary ${shape.vocab}, ${shape.layers} layers × ${shape.hidden}, ${shape.heads} heads, MLP ${shape.intermediate}, ` +
      `${shape.batch} × ${shape.time} tokens`,
  );
  for (const row of rows) say(`  ${row.engine}: ${row.version ?? '–'}; ${row.model ?? '–'}; ${row.gate}`);
  const first = rows.find((r) => r.adapter);
  if (first?.adapter) say(`  on ${first.adapter.name}, ${first.runtime}`);
  const million = (/** @type {number | null} */ n) => (n === null ? '–' : (n / 1e6).toFixed(2));
  const counted = rows.filter((r) => r.counts);
  if (counted.length > 0) {
    printColumns(
      say,
      [
        'a step',
        'M weights',
        'GFLOP',
        'dispatches',
        'submits',
        'bind groups',
        'buffers',
        'kB written',
        'readbacks',
        'peak MB',
        'script ms',
      ],
      counted.map((r) => {
        const c = /** @type {NonNullable<typeof r.counts>} */ (r.counts);
        const numbers = [
          c.dispatches,
          c.submits,
          c.bindGroups,
          c.buffers,
          (c.writtenBytes / 1000).toFixed(1),
          c.readbacks,
        ];
        const script = r.scriptMs ? short(r.scriptMs.median) : '–';
        const flops = ((r.flops ?? 0) / 1e9).toFixed(2);
        return [
          r.engine + (r.steady ? '' : ' (not steady)'),
          million(r.parameters),
          flops,
          ...numbers,
          million(r.peakBytes),
          script,
        ];
      }),
    );
  }
  if (software) {
    say('  No times: this adapter is software, so they would measure the processor and not a GPU.');
  } else {
    const range = (/** @type {ReturnType<typeof spread>} */ s) =>
      s ? `${short(s.median)} (${short(s.p10)}–${short(s.p90)})` : '–';
    printColumns(
      say,
      ['ms a step', 'waited each (p10–p90)', 'ten in a row', 'tokens/s', 'GFLOP/s', 'processor ms, least'],
      rows
        .filter((r) => r.waitedMs)
        .map((r) => {
          const rate = /** @type {number} */ (r.tokensPerSecond);
          const flops = r.flops ? short((r.flops / tokens) * rate * 1e-9) : '–';
          return [
            r.engine,
            range(r.waitedMs),
            range(r.blockMs),
            short(rate),
            flops,
            r.processorMs ? short(r.processorMs.least) : '–',
          ];
        }),
    );
  }
  const ratios = ratiosOf(rows, wasm);
  for (const [name, value] of Object.entries(ratios)) say(`  ${name}: ${value.toFixed(2)}`);
  return { shape, rows, ratios };
}

/**
 * Ours by the best peer and by PyTorch, in tokens a second, of engines that passed. On wasm by processor time, least of all
 * steps: it does not count what else the machine does.
 * @param {any[]} rows @param {boolean} wasm
 */
function ratiosOf(rows, wasm) {
  /** @type {Record<string, number>} */
  const ratios = {};
  const own = rows.find((r) => r.engine === 'ours' || r.engine === 'wasm');
  if (!own?.tokensPerSecond) return ratios;
  const peers = rows.filter((r) => ['nanogpt', 'jax'].includes(r.engine) && r.tokensPerSecond);
  if (peers.length > 0)
    ratios['ours / best peer'] = own.tokensPerSecond / Math.max(...peers.map((r) => r.tokensPerSecond));
  for (const row of rows) {
    if (!row.tokensPerSecond || row === own || peers.includes(row)) continue;
    ratios[`ours / ${row.engine}, by the clock`] = own.tokensPerSecond / row.tokensPerSecond;
    if (wasm && row.processorMs && own.processorMs) {
      ratios[`ours / ${row.engine}, by processor time`] = row.processorMs.least / own.processorMs.least;
    }
  }
  return ratios;
}

/** @param {(line: string) => void} say @param {string[]} head @param {(string | number)[][]} rows */
function printColumns(say, head, rows) {
  const lines = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  for (const line of lines) {
    say(
      `  ${line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')}`,
    );
  }
}
