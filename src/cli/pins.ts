// Prompts that `train` answers on the way: the options, what a resumed run may change about them (nothing), and the lines that are printed.
// Not here: which prompts are accepted and when they are answered (session/pinned.ts).

import type { RunConfig } from '../contract';
import { PlaygroundError } from '../errors';
import type { PinnedColumn, PinnedRequest } from '../stepsContract';
import type { Arguments, Option } from './options';

export const PIN_OPTIONS: readonly Option[] = [
  {
    name: 'pin',
    value: 'TEXT',
    kind: 'text',
    repeatable: true,
    help: 'A prompt that is answered, greedily, before the first step, at evaluations on the way and at the end; at most six. The answers go to run.json.',
  },
  {
    name: 'pin_system',
    value: 'TEXT',
    kind: 'text',
    help: 'A system message before each pinned prompt.',
  },
  {
    name: 'pin_every',
    value: 'WHEN',
    kind: 'text',
    default: 'epoch',
    help: 'epoch: at the evaluations nearest to the ends of epochs; or a number K: at every K-th evaluation.',
  },
];

/**
 * @param resumed settings of the run that is resumed; null for a new one
 * @throws PlaygroundError `bad_usage`
 */
export function pinnedOf(args: Arguments, resumed: Pick<RunConfig, 'pinned'> | null): PinnedRequest | null {
  const before = resumed?.pinned ?? null;
  const every = args.text('pin_every') as string;
  const system = args.text('pin_system') ?? '';
  const prompts = args.texts('pin').map((prompt) => ({ prompt, system, expected: '' }));
  if (prompts.length === 0) {
    if (system === '') return before;
    throw new PlaygroundError({
      code: 'bad_usage',
      message: '--pin_system is given without --pin.',
      fix: 'Add --pin "a prompt", or leave it out.',
      where: 'pin_system',
    });
  }
  const request: PinnedRequest = { prompts, every: every === 'epoch' ? every : Number(every) };
  const words = ({ prompts: all, every: when }: PinnedRequest) =>
    JSON.stringify([when, all.map((p) => [p.system, p.prompt])]);
  const same = resumed === null || (before !== null && words(before) === words(request));
  if (same) return request;
  throw new PlaygroundError({
    code: 'bad_usage',
    message: 'The pinned prompts are not those of the interrupted run.',
    fix: 'Leave --pin out: a resumed run keeps its own.',
    where: 'pin',
  });
}

/** One line a prompt. */
export function pinnedLines({ prompts }: PinnedRequest, { step, answers }: PinnedColumn): string[] {
  const short = (text: string) => (text.length > 60 ? `${text.slice(0, 59)}…` : text).replaceAll(/\s+/g, ' ');
  return answers.map(
    ({ text }, i) =>
      `${step === 0 ? 'Before training' : `After step ${step}`}, “${short(prompts[i]?.prompt ?? '')}”: ${text.replaceAll(/\s+/g, ' ')}`,
  );
}
