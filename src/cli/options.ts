// Command-line arguments: a command's own options and the settings of the table, parsed, checked and printed as help.
// Not here: what a command does with them (train.ts, look.ts, talk.ts …), the settings (../hyperparameters.ts).

import { PlaygroundError } from '../errors';
import { checkHyperparameters } from '../hyperparameterChecks';
import {
  defaultHyperparameters,
  forModel,
  HYPERPARAMETER_NAMES,
  HYPERPARAMETERS,
  type HyperparameterName,
  type Hyperparameters,
  LEARNING_RATES,
  withChange,
} from '../hyperparameters';

export interface Option {
  name: string;
  /** Placeholder of the value in the help; absent for a switch. */
  value?: string;
  kind: 'text' | 'number' | 'switch';
  help: string;
  required?: boolean;
  choices?: readonly string[];
  default?: string | number;
  /** May be given several times. */
  repeatable?: true;
}

export interface CommandLine {
  name: string;
  summary: string;
  options: readonly Option[];
  /** Which settings of the table it takes. */
  settings: readonly HyperparameterName[];
  /** A setting may have several values, separated by commas: `Arguments.lists`. */
  lists?: true;
  example: string;
}

export interface Arguments {
  text(name: string): string | null;
  /** All values of an option that may be given several times, in their order. */
  texts(name: string): string[];
  number(name: string): number;
  has(name: string): boolean;
  /** All settings; those not given have their defaults. */
  hyperparameters: Hyperparameters;
  /** Settings with several values, as they were written; empty but for commands that take them. Not in `hyperparameters`. */
  lists: ReadonlyMap<HyperparameterName, string>;
  /** Names of the settings that were given. */
  given: ReadonlySet<HyperparameterName>;
  /** Sentences about unusual values. */
  warnings: string[];
}

function wrong(message: string, fix: string, where?: string): PlaygroundError {
  return new PlaygroundError({ code: 'bad_usage', message, fix, ...(where === undefined ? {} : { where }) });
}

/** Whether a PlaygroundError is about how the command was called (exit code 2) rather than about its work (1). */
export function isUsageError(error: PlaygroundError): boolean {
  return error.code === 'bad_usage' || error.code === 'bad_hyperparameter';
}

/** Single-character edits between two words (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + same));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** The name that was probably meant, or null. */
export function closest(name: string, names: readonly string[]): string | null {
  const part = names.find((n) => name.length > 3 && (n.endsWith(`_${name}`) || n.startsWith(`${name}_`)));
  if (part !== undefined) return part;
  const ranked = names.map((n) => [distance(name, n), n] as const).sort((a, b) => a[0] - b[0]);
  const [best] = ranked;
  return best !== undefined && best[0] <= Math.max(2, name.length / 3) ? best[1] : null;
}

/** Whether a setting is a choice between on, off and something else; Hugging Face's trainer has true and false for it. */
function isSwitchable(name: string): boolean {
  const entry = HYPERPARAMETERS[name as HyperparameterName];
  return entry?.kind === 'choice' && entry.options.some((o) => o.value === 'on');
}

function settingValue(name: HyperparameterName, text: string): number | boolean | string {
  const entry = HYPERPARAMETERS[name];
  if (isSwitchable(name))
    return /^(true|1|yes)$/i.test(text) ? 'on' : /^(false|0|no)$/i.test(text) ? 'off' : text;
  if (entry.kind === 'choice' || entry.kind === 'text') return text;
  if (entry.kind === 'boolean') {
    if (/^(true|1|yes|on)$/i.test(text)) return true;
    if (/^(false|0|no|off)$/i.test(text)) return false;
    throw wrong(`--${name} is true or false, not “${text}”.`, `Write --${name} true, or leave it out.`, name);
  }
  return numberOf(name, text);
}

function numberOf(name: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw wrong(`--${name} needs a number, not “${text}”.`, `Write for example --${name} 0.5.`, name);
}

