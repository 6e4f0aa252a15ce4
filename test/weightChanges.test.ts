// How far weights have moved, as it is read: short names, the table in words, the CSV in long form.
// Not here: the numbers against torch and PEFT (engineSuite.ts).

import { describe, expect, it } from 'vitest';
import {
  percentText,
  shortNames,
  summariesOf,
  weightChangesCsv,
  weightTable,
} from '../src/metrics/weightTable';
import type { WeightChanges } from '../src/weightContract';

const measured: WeightChanges = {
  step: 12,
  layers: [
    { module: 'attn.c_proj', changes: [null, 0.01, 0.03] },
    { module: 'mlp.c_proj', changes: [null, 0.002, 0.001] },
    { module: 'ln_1', changes: [null, null, null] },
  ],
  outside: [{ module: 'transformer.wte.weight', change: 0.5 }],
};

describe('changes of the weights', () => {
  it('are named as short as tells them apart', () => {
    const names = shortNames(['attn.c_attn', 'attn.c_proj', 'mlp.c_proj', 'transformer.wte.weight']);
    expect([...names.values()]).toEqual(['c_attn', 'attn.c_proj', 'mlp.c_proj', 'wte']);
  });

  it('have three digits that count', () => {
    const texts = [0, 1e-7, 0.000123, 0.01234, 0.5, 1.5, 12].map(percentText);
    expect(texts).toEqual(['0 %', '0.0000100 %', '0.0123 %', '1.23 %', '50.0 %', '150 %', '1200 %']);
  });

  it('are summed up by module over the layers that learn', () => {
    expect(summariesOf(measured)).toEqual([
      { module: 'attn.c_proj', mean: 0.02, largest: { change: 0.03, layer: 2 } },
      { module: 'mlp.c_proj', mean: 0.0015, largest: { change: 0.002, layer: 1 } },
      { module: 'transformer.wte.weight', mean: 0.5, largest: { change: 0.5, layer: null } },
    ]);
  });

  it('are a short table', () => {
    expect(weightTable(measured)).toEqual([
      'How far the weights have moved since the start, after step 12 (‖W − W₀‖ / ‖W₀‖):',
      '  module          mean  largest',
      '  attn.c_proj   2.00 %  3.00 % in layer 2',
      '  mlp.c_proj   0.150 %  0.200 % in layer 1',
      '  wte           50.0 %',
    ]);
    expect(weightTable({ step: 0, layers: [], outside: [] })).toEqual([]);
  });

  it('are a CSV file in long form', () => {
    expect(
      weightChangesCsv([{ ...measured, step: 0 }, measured])
        .split('\n')
        .slice(4, 9),
    ).toEqual([
      '0,2,mlp.c_proj,0.001',
      '0,,transformer.wte.weight,0.5',
      '12,1,attn.c_proj,0.01',
      '12,2,attn.c_proj,0.03',
      '12,1,mlp.c_proj,0.002',
    ]);
  });
});
