// ONE list of rules: what speaks for prompting, for retrieval and for fine-tuning; eight questions, and the recommendation that follows from the answers.
// Not here: measuring it (metrics/waysVerdict.ts), the form (ui/decide/DecisionGuide.svelte).

import type { WayId } from '../ways';

/** The questions, by what an answer is called. */
export const GUIDE_QUESTIONS = {
  prompted: {
    label: 'Have you tried a clear instruction with a few examples?',
    options: {
      no: 'Not yet',
      enough: 'Yes, and it is good enough',
      lacking: 'Yes, and something is missing',
    },
  },
  behaviour: {
    label: 'What must every answer have that it lacks today?',
    options: {
      none: 'Nothing',
      format: 'An output format',
      style: 'A style or tone',
      terms: 'The terms of our domain',
    },
  },
  knowledge: {
    label: 'Does it need facts that the model cannot know?',
    options: { none: 'No', stable: 'Yes, and they stay', changing: 'Yes, and they change' },
  },
  citations: {
    label: 'Must an answer show where it comes from?',
    options: { no: 'No', yes: 'Yes' },
  },
  rows: {
    label: 'How many good example answers do you have?',
    options: { few: 'Fewer than 50', some: '50 to 500', many: 'More' },
  },
  volume: {
    label: 'How many answers do you need?',
    options: { low: 'Some a day', high: 'Thousands a day' },
  },
  latency: {
    label: 'Must it be fast, or run on a small device?',
    options: { no: 'No', yes: 'Yes' },
  },
  change: {
    label: 'How settled is what it shall do?',
    options: { settled: 'Settled', weekly: 'It changes every week', many: 'Many different tasks' },
  },
} as const satisfies Record<string, { label: string; options: Record<string, string> }>;

export type GuideQuestion = keyof typeof GUIDE_QUESTIONS;
export type GuideAnswers = { [Q in GuideQuestion]: keyof (typeof GUIDE_QUESTIONS)[Q]['options'] };
export const GUIDE_QUESTION_NAMES = Object.keys(GUIDE_QUESTIONS) as GuideQuestion[];

export type Approach = 'prompt' | 'retrieve' | 'tune' | 'both';

export interface GuideRule {
  id: string;
  /** What it speaks for. `no_tuning` forbids tuning for now, whatever speaks for it. */
  speaksFor: 'prompt' | 'retrieve' | 'tune' | 'both' | 'no_tuning';
  when: (answers: GuideAnswers) => boolean;
  reason: string;
}

const tunable = (a: GuideAnswers) => a.behaviour !== 'none' || a.volume === 'high' || a.latency === 'yes';
const needsFacts = (a: GuideAnswers) => a.knowledge !== 'none' || a.citations === 'yes';

export const GUIDE_RULES: readonly GuideRule[] = [
  {
    id: 'prompt_first',
    speaksFor: 'prompt',
    when: (a) => a.prompted === 'no',
    reason: 'You have not tried a prompt yet. It costs minutes, and shows what is really missing.',
  },
  {
    id: 'prompt_enough',
    speaksFor: 'no_tuning',
    when: (a) => a.prompted === 'enough' && a.volume === 'low' && a.latency === 'no',
    reason: 'The prompt is good enough, and neither time nor cost speaks against it.',
  },
  {
    id: 'output_format',
    speaksFor: 'tune',
    when: (a) => a.behaviour === 'format',
    reason: 'An output format that must always hold is behaviour, and fine-tuning teaches behaviour.',
  },
  {
    id: 'style',
    speaksFor: 'tune',
    when: (a) => a.behaviour === 'style',
    reason:
      'A style or tone is shown by examples better than told by rules: fine-tuning learns it from rows.',
  },
  {
    id: 'domain_terms',
    speaksFor: 'tune',
    when: (a) => a.behaviour === 'terms',
    reason: 'How the terms of a domain are used is learned from rows that use them.',
  },
  {
    id: 'latency',
    speaksFor: 'tune',
    when: (a) => a.latency === 'yes',
    reason: 'A small tuned model with a short prompt answers faster than a large one with a long prompt.',
  },
  {
    id: 'volume_and_cost',
    speaksFor: 'tune',
    when: (a) => a.volume === 'high',
    reason:
      'With many answers, what tuning costs once is less than instructions and examples paid for in every prompt.',
  },
  {
    id: 'changing_knowledge',
    speaksFor: 'retrieve',
    when: (a) => a.knowledge === 'changing',
    reason: 'Facts that change are looked up: a tuned model goes on giving the old ones, and sounds sure.',
  },
  {
    id: 'stable_knowledge',
    speaksFor: 'retrieve',
    when: (a) => a.knowledge === 'stable',
    reason: 'Facts that stay are looked up too: fine-tuning learns few of them, and makes up the rest.',
  },
  {
    id: 'citations',
    speaksFor: 'retrieve',
    when: (a) => a.citations === 'yes',
    reason: 'Only a passage that was looked up can be shown as the source.',
  },
  {
    id: 'little_data',
    speaksFor: 'no_tuning',
    when: (a) => a.rows === 'few',
    reason:
      'With so few examples the model learns them by heart. Put the best into the prompt, and collect more.',
  },
  {
    id: 'quick_iteration',
    speaksFor: 'no_tuning',
    when: (a) => a.change === 'weekly',
    reason:
      'What changes every week is edited in a prompt in a minute; rows would have to be written and trained each time.',
  },
  {
    id: 'flexibility',
    speaksFor: 'no_tuning',
    when: (a) => a.change === 'many',
    reason: 'Many different tasks ask for a general model: tuning for one of them makes it worse at others.',
  },
  {
    id: 'both',
    speaksFor: 'both',
    when: (a) => tunable(a) && needsFacts(a),
    reason:
      'How it answers and what it knows are two needs: tune for the first, retrieve for the second, and train on rows with passages in them.',
  },
];

