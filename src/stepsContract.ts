// Types of single steps of a run: whose weights are kept and shown, and prompts that are answered while it trains. Cross the worker's boundary.
// Not here: the session itself (contract.ts), which steps are kept (session/keptSteps.ts), when a prompt is answered (session/pinned.ts).

// ───────────────────────────── weights of a step ─────────────────────────────

/** What the worker offers beside `Session`: weights of any kept step. */
export interface StepCalls {
  /**
   * The steps of the run that the engine holds whose weights can be shown now, in order; step 0 is the model before training. Empty
   * without a run, and while one goes on without a pause.
   */
  shownSteps(): Promise<number[]>;
  /**
   * From now on the weights of that step answer, give the losses of rows and tokens, and are exported; null goes back to those of
   * `tunedWeights`. So does whatever makes new weights: a run that goes on, another run, another model. Measuring the test rows always
   * takes `tunedWeights`: a step must not be chosen by them.
   * Rejects with `no_tuned_model`, `step_not_kept`, `run_active` (not paused), or `bad_checkpoint`.
   */
  showStep(step: number | null): Promise<void>;
}

// ───────────────────────────── pinned prompts ─────────────────────────────

/** A prompt that is answered at several steps of a run. */
export interface PinnedPrompt {
  prompt: string;
  /** '' without. */
  system: string;
  /** What the row that it comes from says; '' where it comes from none. */
  expected: string;
}

/** At which evaluations pinned prompts are answered: at those nearest to the ends of epochs, or at every k-th; the first and the last always. */
export type PinnedEvery = 'epoch' | number;

/** What is asked for when a run is started. */
export interface PinnedRequest {
  prompts: PinnedPrompt[];
  every: PinnedEvery;
}

/** As it was frozen with the run. */
export interface PinnedConfig extends PinnedRequest {
  /** For each prompt: the side of the split with a row of this prompt; null where no row has it. */
  sides: ('train' | 'validation' | null)[];
  /** The most tokens of an answer. */
  maxNewTokens: number;
}

/** One answer to a pinned prompt, greedy. */
export interface PinnedAnswer {
  text: string;
  tokens: number;
  promptTokens: number;
  stoppedBy: 'end_token' | 'limit' | 'context';
}

/** All pinned prompts, answered with the weights after this step. Step 0 is the model before training. */
export interface PinnedColumn {
  step: number;
  epoch: number;
  /** In the order of the prompts. */
  answers: PinnedAnswer[];
}
