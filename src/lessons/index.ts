// The lessons in their order: what the list shows of each, and how the rest is fetched when it is opened.
// Not here: what a lesson is (lesson.ts).

import type { Lesson } from './lesson';

export interface LessonEntry {
  id: string;
  title: string;
  /** Of a laptop with two cores, without a graphics card: measured by walking through it (e2e/lessons.spec.ts), with time to read. */
  minutes: number;
  load: () => Promise<{ lesson: Lesson }>;
}

export const LESSONS: readonly LessonEntry[] = [
  { id: 'first-fine-tune', title: 'Your first fine-tune', minutes: 2, load: () => import('./firstFineTune') },
  { id: 'two-losses', title: 'Reading two losses', minutes: 2, load: () => import('./twoLosses') },
  { id: 'overfitting', title: 'Overfitting', minutes: 2, load: () => import('./overfitting') },
];