export interface Recommendation {
  approach: Approach;
  title: string;
  /** What to do, in order. The first is always the prompt. */
  steps: string[];
  /** Rules that fired and led here, then those that were outweighed. */
  reasons: GuideRule[];
  outweighed: GuideRule[];
  cost: string;
  /** Ways of the exercise that would confirm it. */
  compare: WayId[];
  experiment: string;
}

const OUTCOMES: Readonly<
  Record<Approach, Pick<Recommendation, 'title' | 'cost' | 'compare' | 'experiment'> & { after: string[] }>
> = {
  prompt: {
    title: 'Stay with the prompt',
    after: [],
    cost: 'Minutes to write, and its tokens in every question.',
    compare: ['prompt', 'examples'],
    experiment:
      'Run “Prompt only” and “Prompt with examples” above on your rows; take tuning only if it beats them by more than chance.',
  },
  retrieve: {
    title: 'Prompt with retrieval (RAG)',
    after: ['Cut your documents into passages, and look up the best for each question.'],
    cost: 'An index that is made in seconds, and the tokens of the passages in every question. A changed fact costs a new file.',
    compare: ['prompt', 'retrieval'],
    experiment:
      'Run “Prompt only” and “Prompt + retrieval” above with your documents, and read which questions the search missed.',
  },
  tune: {
    title: 'Fine-tune',
    after: ['Fine-tune on your rows, and measure on rows that were held out.'],
    cost: 'Rows to write and check, and a training run for each change of behaviour; then short prompts.',
    compare: ['prompt', 'examples', 'tuned'],
    experiment:
      'Run “Prompt with examples” and “Fine-tuned” above on your rows: the difference must be more than chance.',
  },
  both: {
    title: 'Both: fine-tune and retrieve',
    after: [
      'Look facts up, and see what is still missing.',
      'Fine-tune on rows that hold the passages which the same search finds.',
    ],
    cost: 'Rows, a training run, and an index. A changed fact costs a new file; a changed voice, a new run.',
    compare: ['retrieval', 'tuned_retrieval_later', 'tuned_on_passages'],
    experiment:
      'Run “Prompt + retrieval”, “Fine-tuned, retrieval added later” and “Fine-tuned on rows with passages” above, then swap the documents.',
  },
};

/** What follows from the answers. Pure: each combination has a recommendation, and its first step is the prompt. */
export function recommend(answers: GuideAnswers): Recommendation {
  const fired = GUIDE_RULES.filter((rule) => rule.when(answers));
  const has = (side: GuideRule['speaksFor']) => fired.some(({ speaksFor }) => speaksFor === side);
  // Where a prompt has not been tried, nobody knows yet whether tuning is needed; what has to be looked up is known.
  const tuning = has('tune') && !has('no_tuning') && answers.prompted !== 'no';
  const approach: Approach = tuning
    ? has('retrieve')
      ? 'both'
      : 'tune'
    : has('retrieve')
      ? 'retrieve'
      : 'prompt';
  const agrees = ({ speaksFor }: GuideRule) => {
    if (speaksFor === 'tune') return tuning;
    if (speaksFor === 'both') return approach === 'both';
    return speaksFor !== 'no_tuning' || !tuning;
  };
  const { after, ...outcome } = OUTCOMES[approach];
  const first =
    answers.prompted === 'no'
      ? 'Start with prompting: a clear instruction, two examples, and twenty test questions.'
      : 'Start with prompting: keep the prompt that you have, with its test questions, as what the rest must beat.';
  const waiting =
    has('tune') && !tuning ? ['Then ask again what is missing: something speaks for tuning later.'] : [];
  return {
    approach,
    ...outcome,
    steps: [first, ...after, ...waiting],
    reasons: fired.filter(agrees),
    outweighed: fired.filter((rule) => !agrees(rule)),
  };
}
