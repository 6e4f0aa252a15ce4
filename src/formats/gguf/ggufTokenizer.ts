// tokenizer.json as GGUF metadata and back: byte-level BPE (llama.cpp calls it gpt2) and SentencePiece-like BPE (llama).
// Not here: running a tokenizer (data/tokens/), the chat template (ggufModel.ts).
//
// llama.cpp knows a byte-level tokenizer's regular expression by a name only (`tokenizer.ggml.pre`), and a SentencePiece vocabulary by a score
// a piece: pairs are joined by the highest score of what they make. A merge list is such an order: rank r becomes score −r.

import { PlaygroundError } from '../../errors';
import { record } from '../families/config';
import type { MetadataValue } from './container';

type Json = Record<string, unknown>;

const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const LETTERS_AND_DIGITS = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const byteLevel = (regex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: regex,
});
const splitBy = (pattern: string) => ({
  type: 'Sequence',
  pretokenizers: [
    { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
    byteLevel(false),
  ],
});

/** Pre-tokenizers by llama.cpp's name. The first that is equal gives the name; several names may read as one. */
const PRE_TOKENIZERS: Readonly<Record<string, { json: Json; ignoreMerges?: boolean }>> = {
  // GPT-2's own regular expression, which the library's ByteLevel uses by itself.
  'gpt-2': { json: byteLevel(true) },
  // Of GPT-NeoX and Pythia: the same expression.
  olmo: { json: byteLevel(true) },
  'llama-bpe': { json: splitBy(LETTERS_AND_DIGITS('\\p{N}{1,3}')), ignoreMerges: true },
  qwen2: { json: splitBy(LETTERS_AND_DIGITS('\\p{N}')) },
  smollm: {
    json: {
      type: 'Sequence',
      pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)],
    },
  },
};

const unsupported = (what: string, where: string) =>
  new PlaygroundError({
    code: 'unsupported_in_gguf',
    message: `${what}, so a GGUF file would give other tokens than this model has learned.`,
    fix: 'Export the merged model as a Hugging Face folder instead.',
    where,
  });

/** What decides where a text is cut: defaults filled in, and keys left out that change no ids. */
function essence(json: unknown): string {
  const part = record(json);
  if (!part) return JSON.stringify(json);
  if (part.type === 'Sequence') return `[${(part.pretokenizers as unknown[]).map(essence).join(',')}]`;
  if (part.type === 'ByteLevel')
    return `bytes ${part.add_prefix_space !== false} ${part.use_regex !== false}`;
  if (part.type === 'Split')
    return `split ${JSON.stringify(part.pattern)} ${part.behavior} ${part.invert === true}`;
  if (part.type === 'Digits') return `digits ${part.individual_digits === true}`;
  return JSON.stringify(part);
}

/** llama.cpp's name of a byte-level pre-tokenizer. @throws PlaygroundError `unsupported_in_gguf` */
function preTokenizerName(json: Json): string {
  const wanted = essence(json.pre_tokenizer);
  // A word of the vocabulary is taken whole, whatever its merges: part of what the name stands for.
  const whole = record(json.model)?.ignore_merges === true;
  const name = Object.keys(PRE_TOKENIZERS).find((one) => {
    const known = PRE_TOKENIZERS[one];
    return essence(known?.json) === wanted && (known?.ignoreMerges ?? false) === whole;
  });
  if (name !== undefined) return name;
  throw unsupported(
    'llama.cpp has no name for this tokenizer’s regular expression',
    'tokenizer.json: pre_tokenizer',
  );
}

interface Piece {
  text: string;
  type: number;
  score: number;
}

const pairOf = (merge: unknown): [string, string] =>
  Array.isArray(merge) ? (merge as [string, string]) : (String(merge).split(' ', 2) as [string, string]);

/**
 * A piece with a character that is no piece itself is never made by merges, as that character is cut into bytes first; llama.cpp joins
 * characters all the same. Such pieces get another text, so that both give the same ids.
 */
function hideUnreachable(pieces: Piece[]): void {
  const known = new Set(pieces.filter(({ type }) => type === TYPE.normal).map(({ text }) => text));
  for (const [id, piece] of pieces.entries()) {
    if (piece.type !== TYPE.normal || [...piece.text].every((character) => known.has(character))) continue;
    pieces[id] = { text: `[unreachable ${id}]`, type: TYPE.unused, score: 0 };
  }
}

