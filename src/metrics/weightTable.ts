// WeightChanges → what is read: short names of modules, a summary by module, a table in words, CSV in long form.
// Not here: measuring (engine/training/weightChanges.ts), drawing (ui/train).

import type { WeightChanges } from '../weightContract';
import { csvCell } from './csvCell';

/** A module over all layers; outside the layers `largest` has no layer. */
export interface ModuleSummary {
  module: string;
  mean: number;
  largest: { change: number; layer: number | null };
}

/** `self_attn.q_proj` → `q_proj`; the whole name where two modules would be called the same. */
export function shortNames(modules: readonly string[]): Map<string, string> {
  const last = (module: string) => module.replace(/\.weight$/, '').replace(/^.*\./, '');
  const counts = new Map<string, number>();
  for (const module of modules) counts.set(last(module), (counts.get(last(module)) ?? 0) + 1);
  return new Map(modules.map((module) => [module, counts.get(last(module)) === 1 ? last(module) : module]));
}

/** 0.01234 → "1.23 %"; 0.00000123 → "0.000123 %": three digits that count, so that small changes can be compared. */
export function percentText(change: number): string {
  const percent = 100 * change;
  if (percent === 0) return '0 %';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(percent)));
  return `${percent >= 100 ? Math.round(percent) : percent.toFixed(Math.min(digits, 8))} %`;
}

/** One entry a module, in the order of the forward pass; modules of which nothing was measured are left out. */
export function summariesOf({ layers, outside }: WeightChanges): ModuleSummary[] {
  const inside = layers.flatMap(({ module, changes }): ModuleSummary[] => {
    const measured = changes.flatMap((change, layer) => (change === null ? [] : [{ change, layer }]));
    const [first] = measured;
    if (!first) return [];
    const mean = measured.reduce((sum, { change }) => sum + change, 0) / measured.length;
    return [{ module, mean, largest: measured.reduce((a, b) => (b.change > a.change ? b : a), first) }];
  });
  const others = outside.flatMap(({ module, change }): ModuleSummary[] =>
    change === null ? [] : [{ module, mean: change, largest: { change, layer: null } }],
  );
  return [...inside, ...others];
}

/** Lines for a terminal; none where nothing was measured. Layers count from 0, as the checkpoint names them. */
export function weightTable(changes: WeightChanges): string[] {
  const summaries = summariesOf(changes);
  if (summaries.length === 0) return [];
  const names = shortNames(summaries.map(({ module }) => module));
  const rows = summaries.map(({ module, mean, largest: { change, layer } }) => [
    names.get(module) as string,
    percentText(mean),
    layer === null ? '' : `${percentText(change)} in layer ${layer}`,
  ]);
  const all = [['module', 'mean', 'largest'], ...rows];
  const width = (column: number) => Math.max(...all.map((row) => (row[column] as string).length));
  const [first, second] = [width(0), width(1)];
  return [
    `How far the weights have moved since the start, after step ${changes.step} (‖W − W₀‖ / ‖W₀‖):`,
    ...all.map(([name = '', mean = '', most = '']) =>
      `  ${name.padEnd(first)}  ${mean.padStart(second)}  ${most}`.trimEnd(),
    ),
  ];
}

/** All measurements as CSV in long form (RFC 4180): `layer` is empty outside the layers, and nothing stands where nothing learns. */
export function weightChangesCsv(measured: readonly WeightChanges[]): string {
  const lines = measured.flatMap(({ step, layers, outside }) => [
    ...layers.flatMap(({ module, changes }) =>
      changes.flatMap((change, layer) =>
        change === null ? [] : [`${step},${layer},${csvCell(module)},${change}`],
      ),
    ),
    ...outside.flatMap(({ module, change }) =>
      change === null ? [] : [`${step},,${csvCell(module)},${change}`],
    ),
  ]);
  return `${['step,layer,module,relative_change', ...lines].join('\n')}\n`;
}
