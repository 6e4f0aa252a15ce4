// The form of settings: its values, what is wrong with them, and changes that happen by themselves, which are said and can be undone.
// Not here: what a setting means (hyperparameters.ts), how the form looks (ui/settings/ConfigurePanel.svelte), what follows from a change (workspace.svelte.ts).

import { checkHyperparameters } from '../../hyperparameterChecks';
import {
  defaultHyperparameters,
  defaultLearningRate,
  forModel,
  type HyperparameterName,
  type Hyperparameters,
  withChange,
} from '../../hyperparameters';
import { differences } from './run.svelte';
import { measuredSettings, type SampleData } from './samples';

export class Form {
  settings: Hyperparameters = $state.raw(defaultHyperparameters());
  /** Weights of the model that the default learning rate belongs to. */
  sizedFor: number | null = $state(null);
  /** The values before a sample set them; null when none did, or when they were changed since. */
  beforeSample: Hyperparameters | null = $state.raw(null);
  /** A change that was not typed: what happened, and the values before it. */
  change: { sentence: string; before: Hyperparameters } | null = $state.raw(null);

  readonly problems = $derived(checkHyperparameters(this.settings));
  readonly wrong = $derived(this.problems.some((p) => p.severity === 'error'));
  private readonly onchange: (names: HyperparameterName[]) => void;

  /** @param onchange called with the names of the values that have changed */
  constructor(onchange: (names: HyperparameterName[]) => void) {
    this.onchange = onchange;
  }

  set<K extends HyperparameterName>(name: K, value: Hyperparameters[K]): void {
    if (Object.is(this.settings[name], value)) return;
    this.settings = withChange(this.settings, name, value, this.sizedFor);
    this.change = null;
    this.beforeSample = null;
    this.onchange([name]);
  }

  /** The value that "reset" goes back to; the learning rate's depends on the method and the model's size. */
  defaultOf<K extends HyperparameterName>(name: K): Hyperparameters[K] {
    if (name === 'learning_rate') {
      return defaultLearningRate(this.settings.method, this.sizedFor) as Hyperparameters[K];
    }
    return defaultHyperparameters()[name];
  }

  /** A learning rate that still has its default follows the size of a new model. */
  fitTo(parameters: number): void {
    this.settings = forModel(this.settings, this.sizedFor, parameters);
    this.sizedFor = parameters;
  }

  /** Values from elsewhere, such as an earlier run; `sentence` says so, null where the visitor asked for just that. */
  replace(settings: Hyperparameters, sentence: string | null): void {
    const names = differences(this.settings, settings);
    this.change = sentence === null ? null : { sentence, before: this.settings };
    this.settings = settings;
    this.onchange(names);
  }

  /** The values that a sample was measured with; nothing happens where nobody measured it with this method. */
  takeSample(sample: SampleData, model: { id: string; parameters: number } | null): void {
    const measured = measuredSettings(sample, this.settings, model);
    if (!measured || differences(this.settings, measured).length === 0) return;
    // From one sample to the next, the visitor's own values are those before the first.
    const own = this.beforeSample ?? this.settings;
    this.replace(measured, `Settings set to those measured for “${sample.name}”.`);
    this.beforeSample = own;
  }

  /** Rows of one's own after a sample: what suited the sample was not meant for them. */
  leaveSample(): void {
    if (!this.beforeSample) return;
    this.replace(this.beforeSample, 'Settings put back to what they were before the sample.');
    this.beforeSample = null;
  }

  /** The form of an earlier visit. */
  restore(kept: Pick<Form, 'settings' | 'sizedFor' | 'beforeSample'>): void {
    this.settings = kept.settings;
    this.sizedFor = kept.sizedFor;
    this.beforeSample = kept.beforeSample;
  }

  undo(): void {
    if (!this.change) return;
    this.replace(this.change.before, null);
    this.beforeSample = null;
  }
}
