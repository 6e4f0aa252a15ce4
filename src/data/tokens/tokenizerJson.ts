// tokenizer.json and tokenizer_config.json, checked key by key before anything is built from them.
// Not here: what they do (tokenizer.ts), config.json (formats/).

import * as v from 'valibot';
import { PlaygroundError } from '../../errors';
import { nestedRepetition } from './patternCheck';

export interface AddedToken {
  id: number;
  content: string;
  special?: boolean | undefined;
  normalized?: boolean | undefined;
  lstrip?: boolean | undefined;
  rstrip?: boolean | undefined;
  single_word?: boolean | undefined;
}

export interface TokenizerJson extends Record<string, unknown> {
  added_tokens: AddedToken[];
  model: { type?: string; vocab: Record<string, number> | [string, number][] } & Record<string, unknown>;
}

/** The largest vocabularies in use have some 260,000 entries and 30,000 added tokens. */
const MAX_TOKENS = 4_000_000;
const MAX_ADDED = 65_536;
const LONGEST_TOKEN = 10_000;

const isId = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value < MAX_TOKENS;

const TOKEN_ID = `a whole number from 0 to ${(MAX_TOKENS - 1).toLocaleString('en')}`;
const id = v.custom<number>(isId, TOKEN_ID);
const flag = v.optional(v.boolean('true or false'));

const addedToken = v.looseObject(
  {
    id,
    content: v.pipe(
      v.string('a text'),
      v.minLength(1, 'a text that is not empty'),
      v.maxLength(LONGEST_TOKEN, `at most ${LONGEST_TOKEN.toLocaleString('en')} characters long`),
    ),
    special: flag,
    normalized: flag,
    lstrip: flag,
    rstrip: flag,
    single_word: flag,
  },
  'an object with “id” and “content”',
);

/** Vocabularies are large, so they are looked through in one loop; the first entry that is wrong is named. */
function badEntry(vocab: unknown): string | null {
  if (Array.isArray(vocab)) {
    if (vocab.length > MAX_TOKENS) return tooMany(vocab.length);
    const at = vocab.findIndex(
      (entry) => !Array.isArray(entry) || typeof entry[0] !== 'string' || !Number.isFinite(entry[1]),
    );
    return at < 0 ? null : `entry ${at} is ${shown(vocab[at])}, and must be a token and its score`;
  }
  const entries = Object.entries(vocab as object);
  if (entries.length > MAX_TOKENS) return tooMany(entries.length);
  const wrong = entries.find(([, value]) => !isId(value));
  return wrong ? `the id of “${wrong[0].slice(0, 40)}” is ${shown(wrong[1])}, and must be ${TOKEN_ID}` : null;
}

const tooMany = (entries: number) =>
  `there are ${entries.toLocaleString('en')} entries, and ${MAX_TOKENS.toLocaleString('en')} is the limit`;

const vocab = v.custom<TokenizerJson['model']['vocab']>(
  (value) => typeof value === 'object' && value !== null,
  'the vocabulary, from token to id',
);

const isMerge = (merge: unknown) =>
  typeof merge === 'string' ||
  (Array.isArray(merge) && merge.length === 2 && merge.every((p) => typeof p === 'string'));

const merges = v.optional(
  v.custom<unknown[]>((value) => Array.isArray(value) && value.every(isMerge), 'a list of pairs of tokens'),
);

const step = v.nullish(
  v.custom<object>((value) => typeof value === 'object' && !Array.isArray(value), 'an object or null'),
);

/** What @huggingface/tokenizers 0.2.0 computes. */
const KINDS = ['BPE', 'Unigram', 'WordPiece'] as const;

const TOKENIZER = v.looseObject({
  model: v.looseObject(
    { type: v.nullish(v.picklist(KINDS, `one of ${KINDS.join(', ')}`)), vocab, merges },
    'an object with a “vocab”',
  ),
  added_tokens: v.nullish(v.array(addedToken, 'a list of tokens')),
  normalizer: step,
  pre_tokenizer: step,
  decoder: step,
  post_processor: step,
});

const tokenText = v.nullish(
  v.union(
    [v.string(), v.looseObject({ content: v.string() })],
    'a token: a text, or an object with a “content”',
  ),
);

const TOKENIZER_CONFIG = v.looseObject({
  bos_token: tokenText,
  eos_token: tokenText,
  pad_token: tokenText,
});

/** A value in a sentence. */
function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  const written = JSON.stringify(value) ?? String(value);
  return written.length > 60 ? `${written.slice(0, 60)}…` : written;
}

function bad(file: string, message: string, where = file): PlaygroundError {
  return new PlaygroundError({
    code: 'bad_tokenizer',
    message: `${file} does not make sense: ${message}.`,
    fix: `Use the ${file} that came with the model.`,
    where,
  });
}

function checked<T extends v.GenericSchema>(schema: T, file: string, value: unknown): v.InferOutput<T> {
  const found = v.safeParse(schema, value, { abortEarly: true });
  if (found.success) return found.output;
  const [issue] = found.issues;
  const path = (issue.path ?? []).map(({ key }) =>
    typeof key === 'number' ? `[${key}]` : `.${String(key)}`,
  );
  const key = path.join('').replace(/^\./, '') || file;
  const received = issue.path?.at(-1)?.value;
  const told = issue.path === undefined ? 'no object' : isLarge(received) ? 'an object' : shown(received);
  const must = received === undefined ? '' : `, and must be ${issue.message}`;
  throw bad(file, `“${key}” is ${told}${must}`, `${file}: ${key}`);
}

