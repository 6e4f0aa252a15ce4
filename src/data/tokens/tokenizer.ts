// tokenizer.json → text to ids and back, with one rule of our own: what a person types never becomes a control token.
// Not here: chat templates and loss masks (chat.ts). The algorithms are @huggingface/tokenizers'.

import { Tokenizer as Algorithm } from '@huggingface/tokenizers';
import { PlaygroundError } from '../../errors';
import { shortened } from '../../wording';
import { slowText } from './patternCheck';
import { type Found, guardedSpelling, SpecialTokens } from './specialTokens';
import { checkTokenizerConfig, checkTokenizerJson, slowPattern, type TokenizerJson } from './tokenizerJson';

export interface TokenizerFiles {
  /** tokenizer.json, parsed. */
  tokenizerJson: Record<string, unknown>;
  /** tokenizer_config.json, parsed; an empty object when there is none. */
  tokenizerConfig: Record<string, unknown>;
  /** The model's chat template, carried along for `createChat`; null when it has none. */
  chatTemplate: string | null;
  /** `eos_token_id` of config.json and generation_config.json together. */
  eosTokenIds: readonly number[];
}

/** Turns ids into text as they come. */
export interface StreamDecoder {
  /** The text that is certain after this id: never half a character, '' while one is incomplete. */
  push(id: number): string;
  /** What is left at the end. */
  flush(): string;
}

/** Ids of a text, and how they lie in it. */
export interface Encoding {
  ids: readonly number[];
  /** How many of the first ids are also those of the text up to this place: tokens that are not merged across it. */
  tokensBefore(at: number): number;
}

export interface Tokenizer {
  /** Number of ids the tokenizer knows, the highest id plus one. */
  vocabSize: number;
  /** Letters in a row, or white space, that it cuts up in reasonable time. */
  longestRun: number;
  bosToken: string | null;
  eosToken: string | null;
  bosTokenId: number | null;
  /** Whether the tokenizer itself puts the BOS token in front of a text that is no chat. */
  addsBos: boolean;
  padTokenId: number | null;
  /** Ids on which an answer ends, by the model's files. */
  endOfTurnIds: readonly number[];
  chatTemplate: string | null;
  /**
   * Text to ids; nothing is added in front or behind. Text that looks like a special token stays text, unless `allowSpecial`.
   */
  encode(text: string, options?: { allowSpecial?: boolean }): readonly number[];
  /**
   * A template's text: what `hide` has hidden in it stays text, and every other special token is one. Without stand-ins these are the
   * ids that transformers gives to the text.
   */
  encodeRendered(text: string): Encoding;
  /**
   * Like `encode` with `allowSpecial`, but special tokens are recognised only where `guard` wrote them.
   */
  encodeGuarded(text: string): number[];
  /** Replaces every special token in the text by a spelling that only `encodeGuarded` knows and nobody types by accident. */
  guard(text: string): string;
  /** Replaces every special token in the text by a stand-in that passes through a template unharmed; `reveal` undoes it. */
  hide(text: string): string;
  reveal(text: string): string;
  /** Whether a special token would come out of the text if nobody guarded it, be it written plainly or after normalisation. */
  holdsSpecial(text: string): boolean;
  /** Special tokens that are written in the text, in order, with their places. */
  findSpecial(text: string): Found[];
  /** Ids to text; special tokens appear unless `skipSpecial`. Spaces are never "cleaned up". */
  decode(ids: Iterable<number>, options?: { skipSpecial?: boolean }): string;
  createStreamDecoder(options?: { skipSpecial?: boolean }): StreamDecoder;
  isSpecial(id: number): boolean;
  tokenId(token: string): number | undefined;
  /** A token as the vocabulary spells it (`Ġthe`, `▁the`, `<0x0A>`). */
  tokenName(id: number): string;
}