/** Whether spaces become ▁ here, and whether one is put in front of a text. */
function spaces(json: Json): { replaced: boolean; prefix: boolean } {
  const normalizer = JSON.stringify(json.normalizer ?? null);
  const pre = record(json.pre_tokenizer);
  const metaspace = pre?.type === 'Metaspace';
  return {
    replaced: normalizer.includes('▁') || metaspace,
    prefix: normalizer.includes('"Prepend"') || (metaspace && (pre?.prepend_scheme ?? 'always') !== 'never'),
  };
}

/**
 * tokenizer.json as metadata.
 * @param rows of the embedding: the list of tokens must be as long
 * @returns the keys, and sentences about texts that llama.cpp cuts differently
 * @throws PlaygroundError `unsupported_in_gguf` for a tokenizer that llama.cpp has none like
 */
export function tokenizerMetadata(
  json: Json,
  rows: number,
): { metadata: Map<string, MetadataValue>; notices: string[] } {
  const model = record(json.model);
  if (model?.type !== 'BPE' || Array.isArray(model.vocab))
    throw unsupported(
      `llama.cpp has no tokenizer like ${String(model?.type)} for this kind of model`,
      'tokenizer.json',
    );
  const pieces: Piece[] = Array.from({ length: rows }, (_, id) => ({
    text: `[PAD${id}]`,
    type: TYPE.unused,
    score: 0,
  }));
  const merges = (model.merges as unknown[] | undefined) ?? [];
  const bytes = model.byte_fallback === true;
  const ranks = new Map<string, number>();
  merges.forEach((merge, rank) => {
    const made = pairOf(merge).join('');
    if (!ranks.has(made)) ranks.set(made, rank);
  });
  for (const [text, id] of Object.entries(model.vocab as Record<string, number>)) {
    if (id >= rows) continue;
    const type = bytes && /^<0x[0-9A-F]{2}>$/.test(text) ? TYPE.byte : TYPE.normal;
    pieces[id] = { text, type, score: -(ranks.get(text) ?? merges.length) };
  }
  for (const token of (json.added_tokens as Json[] | undefined) ?? []) {
    const id = token.id as number;
    if (id >= rows) continue;
    pieces[id] = {
      text: token.content as string,
      type:
        token.content === model.unk_token
          ? TYPE.unknown
          : token.special === true
            ? TYPE.control
            : TYPE.userDefined,
      score: 0,
    };
  }
  const metadata = new Map<string, MetadataValue>();
  const notices: string[] = [];
  const { replaced, prefix } = spaces(json);
  if (bytes && replaced) {
    hideUnreachable(pieces);
    metadata.set('tokenizer.ggml.model', { type: 'string', value: 'llama' });
    metadata.set('tokenizer.ggml.pre', { type: 'string', value: 'default' });
    metadata.set('tokenizer.ggml.scores', { type: 'float32s', value: pieces.map(({ score }) => score) });
    const unknown = pieces.findIndex(({ type }) => type === TYPE.unknown);
    if (unknown >= 0) metadata.set('tokenizer.ggml.unknown_token_id', { type: 'uint32', value: unknown });
    metadata.set('tokenizer.ggml.add_space_prefix', { type: 'bool', value: prefix });
  } else {
    const normalizer = record(json.normalizer);
    if (normalizer && normalizer.type !== 'NFC')
      throw unsupported(
        `llama.cpp has no normalizer ${String(normalizer.type)}`,
        'tokenizer.json: normalizer',
      );
    if (normalizer)
      notices.push(
        'llama.cpp does not compose letters and accents (NFC); text that is not composed gets other tokens there.',
      );
    metadata.set('tokenizer.ggml.model', { type: 'string', value: 'gpt2' });
    metadata.set('tokenizer.ggml.pre', { type: 'string', value: preTokenizerName(json) });
    metadata.set('tokenizer.ggml.merges', {
      type: 'strings',
      value: merges.map((merge) => pairOf(merge).join(' ')),
    });
  }
  metadata.set('tokenizer.ggml.tokens', { type: 'strings', value: pieces.map(({ text }) => text) });
  metadata.set('tokenizer.ggml.token_type', { type: 'int32s', value: pieces.map(({ type }) => type) });
  return { metadata, notices };
}

