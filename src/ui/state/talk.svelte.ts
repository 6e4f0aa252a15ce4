// The conversation: one prompt, answered by the base and the tuned model in turn, streamed.
// Not here: loading, training (workspace.svelte.ts), or how answers look (ui/compare/ComparePanel.svelte).

import type { GenerateResult, Message } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';
import { defaultGeneration, type GenerationSettings } from '../../generation';
import type { RunView } from './run.svelte';
import type { Workspace } from './workspace.svelte';

export interface Answer {
  /** Model, run and weights that answer, as they were called when the answer began: “Pebble-1M, run 2, best (step 84)”. */
  from: string;
  text: string;
  state: 'waiting' | 'streaming' | 'done' | 'failed';
  result: GenerateResult | null;
  error: ErrorDetails | null;
}

export interface Exchange {
  id: number;
  system: string;
  prompt: string;
  /** What the validation row says, when the prompt came from one. */
  expected: string;
  base: Answer;
  tuned: Answer | null;
}

/** Earlier exchanges kept below the latest. */
const KEPT = 20;

const waiting = (): Answer => ({ from: '', text: '', state: 'waiting', result: null, error: null });

export class Talk {
  exchanges: Exchange[] = $state([]);
  busy = $state(false);
  settings: GenerationSettings = $state(defaultGeneration());
  private cancelled = false;
  private count = 0;
  private readonly workspace: Workspace;

  constructor(workspace: Workspace) {
    this.workspace = workspace;
  }

  /** Asks the base model, then the tuned one when there is one. Greedy or sampled as set. */
  async ask(prompt: string, system: string, expected: string): Promise<void> {
    if (this.busy || prompt.trim() === '') return;
    this.busy = true;
    this.cancelled = false;
    const fresh: Exchange = {
      id: ++this.count,
      system,
      prompt,
      expected,
      base: waiting(),
      tuned: this.workspace.runs.tuned ? waiting() : null,
    };
    this.exchanges = [fresh, ...this.exchanges].slice(0, KEPT);
    const exchange = this.exchanges[0] as Exchange;
    const messages: Message[] = [{ role: 'user', content: prompt }];
    if (system.trim() !== '') messages.unshift({ role: 'system', content: system });
    try {
      await this.answer('base', exchange.base, messages);
      if (exchange.tuned) await this.answer('tuned', exchange.tuned, messages);
    } finally {
      this.busy = false;
    }
  }

  async stop(): Promise<void> {
    this.cancelled = true;
    try {
      await this.workspace.session.cancelGeneration();
    } catch (thrown) {
      this.workspace.runs.error = errorDetails(thrown);
    }
  }

  private async answer(which: 'base' | 'tuned', answer: Answer, messages: Message[]): Promise<void> {
    if (this.cancelled) {
      answer.state = 'done';
      return;
    }
    const { modelName, runs, shownStep } = this.workspace;
    const run = which === 'tuned' ? runs.holder : null;
    const step = shownStep.answering;
    const weights = step === null ? run?.weights(runs.tunedWeights).label : `step ${step}`;
    const tuned = run ? `, ${runName(run)}, ${weights}` : '';
    answer.from = `${modelName}${tuned}`;
    answer.state = 'streaming';
    try {
      const settings = $state.snapshot(this.settings);
      answer.result = await this.workspace.session.generate({ which, messages, settings }, (text) => {
        if (answer.state === 'streaming') answer.text += text;
      });
      answer.text = answer.result.text;
      answer.state = 'done';
      if (run) this.keep(run, answer, messages);
    } catch (thrown) {
      answer.error = errorDetails(thrown);
      answer.state = 'failed';
    }
  }

  /** With the run whose weights gave it. */
  private keep(run: RunView, { from, text }: Answer, messages: readonly Message[]): void {
    const said = (role: Message['role']) => messages.find((m) => m.role === role)?.content ?? '';
    run.keepAnswer({ from, system: said('system'), prompt: said('user'), text });
    this.workspace.kept.describeRun(run);
  }
}

/** In the middle of a sentence: “run 2”, or the name that it was given. */
const runName = (run: RunView) => (run.name === '' ? `run ${run.number}` : run.name);