/** The same tokenizer, in which special tokens have only their guarded spelling, in the vocabulary too. */
function guardedJson(json: TokenizerJson): TokenizerJson {
  const specials = json.added_tokens.filter((t) => t.special);
  const spellings = new Map(specials.map((t) => [t.content, guardedSpelling(t.id)]));
  const { vocab } = json.model;
  // A Unigram model finds any piece of its list in the text, so the piece must go, and its id must stay.
  const renamed = Array.isArray(vocab)
    ? vocab.map(([piece, score]): [string, number] => [spellings.get(piece) ?? piece, score])
    : Object.fromEntries(Object.entries(vocab).map(([piece, id]) => [spellings.get(piece) ?? piece, id]));
  const unknown = json.model.unk_token;
  return {
    ...json,
    added_tokens: json.added_tokens.map((t) => ({ ...t, content: spellings.get(t.content) ?? t.content })),
    model: {
      ...json.model,
      vocab: renamed,
      ...(typeof unknown === 'string' ? { unk_token: spellings.get(unknown) ?? unknown } : {}),
    },
  };
}

/** The byte-fallback decoder of @huggingface/tokenizers 0.2.0 swallows U+FEFF; Rust's does not. */
function keepByteOrderMarks(decoder: unknown): void {
  // The library's classes make callable instances.
  if ((typeof decoder !== 'object' && typeof decoder !== 'function') || decoder === null) return;
  if ('decoders' in decoder && Array.isArray(decoder.decoders)) decoder.decoders.forEach(keepByteOrderMarks);
  if ('text_decoder' in decoder) decoder.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
}

function build(json: TokenizerJson): Algorithm {
  try {
    // Decoded text is the model's own words: “cleaning up” spaces would alter JSON and code (transformers 5 stopped it, too).
    const algorithm = new Algorithm(json, { clean_up_tokenization_spaces: false });
    keepByteOrderMarks(algorithm.decoder);
    // Some parts are looked at only when they are used.
    const { ids } = algorithm.encode('A b', { add_special_tokens: true });
    // A vocabulary without these letters gives no ids for them.
    if (ids.length > 0 && ids.every(Number.isInteger)) algorithm.decode(ids);
    return algorithm;
  } catch (cause) {
    // Its own refusals are sentences; other errors are those of a value that is not as it expects.
    const own = cause instanceof Error && cause.constructor === Error && !cause.message.includes('[object ');
    const pattern = cause instanceof SyntaxError && cause.message.includes('regular expression');
    const reason =
      own || pattern ? shortened(cause.message, 300) : 'one of its parts is not as the format has it';
    throw new PlaygroundError(
      {
        code: 'unsupported_tokenizer',
        message: `This tokenizer cannot be used here: ${reason}.`,
        fix: 'Choose a model whose tokenizer.json is of the BPE, Unigram or WordPiece kind.',
        where: 'tokenizer.json',
      },
      { cause },
    );
  }
}

/** The square of this many letters is done within a second. */
const LONGEST_SQUARE = 20_000;

/**
 * Cuts up texts of one repeated letter, if the tokenizer has regular expressions.
 * @returns the longest run of letters, or of white space, that it should get
 * @throws PlaygroundError `unsupported_tokenizer` where even a short text takes too long
 */
function longestRun({ normalizer, pre_tokenizer }: Algorithm, patterns: readonly string[]): number {
  if (patterns.length === 0) return Number.POSITIVE_INFINITY;
  const slow = slowText(patterns, (text) => {
    const normalised = normalizer === null ? text : normalizer.normalize(text);
    pre_tokenizer?.pre_tokenize(normalised, { section_index: 0 });
  });
  if (slow === null) return Number.POSITIVE_INFINITY;
  if (slow.square) return LONGEST_SQUARE;
  const reason = `${slow.times} times “${slow.unit}” already take it more than 20 ms`;
  throw slowPattern('pre_tokenizer', patterns.join(' … '), reason);
}

/** Whether the text between two special tokens tokenises the same whatever lies beyond them, once there is one before it. */
function segmentsAreIndependent(json: TokenizerJson): boolean {
  return json.added_tokens.every(
    (t) =>
      !t.lstrip && !t.rstrip && !t.single_word && !(t.special && t.normalized && json.normalizer !== null),
  );
}

/** Metaspace with this scheme asks whether a section is the first of the text. */
function firstSectionDiffers(json: TokenizerJson): boolean {
  return JSON.stringify(json.pre_tokenizer).includes('"first"');
}

