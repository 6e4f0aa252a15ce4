// The word and the sign of each verdict.
// Not here: when it is which (metrics/diagnosis.ts), its sentence (there too).

import type { VerdictState } from '../../metrics/diagnosis';

export const VERDICTS = {
  waiting: { word: 'Too early', icon: 'info' },
  learning: { word: 'Learning', icon: 'check' },
  plateau: { word: 'Plateau', icon: 'minus' },
  underfitting: { word: 'Underfitting', icon: 'minus' },
  overfitting: { word: 'Overfitting', icon: 'warn' },
  diverged: { word: 'Diverged', icon: 'close' },
  too_few: { word: 'Too few rows', icon: 'info' },
  copies: { word: 'Only copies', icon: 'warn' },
} as const satisfies Record<VerdictState, { word: string; icon: string }>;