const isLarge = (value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 4;

/** Every object below a value, the value included. Steps inside steps, as tokenizer.json nests them. */
function* objectsIn(value: unknown, depth = 0): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return;
  if (depth > 20) throw bad('tokenizer.json', 'its steps lie too deep inside each other');
  if (!Array.isArray(value)) yield value as Record<string, unknown>;
  for (const inner of Object.values(value)) yield* objectsIn(inner, depth + 1);
}

/** What a step puts in place of a letter or in front of a text. */
const LONGEST_CONTENT = 1000;
/** Steps of a part; tokenizers in use have a dozen. */
const MAX_STEPS = 100;
/** How many times as long the steps together may make a text. Those in use: three times, where bytes are written as letters. */
const MAX_GROWTH = 200;

/** How many times as long a step makes a text, at most. */
function growthOf({ type, content, prepend }: Record<string, unknown>): number {
  if (type === 'ByteLevel') return 3;
  if (type === 'NFKC' || type === 'NFKD' || type === 'NFD' || type === 'Precompiled') return 2;
  const written = typeof content === 'string' ? content : prepend;
  return typeof written === 'string' && type !== 'Strip' ? Math.max(1, written.length) : 1;
}

/** Checks the steps around the model; gives their regular expressions. @throws PlaygroundError */
function checkSteps(json: Record<string, unknown>): string[] {
  const patterns: string[] = [];
  for (const part of ['normalizer', 'pre_tokenizer', 'decoder'] as const) {
    let [steps, growth] = [0, 1];
    for (const step of objectsIn(json[part])) {
      if (typeof step.type === 'string') steps++;
      growth *= growthOf(step);
      const much =
        steps > MAX_STEPS
          ? `has more than ${MAX_STEPS} steps`
          : growth > MAX_GROWTH
            ? `could make a text more than ${MAX_GROWTH} times as long`
            : null;
      if (much !== null) throw bad('tokenizer.json', `“${part}” ${much}`, `tokenizer.json: ${part}`);
      for (const key of ['content', 'prepend']) {
        const content = step[key];
        if (typeof content === 'string' && content.length > LONGEST_CONTENT)
          throw bad(
            'tokenizer.json',
            `a step of its “${part}” writes ${content.length.toLocaleString('en')} characters at once`,
            `tokenizer.json: ${part}`,
          );
      }
      if (typeof step.Regex !== 'string') continue;
      const reason =
        step.Regex.length > 10_000 ? 'it is longer than 10,000 characters' : nestedRepetition(step.Regex);
      if (reason !== null) throw slowPattern(part, step.Regex, reason);
      patterns.push(step.Regex);
    }
  }
  return patterns;
}

/** The refusal of a regular expression that could go on without end. */
export function slowPattern(part: string, pattern: string, reason: string): PlaygroundError {
  return new PlaygroundError({
    code: 'unsupported_tokenizer',
    message: `A regular expression in tokenizer.json (${part}: “${pattern.length > 60 ? `${pattern.slice(0, 60)}…` : pattern}”) could take for ever on some text: ${reason}.`,
    fix: 'Use the tokenizer.json that came with the model, or choose another model.',
    where: `tokenizer.json: ${part}`,
  });
}

/** tokenizer.json in the form that the algorithms take. @throws PlaygroundError `bad_tokenizer`, `unsupported_tokenizer` */
export function checkTokenizerJson(value: Record<string, unknown>): {
  json: TokenizerJson;
  patterns: string[];
} {
  const { model, added_tokens, ...rest } = checked(TOKENIZER, 'tokenizer.json', value);
  const added = added_tokens ?? [];
  if (added.length > MAX_ADDED) {
    throw bad(
      'tokenizer.json',
      `“added_tokens” has ${added.length.toLocaleString('en')} entries, and ${MAX_ADDED.toLocaleString('en')} is the limit`,
      'tokenizer.json: added_tokens',
    );
  }
  const wrong = badEntry(model.vocab);
  if (wrong !== null) throw bad('tokenizer.json', `in “model.vocab” ${wrong}`, 'tokenizer.json: model.vocab');
  const patterns = checkSteps(value);
  return {
    json: {
      decoder: null,
      post_processor: null,
      pre_tokenizer: null,
      normalizer: null,
      ...rest,
      // Files from before tokenizers 0.8 do not name the type; with merges it can only be BPE.
      model: { ...model, type: model.type ?? ('merges' in model ? 'BPE' : 'WordPiece') },
      added_tokens: added,
    },
    patterns,
  };
}

/** The special tokens that tokenizer_config.json names. @throws PlaygroundError `bad_tokenizer` */
export function checkTokenizerConfig(
  value: Record<string, unknown>,
): Record<'bos' | 'eos' | 'pad', string | null> {
  const { bos_token, eos_token, pad_token } = checked(TOKENIZER_CONFIG, 'tokenizer_config.json', value);
  const text = (token: typeof bos_token) => (typeof token === 'string' ? token : (token?.content ?? null));
  return { bos: text(bos_token), eos: text(eos_token), pad: text(pad_token) };
}