/** The last of the places, in order, that is not beyond `at`. */
function lastBefore<T extends { at: number }>(places: readonly T[], at: number): T {
  let low = 0;
  let high = places.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((places[middle] as T).at <= at) low = middle;
    else high = middle - 1;
  }
  return places[low] as T;
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}

/** Ids of a text by itself; nothing is added in front or behind. */
const idsOf = (algorithm: Algorithm, text: string): number[] =>
  text === '' ? [] : algorithm.encode(text, { add_special_tokens: false }).ids;

/** Characters of text whose ids are cached; a whole file of conversations fits, a book does not. */
const CACHED_CHARACTERS = 2_000_000;

/** Ids by text, so that what a file repeats (system messages, questions, the template's own words) is encoded once. Emptied when it is full. */
function createIdCache(): (text: string, encode: () => number[]) => readonly number[] {
  const cached = new Map<string, number[]>();
  let characters = 0;
  return (text, encode) => {
    const known = cached.get(text);
    if (known) return known;
    const ids = encode();
    if (characters + text.length > CACHED_CHARACTERS) {
      cached.clear();
      characters = 0;
    }
    cached.set(text, ids);
    characters += text.length;
    return ids;
  };
}

/**
 * `Tokenizer.encodeRendered`. Where the text between two special tokens has the same ids whatever lies beyond them, it is cut at the special
 * tokens, each segment is encoded by itself and cached, and `tokensBefore` encodes only the segment that the position lies in.
 * Other tokenizers encode the whole text, and `tokensBefore` all of the text before the position.
 * @param encodeWhole ids of a text in which stand-ins are what a person typed, and special tokens are special
 */
function createRenderedEncoder(
  json: TokenizerJson,
  specials: SpecialTokens,
  encodeWhole: (text: string) => number[],
): (text: string) => Encoding {
  if (!segmentsAreIndependent(json)) {
    return (text) => {
      const ids = encodeWhole(text);
      return { ids, tokensBefore: (at) => commonPrefix(encodeWhole(text.slice(0, at)), ids) };
    };
  }
  const cachedIds = createIdCache();
  // Where the first section differs, a special token is put in front of the other segments while they are encoded.
  const anchored = firstSectionDiffers(json);
  const encodeRendered = (text: string): Encoding => {
    const ids: number[] = [];
    const starts: { at: number; token: number }[] = [{ at: 0, token: 0 }];
    let anchor = '';
    const add = (segment: string) => {
      if (segment === '') return;
      const before = anchor;
      const encode = () => (before === '' ? encodeWhole(segment) : encodeWhole(before + segment).slice(1));
      for (const id of cachedIds(before + segment, encode)) ids.push(id);
    };
    let from = 0;
    for (const { token, id, index } of specials.find(text)) {
      add(text.slice(from, index));
      ids.push(id);
      from = index + token.length;
      starts.push({ at: from, token: ids.length });
      if (anchored) anchor = token;
    }
    add(text.slice(from));
    return {
      ids,
      tokensBefore: (at) => {
        const start = lastBefore(starts, at);
        const before = start.at > 0 ? anchor : '';
        const rest = encodeRendered(before + text.slice(start.at, at)).ids.slice(before === '' ? 0 : 1);
        let n = 0;
        while (n < rest.length && rest[n] === ids[start.token + n]) n++;
        return start.token + n;
      },
    };
  };
  return encodeRendered;
}

/** The highest id of the vocabulary and the added tokens; -1 when there is none. */
function highestId({ model: { vocab }, added_tokens }: TokenizerJson): number {
  let highest = Array.isArray(vocab) ? vocab.length - 1 : -1;
  if (!Array.isArray(vocab)) for (const piece in vocab) highest = Math.max(highest, vocab[piece] ?? -1);
  for (const { id } of added_tokens) highest = Math.max(highest, id);
  return highest;
}

