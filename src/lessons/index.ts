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
  { id: 'learning-rate', title: 'The learning rate', minutes: 3, load: () => import('./learningRate') },
  { id: 'loss-mask', title: 'What is learned of a row', minutes: 3, load: () => import('./lossMask') },
  { id: 'how-many-rows', title: 'How many rows', minutes: 3, load: () => import('./howManyRows') },
  {
    id: 'methods',
    title: 'LoRA, all weights, or the last layers',
    minutes: 3,
    load: () => import('./methods'),
  },
  { id: 'forgetting', title: 'Forgetting', minutes: 3, load: () => import('./forgetting') },
  { id: 'plain-text', title: 'Learning a plain text', minutes: 2, load: () => import('./plainText') },
];
