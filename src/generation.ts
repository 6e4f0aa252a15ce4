// ONE table of everything that decides how an answer is drawn: the page's form, the command line and validation read it.
// Not here: drawing a token (engine/generation/sampling.ts), settings of a training run (hyperparameters.ts).

import { PlaygroundError } from './errors';

/** By the names of transformers' GenerationConfig. */
export interface GenerationSettings {
  do_sample: boolean;
  temperature: number;
  top_k: number;
  top_p: number;
  seed: number;
  max_new_tokens: number;
}

export type GenerationName = keyof GenerationSettings;

export interface GenerationBoolean {
  kind: 'boolean';
  label: string;
  default: boolean;
  help: string;
}
export interface GenerationNumber {
  kind: 'number' | 'integer';
  label: string;
  default: number;
  min: number;
  /** `min` itself is not allowed. */
  aboveMin?: true;
  max: number;
  /** Form step. */
  step: number;
  help: string;
  /** Has an effect only where tokens are drawn. */
  sampledOnly: boolean;
}

export const GENERATION: {
  readonly [K in GenerationName]: GenerationSettings[K] extends boolean
    ? GenerationBoolean
    : GenerationNumber;
} = {
  do_sample: {
    kind: 'boolean',
    label: 'Sampled',
    default: false,
    help: 'Draw each token by its probability; otherwise always the likeliest.',
  },
  temperature: {
    kind: 'number',
    label: 'Temperature',
    default: 0.8,
    min: 0,
    aboveMin: true,
    max: 100,
    step: 0.05,
    help: 'Below 1 surer, above 1 wilder.',
    sampledOnly: true,
  },
  top_k: {
    kind: 'integer',
    label: 'Top-k',
    default: 40,
    min: 0,
    max: 1_000_000,
    step: 1,
    help: 'Draw among the N likeliest; 0 = all.',
    sampledOnly: true,
  },
  top_p: {
    kind: 'number',
    label: 'Top-p',
    default: 0.95,
    min: 0,
    aboveMin: true,
    max: 1,
    step: 0.05,
    help: 'Draw among the likeliest that together reach X.',
    sampledOnly: true,
  },
  seed: {
    kind: 'integer',
    label: 'Seed',
    default: 42,
    min: 0,
    max: 4_294_967_295,
    step: 1,
    help: 'The same seed draws the same answer.',
    sampledOnly: true,
  },
  max_new_tokens: {
    kind: 'integer',
    label: 'Most tokens',
    default: 128,
    min: 1,
    max: 1_000_000,
    step: 1,
    help: 'Longest answer, in tokens.',
    sampledOnly: false,
  },
};

/** Prompts that are answered at several steps of a run: how many at most, and how long an answer may be. */
export const PINNED = { most: 6, maxNewTokens: 40 } as const;

export const GENERATION_NAMES = Object.keys(GENERATION) as GenerationName[];

export function defaultGeneration(): GenerationSettings {
  return Object.fromEntries(
    GENERATION_NAMES.map((name) => [name, GENERATION[name].default]),
  ) as unknown as GenerationSettings;
}

/** The first setting that is out of its range, as a name and a sentence; null when all are good. */
export function generationProblem(
  settings: GenerationSettings,
): { name: GenerationName; message: string } | null {
  for (const name of GENERATION_NAMES) {
    const entry = GENERATION[name];
    const value: unknown = settings[name];
    const problem = (message: string) => ({ name, message: `${name} ${message}.` });
    if (entry.kind === 'boolean') {
      if (typeof value !== 'boolean') return problem('must be true or false');
    } else if (typeof value !== 'number' || !Number.isFinite(value)) return problem('must be a number');
    else if (entry.kind === 'integer' && !Number.isInteger(value)) return problem('must be a whole number');
    else if (entry.aboveMin && value <= entry.min) return problem(`must be above ${entry.min}`);
    else if (value < entry.min) return problem(`must be at least ${entry.min}`);
    else if (value > entry.max) return problem(`must be at most ${entry.max}`);
  }
  return null;
}

/** @throws PlaygroundError `bad_generation` */
export function assertGeneration(settings: GenerationSettings): void {
  const problem = generationProblem(settings);
  if (problem === null) return;
  throw new PlaygroundError({
    code: 'bad_generation',
    message: problem.message,
    fix: `Change ${problem.name} and ask again.`,
    where: problem.name,
  });
}