const badTokenizer = (message: string, where: string) =>
  new PlaygroundError({
    code: 'unsupported_tokenizer',
    message: `The tokenizer of this GGUF file cannot be used here: ${message}.`,
    fix: 'Take the model’s Hugging Face folder instead, which has tokenizer.json.',
    where,
  });

/** Merges that a list of scored pieces stands for: each piece as every pair that makes it, best score first. */
function mergesOf(scores: ReadonlyMap<string, number>): [string, string][] {
  const found: { pair: [string, string]; score: number }[] = [];
  for (const [text, score] of scores) {
    for (let cut = 1; cut < text.length; cut++) {
      const pair: [string, string] = [text.slice(0, cut), text.slice(cut)];
      if (scores.has(pair[0]) && scores.has(pair[1])) found.push({ pair, score });
    }
  }
  return found.sort((a, b) => b.score - a.score).map(({ pair }) => pair);
}

/** tokenizer.json from metadata. @throws PlaygroundError `unsupported_tokenizer` naming the key */
export function tokenizerFromMetadata(metadata: ReadonlyMap<string, unknown>): Json {
  const kind = metadata.get('tokenizer.ggml.model');
  const tokens = metadata.get('tokenizer.ggml.tokens') as string[] | undefined;
  if (!Array.isArray(tokens)) throw badTokenizer('it has no list of tokens', 'tokenizer.ggml.tokens');
  const types = (metadata.get('tokenizer.ggml.token_type') as number[] | undefined) ?? [];
  const isAdded = (id: number) =>
    [TYPE.unknown, TYPE.control, TYPE.userDefined].some((type) => type === types[id]);
  const added = tokens.flatMap((content, id) =>
    isAdded(id)
      ? [
          {
            id,
            content,
            special: types[id] !== TYPE.userDefined,
            ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
          },
        ]
      : [],
  );
  const vocab = Object.fromEntries(
    tokens.flatMap((text, id) => (types[id] === TYPE.unused ? [] : [[text, id]])),
  );
  const bos = metadata.get('tokenizer.ggml.bos_token_id');
  const first =
    metadata.get('tokenizer.ggml.add_bos_token') === true && typeof bos === 'number'
      ? tokens[bos]
      : undefined;
  const common = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    post_processor: first === undefined ? null : beginningWith(first, bos as number),
  };
  if (kind === 'gpt2') {
    const pre = String(metadata.get('tokenizer.ggml.pre') ?? 'none');
    const known = PRE_TOKENIZERS[pre];
    if (!known)
      throw badTokenizer(
        `its regular expression is called “${pre}”, and ${Object.keys(PRE_TOKENIZERS).join(', ')} are known here`,
        'tokenizer.ggml.pre',
      );
    const merges = (metadata.get('tokenizer.ggml.merges') as string[] | undefined) ?? [];
    return {
      ...common,
      normalizer: pre === 'qwen2' ? { type: 'NFC' } : null,
      pre_tokenizer: known.json,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: bpe(vocab, merges.map(pairOf), { ignore_merges: known.ignoreMerges === true }),
    };
  }
  if (kind !== 'llama')
    throw badTokenizer(
      `its kind is “${String(kind)}”, and gpt2 and llama are known here`,
      'tokenizer.ggml.model',
    );
  const scores = metadata.get('tokenizer.ggml.scores') as number[] | undefined;
  if (!Array.isArray(scores)) throw badTokenizer('it has no scores', 'tokenizer.ggml.scores');
  const scored = new Map(
    tokens.flatMap((text, id) => (types[id] === TYPE.normal ? [[text, scores[id] as number]] : [])),
  );
  const prefix = metadata.get('tokenizer.ggml.add_space_prefix') !== false;
  const unknown = metadata.get('tokenizer.ggml.unknown_token_id');
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  return {
    ...common,
    normalizer: prefix
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, replace] }
      : replace,
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: bpe(vocab, mergesOf(scored), {
      byte_fallback: true,
      fuse_unk: true,
      ...(typeof unknown === 'number' && { unk_token: tokens[unknown] }),
    }),
  };
}

const bpe = (vocab: Record<string, unknown>, merges: readonly (readonly [string, string])[], more: Json) => ({
  type: 'BPE',
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
  vocab,
  merges,
  ...more,
});

const beginningWith = (token: string, id: number) => ({
  type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  pair: [],
  special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
});
