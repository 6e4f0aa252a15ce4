// Which way is to be taken, in sentences: the one with the least work that nothing measured beats; and what was seen of the others.
// Not here: the table (waysTable.ts), the statistics (proportions.ts).

import { type WayId, type WayQuestion, type WayRun, wayOf } from '../ways';
import type { Count, WayComparison, WayRow, WaysVerdict } from '../waysContract';
import { plural } from '../wording';
import { pairedBootstrap, wilson } from './proportions';
import { isRight } from './waysTable';

/** A way that is right less often than this is none to be used. */
const LEAST_SHARE = 0.3;
/** An instruction of which, with 95 % confidence, fewer answers than this have the form is not followed. */
const FOLLOWED = 0.25;
/**
 * More than this share of the facts lost by passages that come unpractised is worth a sentence. Chosen on Harbor & Pine, where a tuned
 * Pebble-1M loses 27 points; the cases that were made later agree: it loses 90 on things for hire, and none on sixteen products.
 */
const LOST_SHARE = 0.15;

/** Share of right answers of each question: over the seeds, and over before and after the change where that was asked. */
function sharesOf(way: WayId, runs: readonly WayRun[], questions: readonly WayQuestion[]): number[] {
  const right = new Map<string, number[]>();
  for (const run of runs) {
    if (run.way !== way) continue;
    for (const answer of run.answers) {
      const list = right.get(answer.question) ?? [];
      list.push(isRight(answer) ? 1 : 0);
      right.set(answer.question, list);
    }
  }
  return questions.map(({ id }) => mean(right.get(id) ?? [0]));
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

const percent = (share: number) => `${Math.round(100 * share)} %`;
const points = (share: number) => Math.round(100 * share);

/** How often the base model obeyed an instruction that it may know, and how often it answered so without it. */
export interface ControlCount {
  instruction: string;
  form: Count;
  /** Null where the model was not asked without it. */
  without: Count | null;
}

/** @param random uniform numbers in [0, 1), from a seed; for the bootstrap */
export function waysVerdict(
  questions: readonly WayQuestion[],
  runs: readonly WayRun[],
  rows: readonly WayRow[],
  control: ControlCount | null,
  random: () => number,
): WaysVerdict | null {
  // A way that was stopped in its middle is compared with nobody.
  const whole = rows.filter(
    ({ way }) =>
      runs.some((run) => run.way === way.id) &&
      runs.every((run) => run.way !== way.id || run.answers.length === questions.length),
  );
  if (whole.length === 0 || questions.length === 0) return null;
  const shares = whole.map(({ way }) => ({ way, shares: sharesOf(way.id, runs, questions) }));
  const order = [...shares].sort((a, b) => mean(b.shares) - mean(a.shares));
  const best = order[0] as (typeof shares)[number];
  const comparisons = shares.flatMap(({ way, shares: own }): WayComparison[] => {
    if (way === best.way) return [];
    const differences = best.shares.map((share, i) => share - (own[i] as number));
    return [{ way: best.way.id, than: way.id, ...pairedBootstrap(differences, random) }];
  });
  const notes = [...promptNotes(whole, control), ...notesOf(whole, runs)];
  if (mean(best.shares) < LEAST_SHARE) {
    return {
      take: null,
      sentence: `None of these ways is good enough: the best, “${best.way.label}”, is right in ${percent(mean(best.shares))} of the answers. Try a larger model, or more and better rows.`,
      notes,
      comparisons,
    };
  }
  // In the order of work: the first that the best does not beat.
  const equal = shares.filter(
    ({ way }) => way === best.way || comparisons.some((c) => c.than === way.id && c.low <= 0),
  );
  const take = (equal[0] as (typeof shares)[number]).way;
  return {
    take: take.id,
    sentence: takeSentence(take.id, best.way.id, shares, comparisons),
    notes,
    comparisons,
  };
}

function takeSentence(
  take: WayId,
  best: WayId,
  shares: readonly { way: { id: WayId }; shares: number[] }[],
  comparisons: readonly WayComparison[],
): string {
  const shareOf = (id: WayId) => mean(shares.find(({ way }) => way.id === id)?.shares ?? [0]);
  const tuned = wayOf(take).tuning !== 'none';
  const others = shares.filter(({ way }) => (wayOf(way.id).tuning !== 'none') !== tuned);
  const rival = [...others].sort((a, b) => mean(b.shares) - mean(a.shares))[0]?.way.id;
  const head = tuned ? `Tune: take “${wayOf(take).label}”.` : `Do not tune: take “${wayOf(take).label}”.`;
  const right = `It is right in ${percent(shareOf(take))} of the answers`;
  const pair = comparisons.find(({ way, than }) => way === take && than === rival);
  const equalToBest =
    take === best
      ? ''
      : ` “${wayOf(best).label}” has ${percent(shareOf(best))}, a difference that may be chance, and takes more work.`;
  if (rival === undefined) {
    const missing = tuned ? 'without tuning' : 'with tuning';
    return `${head} ${right}; no way ${missing} was asked.${equalToBest}`;
  }
  const against = `, the best way ${tuned ? 'without' : 'with'} tuning in ${percent(shareOf(rival))}`;
  const interval = pair
    ? ` (${points(pair.low)} to ${points(pair.high)} points apart, with 95 % confidence)`
    : '';
  return `${head} ${right}${against}${interval}.${equalToBest}`;
}

/** Whether the model follows a prompt, with the evidence. */
function promptNotes(rows: readonly WayRow[], control: ControlCount | null): string[] {
  const notes = (['prompt', 'examples'] as const).flatMap((id): string[] => {
    const form = rows.find(({ way }) => way.id === id)?.form;
    if (!form) return [];
    const { high } = wilson(form.right, form.of);
    if (high >= FOLLOWED) return [];
    const what = id === 'prompt' ? 'this instruction' : 'the examples in the prompt';
    return [
      `This model does not follow ${what}: ${countText(form)} answers have the form that is asked for (at most ${percent(high)}, with 95 % confidence).`,
    ];
  });
  if (notes.length === 0) return [];
  const larger = 'A larger model may follow it, and is worth a try.';
  if (control === null) return [...notes, larger];
  const { low, high } = wilson(control.form.right, control.form.of);
  const without = control.without === null ? '' : `; ${countText(control.without)} without being told`;
  const said = `“${control.instruction}”: ${countText(control.form)}${without}`;
  if (low > 0.5) return [...notes, `It does follow an instruction that it knows (${said}). ${larger}`];
  if (high < FOLLOWED) return [...notes, `It is too small to follow a prompt at all (${said}). ${larger}`];
  return [...notes, `It follows an instruction that it knows only now and then (${said}). ${larger}`];
}

/** What was seen of single ways. */
function notesOf(rows: readonly WayRow[], runs: readonly WayRun[]): string[] {
  const row = (id: WayId) => rows.find(({ way }) => way.id === id);
  const notes: string[] = [];
  const [base, later, practised] = [row('retrieval'), row('tuned_retrieval_later'), row('tuned_on_passages')];
  const share = (r: WayRow) => r.facts.right / Math.max(1, r.facts.of);
  if (base && later && share(base) - share(later) > LOST_SHARE) {
    notes.push(
      `Tuned on rows without passages, the model stopped reading them: ${countText(later.facts)} facts right, where the base model has ${countText(base.facts)} with the same passages.${
        practised ? ` Tuned on rows with passages it has ${countText(practised.facts)}.` : ''
      }`,
    );
  }
  const [tuned] = [row('tuned')];
  if (tuned?.changedOnly && tuned.changedOnly.of > 0) {
    notes.push(
      `After the change the tuned model without retrieval has ${countText(tuned.changedOnly)} changed facts right${
        practised?.changedOnly
          ? `; with passages in training and prompt ${countText(practised.changedOnly)}`
          : ''
      }.`,
    );
  }
  const leftOut = runs.reduce(
    (sum, run) => sum + run.answers.reduce((inner, answer) => inner + answer.leftOut, 0),
    0,
  );
  if (leftOut > 0) {
    notes.push(
      `${plural(leftOut, 'passage')} that ${leftOut === 1 ? 'was' : 'were'} found did not fit into the context of the model and ${leftOut === 1 ? 'was' : 'were'} left out.`,
    );
  }
  return notes;
}

const countText = ({ right, of }: { right: number; of: number }) => `${right} of ${of}`;
