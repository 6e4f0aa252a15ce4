// “Show me”: one press that takes the smallest sample, trains on it, and asks base and tuned model a question of each kind.
// Not here: how it looks (ui/learn/Arrival.svelte), the stages of the curve (metrics/stages.ts).

import { type ErrorDetails, errorDetails, PlaygroundError } from '../../errors';
import { ARRIVAL, readLocal, writeLocal } from './localKeys';
import type { RunView } from './run.svelte';
import type { Exchange, Talk } from './talk.svelte';
import { whenever } from './whenever.svelte';
import type { Workspace } from './workspace.svelte';

const SAMPLE = 'twelve-rows';

export class ShowMe {
  /** `waiting`: pressed before engine, model and rows were there. */
  phase: 'idle' | 'waiting' | 'training' | 'asking' | 'done' | 'failed' = $state('idle');
  error: ErrorDetails | null = $state.raw(null);
  /** The run that it made. */
  run: RunView | null = $state.raw(null);
  /** The answers to a question that was practised, and to one that was not. */
  practised: Exchange | null = $state(null);
  unseen: Exchange | null = $state(null);
  /** The first screen is one line. */
  small = $state(false);
  private readonly workspace: Workspace;
  private readonly talk: Talk;

  constructor(workspace: Workspace, talk: Talk) {
    this.workspace = workspace;
    this.talk = talk;
    this.small = readLocal(ARRIVAL) !== null;
  }

  get active(): boolean {
    return this.phase === 'waiting' || this.phase === 'training' || this.phase === 'asking';
  }

  /** Why it cannot be pressed, as a sentence; null when it can. */
  get blocked(): string | null {
    const { workspace } = this;
    if (workspace.dead || workspace.deviceError) return 'The engine did not start.';
    if (workspace.training && !this.active) return 'Another run is going on.';
    return null;
  }

  async go(): Promise<void> {
    const { workspace } = this;
    if (this.active || this.blocked !== null) return;
    this.phase = 'waiting';
    this.error = null;
    this.run = null;
    this.practised = null;
    this.unseen = null;
    try {
      await whenever(() => this.workspace.ownRows.ready || this.blocked !== null);
      if (this.blocked !== null) {
        this.phase = 'idle';
        return;
      }
      await this.train();
    } catch (thrown) {
      this.fail(errorDetails(thrown));
    }
    if (this.phase === 'waiting') this.phase = 'idle';
    else if (workspace.dead) this.fail(workspace.dead);
  }

  private async train(): Promise<void> {
    const { workspace } = this;
    const { runs } = workspace;
    await this.workspace.ownRows.replaceBy(
      SAMPLE,
      { eval_per_epoch: 1 },
      'Settings set to those of “Show me”.',
    );
    const before = runs.shown;
    workspace.watchedElsewhere = true;
    const training = runs.train().finally(() => {
      workspace.watchedElsewhere = false;
    });
    await whenever(() => runs.shown !== before || runs.unsaved.question !== null || runs.error !== null);
    if (runs.shown !== before) this.follow(runs.shown);
    await training;
    if (runs.shown === before || !runs.shown) {
      // Refused: by the visitor, who keeps the weights of the run before, or by the engine, which says why.
      if (runs.error) throw new PlaygroundError(runs.error);
      this.phase = 'idle';
      return;
    }
    this.follow(runs.shown);
    if (runs.shown.error) throw new PlaygroundError(runs.shown.error);
    if (!runs.shown.summary || runs.shown.summary.state === 'stopped') {
      this.phase = 'idle';
      return;
    }
    await this.ask();
  }

  private follow(run: RunView | null): void {
    this.run = run;
    this.phase = 'training';
  }

  /** With the weights of the last step: they know the rows by heart. */
  private async ask(): Promise<void> {
    const { workspace, talk } = this;
    this.phase = 'asking';
    await workspace.runs.useTunedWeights('last');
    const question = async (split: 'train' | 'validation') => {
      const [row] = await workspace.data.previewRows(split, 0, 1);
      const said = (role: string) => row?.messages.find((m) => m.role === role)?.content ?? '';
      return { prompt: said('user'), expected: said('assistant') };
    };
    const [known, unknown] = [await question('train'), await question('validation')];
    await whenever(() => !talk.busy);
    const first = talk.ask(known.prompt, '', known.expected);
    this.practised = talk.exchanges[0] ?? null;
    await first;
    const second = talk.ask(unknown.prompt, '', unknown.expected);
    this.unseen = talk.exchanges[0] ?? null;
    await second;
    this.phase = 'done';
    this.remember();
  }

  private fail(error: ErrorDetails): void {
    this.error = error;
    this.phase = 'failed';
  }

  /** Puts the first screen away, or brings it back. */
  fold(small: boolean): void {
    this.small = small;
    if (small) this.remember();
  }

  private remember(): void {
    writeLocal(ARRIVAL, 'seen');
  }
}
