// A demo in the address of the page: sample, model, preset and settings, read from it and written to it; and the place that it names.
// Not here: loading what it names (workspace.svelte.ts). A visitor's own rows or models are never a part of an address.

import { checkHyperparameters } from '../../hyperparameterChecks';
import {
  defaultHyperparameters,
  HYPERPARAMETER_NAMES,
  HYPERPARAMETERS,
  type HyperparameterName,
  type Hyperparameters,
} from '../../hyperparameters';
import { PRESETS } from '../../presets';

/** What an address asks for. Names are not yet looked up: the lists of models and samples are files of the site. */
export interface Demo {
  sample: string | null;
  model: string | null;
  preset: string | null;
  settings: Partial<Hyperparameters>;
  /** What in it could not be used, as sentences. */
  problems: string[];
}

/** Parameters of the page that are no part of a demo. */
const OTHERS = ['backend'];

/**
 * @param search the query of the address, such as `?sample=twelve-rows&learning_rate=0.01`
 * @returns null where it asks for nothing
 */
export function readDemo(search: string): Demo | null {
  const demo: Demo = { sample: null, model: null, preset: null, settings: {}, problems: [] };
  const parameters = [...new URLSearchParams(search)].filter(([name]) => !OTHERS.includes(name));
  if (parameters.length === 0) return null;
  for (const [name, value] of parameters) {
    if (name === 'sample' || name === 'model') demo[name] = value;
    else if (name === 'preset') {
      if (PRESETS.some(({ id }) => id === value)) demo.preset = value;
      else
        demo.problems.push(
          `There is no preset “${shown(value)}”; there are ${PRESETS.map(({ id }) => id).join(', ')}.`,
        );
    } else if ((HYPERPARAMETER_NAMES as string[]).includes(name)) {
      const problem = readSetting(name as HyperparameterName, value, demo.settings);
      if (problem !== null) demo.problems.push(problem);
    } else demo.problems.push(`“${shown(name)}” in the address is no setting.`);
  }
  return demo;
}

const shown = (text: string) => (text.length > 40 ? `${text.slice(0, 40)}…` : text);

/** Puts one value among the settings. @returns why it cannot be used; null where it was */
function readSetting(name: HyperparameterName, text: string, into: Partial<Hyperparameters>): string | null {
  const entry = HYPERPARAMETERS[name];
  const defaultValue = defaultHyperparameters()[name];
  const value =
    typeof defaultValue === 'number'
      ? Number(text)
      : typeof defaultValue === 'boolean'
        ? text === 'true'
        : text;
  if (text.trim() === '' && typeof defaultValue === 'number')
    return `${entry.label} has no value in the address.`;
  if (typeof defaultValue === 'boolean' && text !== 'true' && text !== 'false')
    return `${entry.label} is true or false, not “${shown(text)}”.`;
  const withValue = { ...defaultHyperparameters(), [name]: value };
  const problem = checkHyperparameters(withValue).find((p) => p.name === name && p.severity === 'error');
  if (problem) return `${entry.label} in the address: ${problem.message}`;
  Object.assign(into, { [name]: value });
  return null;
}

/**
 * The query of an address that leads to this state.
 * @param defaults the value that each setting has where the address says nothing
 * @param demo names of the sample and of the model of the catalogue that are loaded; null for a visitor's own, which no address names
 */
export function demoAddress(
  settings: Hyperparameters,
  defaults: Hyperparameters,
  demo: { sample: string | null; model: string | null },
): string {
  const query = new URLSearchParams();
  if (demo.model !== null) query.set('model', demo.model);
  if (demo.sample !== null) query.set('sample', demo.sample);
  for (const name of HYPERPARAMETER_NAMES) {
    if (settings[name] !== defaults[name]) query.set(name, String(settings[name]));
  }
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

/** The place that an address leads to, by its part from `#` on; '' for none. Behind a slash a place may take more of it, as a lesson does. */
export const placeOf = (hash: string): string => hash.slice(1).split('/', 1)[0] ?? '';
