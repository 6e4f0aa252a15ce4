// Numbers as people read them: bytes, counts, durations, losses, settings.
// Not here: sentences about curves (metrics/diagnosis.ts).

import type { HyperparameterName, Hyperparameters } from '../../hyperparameters';
import { settingText } from '../../settingText';

export { plain } from '../../settingText';
export { plural } from '../../wording';

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** 1_234_567 → "1.2 MB" (powers of 1000, as downloads are counted). */
export function bytes(count: number): string {
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** 1_376_768 → "1.4 M". */
export function short(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} B`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(count >= 1e8 ? 0 : 1)} M`;
  if (count >= 1e4) return `${Math.round(count / 1e3)} k`;
  return whole(count);
}

/** 12345.6 → "12,346". */
export function whole(count: number): string {
  return Math.round(count).toLocaleString('en');
}

/** Tokens a second: 1234.5 → "1,235"; 0.42 → "0.4". */
export function speed(perSecond: number): string {
  return perSecond < 10 ? perSecond.toFixed(1) : whole(perSecond);
}

/** 75_000 → "1:15"; 8_400 → "8 s". */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  const two = (n: number) => String(n).padStart(2, '0');
  if (minutes < 60) return `${minutes}:${two(seconds % 60)} min`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)} h`;
}

/** A loss with as many digits as its size deserves. */
export function loss(value: number): string {
  if (!Number.isFinite(value)) return 'not a number';
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 2 : 3);
}

/** A setting's value in the words of the form. */
export const setting = (name: HyperparameterName, h: Hyperparameters): string => settingText(name, h[name]);
