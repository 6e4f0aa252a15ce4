// The pinned prompts: which ones the next run answers on its way, and what the weights of the step that is shown answer.
// Not here: answering them during a run (session/pinned.ts), the table (ui/train/PinnedTable.svelte).

import type { Message, Session } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';
import { defaultGeneration, PINNED } from '../../generation';
import type { PinnedEvery, PinnedPrompt, PinnedRequest } from '../../stepsContract';
import type { RunView } from './run.svelte';
import type { Suggestion } from './suggestions';

/** The part of the workspace that they need. */
interface Page {
  readonly session: Pick<Session, 'generate'>;
  readonly runs: { error: ErrorDetails | null; readonly all: readonly RunView[] };
  readonly data: { readonly suggestions: readonly Suggestion[] };
  readonly shownStep: { readonly answering: number | null };
}

/** A prompt that has nothing to do with any rows: what the model forgets shows in its answer. */
export const GENERAL_PROMPT = 'What did you do today?';
/** Suggested from the held-out rows. */
const SUGGESTED = 3;

const same = (a: PinnedPrompt, b: PinnedPrompt) => a.prompt === b.prompt && a.system === b.system;

export class Pins {
  prompts: readonly PinnedPrompt[] = $state.raw([]);
  every: PinnedEvery = $state('epoch');
  /** Answers with the weights that are shown; `texts` by prompt, as far as they have come. */
  shown: { run: RunView; step: number; texts: string[]; done: boolean } | null = $state.raw(null);
  readonly full = $derived(this.prompts.length >= PINNED.most);
  /** Prompts that can be pinned with one press. */
  readonly suggested = $derived.by((): PinnedPrompt[] => {
    const rows = this.page.data.suggestions.map(({ prompt, system, expected }) => ({
      prompt,
      system,
      expected,
    }));
    const fresh = rows.filter((one) => !this.has(one)).slice(0, SUGGESTED);
    const general = { prompt: GENERAL_PROMPT, system: '', expected: '' };
    return this.has(general) ? fresh : [...fresh, general];
  });
  private readonly page: Page;
  /** The visitor has chosen in this visit. */
  private touched = false;

  constructor(page: Page) {
    this.page = page;
  }

  /** For the next run; null without any. */
  get request(): PinnedRequest | null {
    if (this.prompts.length === 0) return null;
    return { prompts: this.prompts.map((prompt) => ({ ...prompt })), every: this.every };
  }

  has(pinned: PinnedPrompt): boolean {
    return this.prompts.some((one) => same(one, pinned));
  }

  add(pinned: PinnedPrompt): void {
    if (pinned.prompt.trim() === '' || this.full || this.has(pinned)) return;
    this.touched = true;
    this.prompts = [...this.prompts, pinned];
  }

  remove(pinned: PinnedPrompt): void {
    this.touched = true;
    this.prompts = this.prompts.filter((one) => one !== pinned);
  }

  /** Those of the newest run of an earlier visit, until the visitor chooses. */
  restore(): void {
    const last = this.page.runs.all.find(({ config }) => config !== null)?.config?.pinned;
    if (this.touched || !last || this.prompts.length > 0) return;
    this.prompts = last.prompts;
    this.every = last.every;
  }

  /** The prompts of a run; of one that has none, those that are pinned now. */
  of(run: RunView): readonly PinnedPrompt[] {
    return run.config?.pinned?.prompts ?? this.prompts;
  }

  /** Answers with the weights of the step that is shown, where the run has none of that step. Ends when another step is shown. */
  async answerShown(run: RunView): Promise<void> {
    const { page } = this;
    const step = page.shownStep.answering;
    this.shown = null;
    if (step === null || run.pinned.some((column) => column.step === step)) return;
    const prompts = this.of(run);
    const texts: string[] = [];
    const settings = {
      ...defaultGeneration(),
      do_sample: false,
      max_new_tokens: run.config?.pinned?.maxNewTokens ?? PINNED.maxNewTokens,
    };
    for (const { prompt, system } of prompts) {
      const messages: Message[] = [{ role: 'user', content: prompt }];
      if (system.trim() !== '') messages.unshift({ role: 'system', content: system });
      try {
        const { text } = await page.session.generate({ which: 'tuned', messages, settings }, () => {});
        if (page.shownStep.answering !== step) return;
        texts.push(text);
        this.shown = { run, step, texts: [...texts], done: texts.length === prompts.length };
      } catch (thrown) {
        page.runs.error = errorDetails(thrown);
        return;
      }
    }
  }
}