/**
 * Reads `--name value`, `--name=value` and switches. A dash inside a name counts as an underscore.
 * @throws PlaygroundError `bad_usage` (unknown, missing or malformed options), `bad_hyperparameter`
 */
export function parseArguments(command: CommandLine, argv: readonly string[]): Arguments {
  const own = new Map(command.options.map((o) => [o.name, o]));
  const names = [...own.keys(), ...command.settings];
  const values = new Map<string, string>();
  const several = new Map<string, string[]>();
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    const match = /^--([^=]+)(?:=([\s\S]*))?$/.exec(word);
    if (!match) {
      throw wrong(
        `“${word}” stands alone: every value follows its --name.`,
        `See: npm run cli -- ${command.name} --help`,
      );
    }
    const name = (match[1] as string).replaceAll('-', '_');
    if (!names.includes(name)) {
      const meant = closest(name, names);
      const known = (HYPERPARAMETER_NAMES as string[]).includes(name);
      throw wrong(
        known ? `${command.name} does not use --${name}.` : `There is no option --${name}.`,
        meant === null || known ? `See: npm run cli -- ${command.name} --help` : `Did you mean --${meant}?`,
        name,
      );
    }
    if (values.has(name) && !own.get(name)?.repeatable)
      throw wrong(`--${name} is given twice.`, 'Give it once.', name);
    const setting = HYPERPARAMETERS[name as HyperparameterName];
    const isSwitch = own.get(name)?.kind === 'switch' || (!own.has(name) && setting?.kind === 'boolean');
    const maySwitch = !own.has(name) && isSwitchable(name);
    const following = argv[i + 1];
    // In `--prompt --x` the value is missing; in `--temperature -1` it is not.
    const hasValue = following !== undefined && !/^--[a-z]/i.test(following);
    if (match[2] !== undefined) values.set(name, match[2]);
    else if (isSwitch && !(hasValue && /^(true|false)$/i.test(following))) values.set(name, 'true');
    else if (hasValue) {
      values.set(name, following);
      i++;
    } else if (maySwitch) values.set(name, 'on');
    else throw wrong(`--${name} needs a value.`, `Write --${name} followed by the value.`, name);
    several.set(name, [...(several.get(name) ?? []), values.get(name) as string]);
  }
  for (const option of command.options) checkOption(command, option, values.get(option.name));
  const lists = command.lists ? takeLists(command, values) : new Map<HyperparameterName, string>();
  return {
    ...readSettings(command, values),
    ...readers(own, values),
    lists,
    texts: (name) => several.get(name) ?? [],
  };
}

/** Takes the settings with several values out of the others. */
function takeLists({ settings }: CommandLine, values: Map<string, string>): Map<HyperparameterName, string> {
  const lists = new Map<HyperparameterName, string>();
  for (const name of settings) {
    const text = values.get(name);
    if (text === undefined || HYPERPARAMETERS[name].kind === 'text' || !/[,;]/.test(text)) continue;
    lists.set(name, text);
    values.delete(name);
  }
  return lists;
}

function checkOption(command: CommandLine, option: Option, value: string | undefined): void {
  const { name, kind, choices } = option;
  if (value === undefined) {
    if (!option.required) return;
    throw wrong(
      `${command.name} needs --${name}.`,
      `For example: npm run -s cli -- ${command.example}`,
      name,
    );
  }
  if (choices && !choices.includes(value)) {
    throw wrong(
      `--${name} is one of ${choices.join(', ')}, not “${value}”.`,
      `Write --${name} ${choices[0]}.`,
      name,
    );
  }
  if (kind === 'number') numberOf(name, value);
  if (kind === 'switch' && !/^(true|false)$/i.test(value)) {
    throw wrong(`--${name} is true or false, not “${value}”.`, `Write --${name}, or leave it out.`, name);
  }
}

function readers(own: ReadonlyMap<string, Option>, values: ReadonlyMap<string, string>) {
  const text = (name: string): string | null => {
    const value = values.get(name) ?? own.get(name)?.default;
    return value === undefined ? null : String(value);
  };
  return {
    text,
    number: (name: string) => numberOf(name, text(name) ?? ''),
    has: (name: string) => values.get(name)?.toLowerCase() === 'true',
  };
}