/**
 * A tokenizer from its files. Equality with transformers is held by test/tokenizer.test.ts for each kind of tokenizer.
 * How it works: two tokenizers of @huggingface/tokenizers from one file. In the second (`guarded`) special tokens have only a spelling that
 * nobody types. Text from a person that holds a special token is encoded with the second, so that it stays text.
 * Memory: the second vocabulary is built when a person first types a special token; ids of up to `CACHED_CHARACTERS` characters are cached.
 * @throws PlaygroundError `bad_tokenizer` or `unsupported_tokenizer`
 */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const { json, patterns } = checkTokenizerJson(files.tokenizerJson);
  const named = checkTokenizerConfig(files.tokenizerConfig);
  const plain = build(json);
  let built: Algorithm | null = null;
  const guarded = () => {
    built ??= build(guardedJson(json));
    return built;
  };

  const specials = new SpecialTokens(json.added_tokens.filter((t) => t.special));
  // Normalisation can bring a special token out of another spelling (full-width brackets under NFKC).
  const holdsSpecial = (text: string): boolean =>
    specials.find(text).length > 0 ||
    (plain.normalizer !== null && text !== '' && specials.find(plain.normalizer.normalize(text)).length > 0);
  const encodeRendered = createRenderedEncoder(json, specials, (text) => {
    const revealed = specials.reveal(text);
    if (revealed === text) return idsOf(plain, text);
    return idsOf(guarded(), specials.reveal(specials.guard(text)));
  });

  const highest = highestId(json);
  const decode = (ids: Iterable<number>, options: { skipSpecial?: boolean } = {}): string => {
    const known = [...ids].filter((id) => id >= 0 && id <= highest);
    if (known.length === 0) return '';
    return plain.decode(known, { skip_special_tokens: options.skipSpecial ?? false });
  };

  const { bos: bosToken, eos: eosToken } = named;
  const tokenId = (token: string) => plain.token_to_id(token);
  const idOrNull = (token: string | null) => (token === null ? null : (tokenId(token) ?? null));
  const eosId = idOrNull(eosToken);
  const bosTokenId = idOrNull(bosToken);

  return {
    vocabSize: highest + 1,
    longestRun: longestRun(plain, patterns),
    bosToken,
    eosToken,
    bosTokenId,
    addsBos: bosTokenId !== null && plain.encode('a', { add_special_tokens: true }).ids[0] === bosTokenId,
    padTokenId: idOrNull(named.pad),
    endOfTurnIds: [...new Set([...files.eosTokenIds, ...(eosId === null ? [] : [eosId])])],
    chatTemplate: files.chatTemplate,
    encode: (text, options = {}) => {
      if (options.allowSpecial) return encodeRendered(text).ids;
      return idsOf(holdsSpecial(text) ? guarded() : plain, text);
    },
    encodeRendered,
    holdsSpecial,
    encodeGuarded: (text) => idsOf(guarded(), text),
    guard: (text) => specials.guard(text),
    hide: (text) => specials.hide(text),
    reveal: (text) => specials.reveal(text),
    findSpecial: (text) => specials.find(text),
    decode,
    createStreamDecoder: (options = {}) => createStreamDecoder((ids) => decode(ids, options)),
    isSpecial: (id) => specials.has(id),
    tokenId,
    tokenName: (id) => plain.id_to_token(id) ?? '',
  };
}

/**
 * Decodes a few ids before the new ones along with them, because what a token reads as can depend on its neighbours (the space a
 * first word loses, the bytes of one character). Text ending in U+FFFD is held back: its character may still be completed.
 */
function createStreamDecoder(decode: (ids: number[]) => string): StreamDecoder {
  let context: number[] = [];
  let pending: number[] = [];
  const take = (text: string, before: string): string => {
    context = pending.length > 0 ? pending : context;
    pending = [];
    return text.slice(before.length);
  };
  return {
    push: (id) => {
      pending.push(id);
      const before = decode(context);
      const text = decode([...context, ...pending]);
      // Four bytes make a character, so a fifth undecided token means bytes that will never be one.
      if (text.endsWith('\uFFFD') && pending.length < 5) return '';
      if (text.length <= before.length) return '';
      return take(text, before);
    },
    flush: () => (pending.length === 0 ? '' : take(decode([...context, ...pending]), decode(context))),
  };
}
