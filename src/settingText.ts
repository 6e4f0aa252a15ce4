// A setting's value as people read and write it: 5e-4, on, LoRA adapter.
// Not here: which settings exist (hyperparameters.ts), numbers that are no settings (ui/parts/format.ts).

import { HYPERPARAMETERS, type HyperparameterName, type Hyperparameters } from './hyperparameters';

export type SettingValue = Hyperparameters[HyperparameterName];

/** 0.0005 → "5e-4"; 0.02 → "0.02". */
export function plain(value: number): string {
  if (value === 0 || Math.abs(value) >= 0.01) return String(Number(value.toPrecision(6)));
  return value.toExponential().replace('e+', 'e');
}

/** The value in the words of the form. */
export function settingText(name: HyperparameterName, value: SettingValue): string {
  const entry = HYPERPARAMETERS[name];
  if (entry.kind === 'choice') return entry.options.find((o) => o.value === value)?.label ?? String(value);
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'string') return value === '' ? 'none' : value;
  return plain(value);
}