function readSettings(command: CommandLine, values: ReadonlyMap<string, string>) {
  let hyperparameters = defaultHyperparameters();
  const given = new Set<HyperparameterName>();
  // In the table's order: the method comes first, and the learning rate follows it unless it is given.
  for (const name of HYPERPARAMETER_NAMES) {
    const text = command.settings.includes(name) ? values.get(name) : undefined;
    if (text === undefined) continue;
    hyperparameters = withChange(hyperparameters, name, settingValue(name, text) as never);
    given.add(name);
  }
  const problems = checkHyperparameters(hyperparameters);
  const error = problems.find((p) => p.severity === 'error');
  if (error) {
    throw new PlaygroundError({
      code: 'bad_hyperparameter',
      message: `--${error.name}: ${error.message}`,
      fix: `See: npm run cli -- ${command.name} --help`,
      where: error.name,
    });
  }
  const warnings = problems.filter((p) => given.has(p.name)).map((p) => `--${p.name}: ${p.message}`);
  for (const name of given) {
    if (HYPERPARAMETERS[name].applies?.(hyperparameters) === false) {
      warnings.push(`--${name} has no effect with the other settings.`);
    }
  }
  return { hyperparameters, given, warnings };
}

/** The settings for a model of so many weights: the learning rate follows its size, as on the page, unless it was given. */
export function settingsFor({ hyperparameters: h, given }: Arguments, parameters: number): Hyperparameters {
  return given.has('learning_rate') ? h : forModel(h, null, parameters);
}

// ───────────────────────────── help ─────────────────────────────

const WIDTH = 100;

/** The text, broken into lines that start `indent` columns in. */
function wrapped(text: string, indent: number): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1] as string;
    if (last !== '' && last.length + 1 + word.length > WIDTH - indent) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.map((line) => ' '.repeat(indent) + line).join('\n');
}

function rangeOf(name: HyperparameterName): string {
  const entry = HYPERPARAMETERS[name];
  if (entry.kind === 'choice') return entry.options.map((o) => o.value).join(' | ');
  if (entry.kind === 'boolean') return 'true | false';
  if (entry.kind === 'text') return `text, such as ${entry.placeholder}`;
  const unit = entry.unit === undefined ? '' : ` ${entry.unit}`;
  return `${entry.kind === 'integer' ? 'whole number' : 'number'} from ${entry.min} to ${entry.max}${unit}`;
}

function settingHelp(name: HyperparameterName): string {
  const entry = HYPERPARAMETERS[name];
  const defaultText =
    name === 'learning_rate'
      ? Object.entries(LEARNING_RATES)
          .map(([method, rate]) => `${rate} for ${method}`)
          .join(', ')
          .concat(', less for large models')
      : String(entry.default) || 'none';
  return `  --${name}  (${rangeOf(name)}; default ${defaultText})\n${wrapped(entry.help, 6)}`;
}

function optionHelp(option: Option): string {
  const choices = option.choices ? ` (${option.choices.join(' | ')})` : '';
  const defaultText = option.default === undefined ? '' : ` Default: ${option.default}.`;
  const required = `${option.required ? ' Required.' : ''}${option.repeatable ? ' May be given several times.' : ''}`;
  const value = option.value === undefined ? '' : ` ${option.value}`;
  return `  --${option.name}${value}${choices}\n${wrapped(option.help + required + defaultText, 6)}`;
}

/** The help of one command: its options, then the settings it takes, straight from the table. */
export function helpOf(command: CommandLine): string {
  const parts = [
    command.summary,
    '',
    `  npm run -s cli -- ${command.example}`,
    '',
    'Options',
    ...command.options.map(optionHelp),
  ];
  if (command.settings.length > 0) parts.push('', 'Settings', ...command.settings.map(settingHelp));
  return parts.join('\n');
}
