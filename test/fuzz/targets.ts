// The kinds of hostile cases: how the files of one are drawn, what reads them, and what of its outcome is a fault.
// Not here: mutations (draw.ts), sound files (seedFiles.ts), running many of them with a limit on time (loop.ts).

import { zipSync } from 'fflate';
import { type Chat, createChat } from '../../src/data/tokens/chat';
import { encodeExample, encodePrompt } from '../../src/data/tokens/encodeRows';
import { createTokenizer } from '../../src/data/tokens/tokenizer';
import { readCheckpoint } from '../../src/engine/training/checkpoint';
import { PlaygroundError } from '../../src/errors';
import { architectureFromConfig } from '../../src/formats/architecture';
import { folderFromFiles } from '../../src/formats/huggingface';
import { readPeftAdapter } from '../../src/formats/peft';
import { writeSafetensors } from '../../src/formats/safetensors';
import { defaultHyperparameters } from '../../src/hyperparameters';
import { Dataset } from '../../src/session/dataset';
import { openModel } from '../../src/session/model';
import { readMetricPoints, readRunRecord } from '../../src/session/results';
import { unpackRuns } from '../../src/worker/runsFile';
import { type Draw, type Json, jsonText, mutateBytes, mutateJson, number, text, value } from './draw';
import {
  ADAPTERS,
  adapterFolder,
  bytesOf,
  configOf,
  type Files,
  METRIC_POINT,
  MODELS,
  modelFolder,
  ROWS,
  RUN_RECORD,
  TEMPLATES,
} from './seedFiles';

export interface Target {
  draw(draw: Draw): Files;
  /** Reads the files as page and command line do. What it returns is looked through for sentences. */
  read(files: Files): Promise<unknown>;
}

const decoder = new TextDecoder();
const jsonOf = (bytes: Uint8Array | undefined) => JSON.parse(decoder.decode(bytes)) as Json;
const blobOf = (bytes: Uint8Array | undefined) => new Blob([(bytes ?? new Uint8Array()) as BlobPart]);

/** One file of JSON changed as a value, or as bytes. */
function damageJson(files: Files, name: string, draw: Draw): Files {
  const bytes = files[name] as Uint8Array;
  const damaged = draw.chance(0.85)
    ? jsonText(mutateJson(jsonOf(bytes), draw), draw)
    : mutateBytes(bytes, draw);
  return { ...files, [name]: damaged };
}

const anyModel = (draw: Draw) => modelFolder(draw.pick(MODELS), 0, draw.pick(TEMPLATES));

async function readModel(files: Files): Promise<unknown> {
  const folder = folderFromFiles(
    Object.entries(files).map(([path, bytes]) => ({ path, file: blobOf(bytes) })),
  );
  const { files: opened, chat, notices } = await openModel(folder);
  for (const name of opened.weights.names) await opened.weights.read(name);
  return [notices, await useChat(chat)];
}

/** Asks, learns and answers with a chat format. */
async function useChat(chat: Chat): Promise<unknown> {
  const messages = ROWS[0]?.messages as never;
  const prompt = attempt(() => encodePrompt(chat, messages));
  const answer = chat.tokenizer.createStreamDecoder();
  for (let id = 0; id < 20; id++) answer.push(id);
  answer.flush();
  const rows = (['answers', 'last_answer', 'all'] as const).map((loss_on) =>
    encodeExample(chat, { line: 1, messages: LONG_TALK }, { max_length: 64, loss_on }),
  );
  return {
    notices: chat.notices,
    prompt: prompt instanceof PlaygroundError ? prompt : null,
    issues: rows.map((r) => r.issues),
  };
}

const LONG_TALK = Array.from({ length: 40 }, (_, i) => ({
  role: i % 2 === 0 ? ('user' as const) : ('assistant' as const),
  content: i === 3 ? '<think>\nhm\n</think>\n\nYes.  \n' : `Turn ${i}: ${'word '.repeat(i)}`,
}));

/** What it gives, or the refusal. @throws what is no refusal */
function attempt<T>(make: () => T): T | PlaygroundError {
  try {
    return make();
  } catch (thrown) {
    if (thrown instanceof PlaygroundError) return thrown;
    throw thrown;
  }
}

// ───────────────────────────── grammars ─────────────────────────────

function regex(draw: Draw, depth = 4): string {
  const atom = () =>
    draw.oneOf(
      () =>
        draw.pick([
          'a',
          'ab',
          '.',
          '\\w',
          '\\s',
          '\\p{L}',
          '[^\\s\\p{L}]',
          '\\d',
          ' ?',
          '\\S',
          '\\b',
          '^',
          '$',
          '[a-z&&[^b]]',
          '\\1',
          '\\k<x>',
          '\\X',
          '\\p{Foo}',
          '(?i:s)',
        ]),
      () => (depth > 0 ? `(${regex(draw, depth - 1)})` : 'b'),
      () =>
        depth > 0
          ? `(${draw.pick(['?:', '?=', '?!', '?<=', '?<!', '?>', '?i:', '?<x>', '?#'])}${regex(draw, depth - 1)})`
          : 'c',
    );
  const repeat = () =>
    draw.pick([
      '',
      '',
      '',
      '*',
      '+',
      '?',
      '*?',
      '++',
      '{2}',
      '{1,3}',
      '{0,30}',
      '{9999}',
      `{${number(draw)},}`,
    ]);
  const branch = () => Array.from({ length: 1 + draw.int(4) }, () => atom() + repeat()).join('');
  return Array.from({ length: 1 + draw.int(3) }, branch).join('|');
}

const FILTERS = [
  'trim',
  'length',
  'tojson',
  'list',
  'join',
  'upper',
  'first',
  'last',
  'string',
  'int',
  'float',
  'abs',
  'sort',
  'reverse',
  'unique',
  'items',
  'default',
  'safe',
  'replace',
  'map',
  'selectattr',
  'rejectattr',
  'batch',
  'indent',
  'center',
  'truncate',
  'constructor',
  'sum',
  'dictsort',
  'e',
];
const ATTRIBUTES = [
  'role',
  'content',
  'constructor',
  '__proto__',
  '__class__',
  '__globals__',
  'items',
  'split',
  'strip',
  'append',
  'keys',
  'format',
  'prototype',
  'call',
  'length',
  'get',
  'replace',
  'join',
  'title',
];

function expression(draw: Draw, depth: number): string {
  if (depth <= 0)
    return draw.pick([
      'm',
      'messages',
      'x',
      '1',
      '0',
      '-1',
      '2.5',
      "'ab'",
      '"\\n"',
      '[]',
      '{}',
      'none',
      'true',
      'undefined',
      '9999999999',
      'loop.index',
      'ns',
      'bos_token',
      '1e308',
      "'x' * 10",
      'self',
      'range',
    ]);
  const e = () => expression(draw, depth - 1);
  return draw.oneOf(
    () =>
      `${e()} ${draw.pick(['+', '-', '*', '/', '//', '%', '**', '~', '==', '<', 'in', 'and', 'or', 'is', 'not in'])} ${e()}`,
    () => `(${e()})`,
    () => `${e()} | ${draw.pick(FILTERS)}`,
    () => `${e()} | ${draw.pick(FILTERS)}(${e()}, ${e()})`,
    () => `${e()}.${draw.pick(ATTRIBUTES)}`,
    () => `${e()}.${draw.pick(ATTRIBUTES)}(${e()})`,
    () => `${e()}[${e()}]`,
    () => `${e()}[${e()}:${e()}:${e()}]`,
    () => `range(${e()}, ${e()})`,
    () => `range(10 ** ${draw.int(12)})`,
    () => `(${e()} if ${e()} else ${e()})`,
    () => `'${'ab'.repeat(draw.size(1000))}' * ${number(draw)}`,
    () => `[${e()}, ${e()}] * ${number(draw)}`,
    () => `f(${e()})`,
    () => `namespace(a=${e()})`,
    () => `{${e()}: ${e()}}`,
    () =>
      `${e()} is ${draw.pick(['defined', 'string', 'mapping', 'iterable', 'none', 'divisibleby(0)', 'constructor'])}`,
  );
}

function statement(draw: Draw, depth: number): string {
  const e = () => expression(draw, draw.int(4));
  if (depth <= 0)
    return draw.oneOf(
      () => `{{ ${e()} }}`,
      () => text(draw, 300),
    );
  const s = () => statement(draw, depth - 1);
  return draw.oneOf(
    () => `{{ ${e()} }}`,
    () => `{% for m in ${e()} %}${s()}{% endfor %}`,
    () => `{% for m in messages %}${s()}${s()}{% else %}${s()}{% endfor %}`,
    () => `{% for m in range(10 ** ${draw.int(9)}) %}${s()}{% endfor %}`,
    () => `{% if ${e()} %}${s()}{% elif ${e()} %}${s()}{% else %}${s()}{% endif %}`,
    () => `{% set x = ${e()} %}${s()}`,
    () => `{% set x = x ~ x ~ 'a' %}${s()}`,
    () => `{% set ns.a = ${e()} %}`,
    () => `{% set ns = namespace(a=${e()}) %}${s()}`,
    () => `{% macro f(m, x=${e()}) %}${s()}{{ f(m) }}{% endmacro %}{{ f(${e()}) }}`,
    () => `{% call(x) f(${e()}) %}${s()}{% endcall %}`,
    () => `{% filter ${draw.pick(FILTERS)} %}${s()}{% endfilter %}`,
    () =>
      `{%- ${draw.pick(['include "x"', 'import "x" as y', 'extends "a"', 'block b', 'raw', 'endfor', 'generation', 'do x', 'break', 'continue', 'with a=1', 'autoescape true', 'set'])} -%}${s()}`,
    () => s() + s() + s(),
  );
}

/** A template of a grammar, or a sound one with a few changed bytes. */
function template(draw: Draw): Uint8Array {
  return draw.oneOf(
    () => bytesOf(Array.from({ length: 1 + draw.int(4) }, () => statement(draw, 4)).join('')),
    () => bytesOf(draw.pick(TEMPLATES).replace('{% for', `${statement(draw, 2)}{% for`)),
    () => bytesOf(draw.pick(TEMPLATES).replace('}}{% endfor', `}}${statement(draw, 3)}{% endfor`)),
    () => mutateBytes(bytesOf(draw.pick(TEMPLATES)), draw),
    () =>
      bytesOf(
        draw
          .pick(['{%', '{{ (', '{% if x %}', '{% for m in messages %}', '((', '{{ -'])
          .repeat(draw.size(100_000)),
      ),
  );
}

/** The header of a safetensors file changed as a value; its length is made to fit, mostly. */
function safetensors(bytes: Uint8Array, draw: Draw): Uint8Array {
  if (draw.chance(0.3)) return mutateBytes(bytes, draw);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = jsonText(mutateJson(jsonOf(bytes.subarray(8, 8 + length)), draw), draw);
  const data = draw.chance(0.8) ? bytes.subarray(8 + length) : mutateBytes(bytes.subarray(8 + length), draw);
  const made = new Uint8Array(8 + header.length + data.length);
  const claimed = draw.chance(0.95) ? header.length : header.length + draw.int(100) - 50;
  new DataView(made.buffer).setBigUint64(0, BigInt(Math.max(0, claimed)), true);
  made.set(header, 8);
  made.set(data, 8 + header.length);
  return made;
}

/** Weights in which some numbers are NaN, infinite, huge or denormal. */
function oddNumbers(bytes: Uint8Array, draw: Draw): Uint8Array {
  const made = bytes.slice();
  const view = new DataView(made.buffer);
  const start = 8 + Number(view.getBigUint64(0, true));
  for (let n = draw.size(50); n > 0; n--) {
    const at = start + 4 * draw.int(Math.floor((made.length - start) / 4));
    if (at + 4 <= made.length)
      view.setFloat32(
        at,
        draw.pick([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, 1e-42]),
        true,
      );
  }
  return made;
}

// ───────────────────────────── rows ─────────────────────────────

/** What a file of rows takes grows with its size, so that a limit on time needs one on size. */
const LARGEST_ROWS = 500_000;

function damageRows(text: string, draw: Draw): Uint8Array {
  const bytes = bytesOf(text).subarray(0, LARGEST_ROWS);
  return draw.chance(0.7) ? bytes : mutateBytes(bytes, draw);
}

function jsonRows(draw: Draw): Uint8Array {
  const row = () => {
    const sound = draw.pick(ROWS) as unknown as Json;
    return draw.chance(0.5) ? mutateJson(sound, draw) : sound;
  };
  const count = draw.size(draw.chance(0.05) ? 5000 : 40);
  const rows = Array.from({ length: count }, row);
  const joined = draw.oneOf(
    () =>
      rows
        .map((r) => JSON.stringify(r))
        .join(draw.pick(['\n', '\r\n', '\n\n', ' ', ',', '\r', '\u2028', ''])),
    () => JSON.stringify(rows, null, draw.int(3)),
    () => JSON.stringify({ [draw.pick(['data', 'train', 'rows', 'x'])]: rows, version: 1 }),
    () => rows.map((r) => JSON.stringify(r).slice(0, 5 + draw.size(200))).join('\n'),
    () =>
      rows.map((r) => JSON.stringify(r).replaceAll('"', draw.pick(["'", '“', '\\"', '""', '`']))).join('\n'),
    () => `\`\`\`json\n${rows.map((r) => JSON.stringify(r)).join('\n')}\n\`\`\``,
    () =>
      Array(draw.size(20_000))
        .fill(JSON.stringify(rows[0] ?? {}).slice(0, 2000))
        .join('\n'),
    () =>
      draw
        .pick(['[', '{"a":', '"', '\\', '[{', '/*', '//', '{"messages":[', "'", '“', '```', '{"text":"'])
        .repeat(draw.size(200_000)),
    () => JSON.stringify(value(draw)),
  );
  return damageRows(joined, draw);
}

function tableRows(draw: Draw): Uint8Array {
  const delimiter = draw.pick([',', ';', '\t', '|', ':', ',,', '']);
  const columns = draw.oneOf(
    () => ['prompt', 'completion'],
    () => ['question', 'answer', 'context', 'split', 'weight'],
    () => ['text'],
    () => Array.from({ length: draw.size(draw.chance(0.1) ? 3000 : 12) }, () => text(draw, 50)),
    () => Array(draw.size(30)).fill('prompt'),
  );
  const quote = (cell: string) =>
    draw.chance(0.5) ? `"${cell.replaceAll('"', draw.pick(['""', '"', '\\"']))}"` : cell;
  const line = () => {
    const cells = draw.chance(0.9) ? columns.length : draw.size(3000);
    return Array.from({ length: cells }, () =>
      quote(draw.chance(0.7) ? draw.pick(['Hello', 'Ahoy, you', 'a\nb', '']) : text(draw, 200)),
    ).join(delimiter);
  };
  const made = draw.oneOf(
    () =>
      [columns.join(delimiter), ...Array.from({ length: draw.size(80) }, line)].join(
        draw.pick(['\n', '\r\n', '\r']),
      ),
    () => `sep=${delimiter}\n${columns.join(delimiter)}\n${line()}`,
    () => `| ${columns.join(' | ')} |\n|${'---|'.repeat(columns.length)}\n| ${columns.join(' | ')} |`,
    () =>
      Array(draw.size(20_000))
        .fill('"')
        .join(draw.pick(['\n', ',', 'a'])),
    () => `prompt,completion\n${'a,b\n'.repeat(draw.size(8000))}`,
    () => `prompt,completion\n${'",'.repeat(draw.size(100_000))}`,
  );
  return damageRows(made, draw);
}

const ENDINGS = ['.jsonl', '.json', '.csv', '.tsv', '.md', '.txt', '', '.xlsx', '.exe'];

let chat: ReturnType<typeof createChat> | null = null;

/** One format for all rows, so that only they matter. */
function soundChat() {
  const files = modelFolder('chat', 0, TEMPLATES[0] as string);
  chat ??= createChat(
    createTokenizer({
      tokenizerJson: jsonOf(files['tokenizer.json']) as Record<string, unknown>,
      tokenizerConfig: jsonOf(files['tokenizer_config.json']) as Record<string, unknown>,
      chatTemplate: TEMPLATES[0] as string,
      eosTokenIds: [3],
    }),
    { vocabSize: 320, contextLength: 128 },
  );
  return chat;
}

async function readRows(files: Files): Promise<unknown> {
  const [[name, bytes]] = Object.entries(files) as [[string, Uint8Array]];
  const dataset = await Dataset.read(name, blobOf(bytes));
  const h = { ...defaultHyperparameters(), max_length: 64 };
  const architecture = architectureFromConfig(jsonOf(configOf('chat')) as Record<string, unknown>);
  const report = dataset.encode(soundChat(), architecture, h);
  const mended = await dataset.mendedFile('chat');
  const table = await dataset.table();
  const found = table.find({ search: 'a', use: null, code: null, sort: 'length', descending: true });
  const refused = attempt(() => dataset.assertTrainable());
  if (mended.length === 0 && report.usableRows > 0)
    throw new Error('usable rows vanished when the file was mended');
  return { report, found: found.ids.length, refused };
}

// ───────────────────────────── run files ─────────────────────────────

function runsZip(draw: Draw): Uint8Array {
  const list = {
    format: 'finetune-playground-runs',
    version: 1,
    runs: [{ record: RUN_RECORD, points: 'run-1/metrics.jsonl', weights: 'run-1/weights.safetensors' }],
  };
  const points = mutateJson(METRIC_POINT, draw);
  const entries: Record<string, Uint8Array> = {
    'runs.json': jsonText(
      draw.chance(0.6) ? mutateJson(list as unknown as Json, draw) : (list as unknown as Json),
      draw,
    ),
    'run-1/metrics.jsonl': bytesOf(
      `${JSON.stringify(METRIC_POINT)}\n`.repeat(draw.size(50)) + JSON.stringify(points),
    ),
    'run-1/weights.safetensors': draw.chance(0.1) ? new Uint8Array(draw.size(20_000_000)) : bytesOf('x'),
    ...(draw.chance(0.2) && {
      [draw.pick([
        '../evil',
        '/etc/passwd',
        'run-1',
        'run-2/metrics.jsonl',
        'constructor',
        text(draw, 500),
      ]) || 'a']: bytesOf('x'),
    }),
  };
  const zip = zipSync(entries, { level: draw.pick([0, 9]) });
  return draw.chance(0.4) ? zip : mutateBytes(zip, draw);
}

function checkpointFile(draw: Draw): Uint8Array {
  const run = { config: RUN_RECORD.config, points: [METRIC_POINT], rows: [], elapsedMs: 5, trainingMs: 4 };
  const trainer = { step: 1, tokens: 60, withoutGain: 0, latest: null, best: null, updates: 1 };
  const data = new Float32Array([1, 2]);
  const changed = (json: unknown) =>
    decoder.decode(jsonText(draw.chance(0.5) ? mutateJson(json as Json, draw) : (json as Json), draw));
  const made = writeSafetensors(
    ['learner/a', 'm/a', 'v/a']
      .filter(() => draw.chance(0.95))
      .map((tensor) => ({ name: tensor, shape: [2], data })),
    {
      checkpoint: '1',
      run: changed(run),
      trainer: changed(trainer),
      ...(draw.chance(0.3) && { sha256: text(draw, 64) }),
    },
  );
  return draw.chance(0.5) ? made : safetensors(made, draw);
}

// ───────────────────────────── the list ─────────────────────────────

/** Tokenizer and template alone: their vocabulary need not fit weights. */
async function readChat(files: Files): Promise<unknown> {
  let json: Json[];
  try {
    json = ['tokenizer.json', 'tokenizer_config.json'].map((name) => jsonOf(files[name]));
  } catch {
    // Refused where the folder is read, which the cases of config.json go through.
    return null;
  }
  if (!json.every((value) => typeof value === 'object' && value !== null && !Array.isArray(value)))
    return null;
  const [tokenizerJson, tokenizerConfig] = json as [Record<string, unknown>, Record<string, unknown>];
  const chatTemplate = decoder.decode(files['chat_template.jinja']);
  return useChat(
    createChat(createTokenizer({ tokenizerJson, tokenizerConfig, chatTemplate, eosTokenIds: [3] })),
  );
}

const ofChat = (change: (files: Files, draw: Draw) => Files): Target => ({
  draw: (draw) => change(modelFolder('chat', draw.int(7), draw.pick(TEMPLATES)), draw),
  read: readChat,
});

const ofModel = (change: (files: Files, draw: Draw) => Files): Target => ({
  draw: (draw) => change(anyModel(draw), draw),
  read: readModel,
});

export const TARGETS = {
  config: ofModel((files, draw) => damageJson(files, 'config.json', draw)),
  tokenizer: ofChat((files, draw) => damageJson(files, 'tokenizer.json', draw)),
  tokenizer_pattern: ofChat((files, draw) => {
    const json = jsonOf(files['tokenizer.json']) as Record<string, Json>;
    const part = draw.oneOf<Json>(
      () => ({
        type: 'Split',
        pattern: { Regex: regex(draw) },
        behavior: draw.pick(['Isolated', 'Removed', 'MergedWithPrevious', 'x']),
        invert: draw.chance(0.3),
      }),
      () => ({
        type: 'Replace',
        pattern: draw.chance(0.5) ? { Regex: regex(draw) } : { String: text(draw, 100) },
        content: text(draw, 100),
      }),
      () => ({
        type: 'Sequence',
        pretokenizers: Array.from({ length: draw.size(300) }, () => ({
          type: 'ByteLevel',
          add_prefix_space: false,
        })),
      }),
    );
    const key = draw.pick(['pre_tokenizer', 'normalizer', 'decoder', 'post_processor']);
    return { ...files, 'tokenizer.json': bytesOf(JSON.stringify({ ...json, [key]: part })) };
  }),
  tokenizer_config: ofModel((files, draw) =>
    damageJson(
      files,
      draw.pick(['tokenizer_config.json', 'tokenizer_config.json', 'generation_config.json']),
      draw,
    ),
  ),
  template: ofChat((files, draw) => ({ ...files, 'chat_template.jinja': template(draw) })),
  weights: ofModel((files, draw) => {
    const bytes = files['model.safetensors'] as Uint8Array;
    if (draw.chance(0.15)) {
      const { 'model.safetensors': _, ...rest } = files;
      const index = {
        metadata: { total_size: 1 },
        weight_map: { 'model.norm.weight': 'a.safetensors', b: '../config.json' },
      };
      return {
        ...rest,
        'a.safetensors': bytes,
        'model.safetensors.index.json': jsonText(mutateJson(index, draw), draw),
      };
    }
    return {
      ...files,
      'model.safetensors': draw.chance(0.15) ? oddNumbers(bytes, draw) : safetensors(bytes, draw),
    };
  }),
  adapter: {
    draw: (draw) => {
      const [model, adapter] = draw.pick(ADAPTERS);
      const files = adapterFolder(model, adapter);
      const weights = files['adapter_model.safetensors'] as Uint8Array;
      const base = { 'base/config.json': configOf(model) };
      if (draw.chance(0.6)) return { ...damageJson(files, 'adapter_config.json', draw), ...base };
      return {
        ...files,
        ...base,
        'adapter_model.safetensors': draw.chance(0.2)
          ? oddNumbers(weights, draw)
          : safetensors(weights, draw),
      };
    },
    read: async ({ 'base/config.json': config, ...files }) => {
      const architecture = architectureFromConfig(jsonOf(config) as Record<string, unknown>);
      await readPeftAdapter(
        Object.entries(files).map(([path, bytes]) => ({ path, file: blobOf(bytes) })),
        architecture,
      );
    },
  },
  rows_json: {
    draw: (draw) => ({ [`rows${draw.chance(0.8) ? '.jsonl' : draw.pick(ENDINGS)}`]: jsonRows(draw) }),
    read: readRows,
  },
  rows_table: {
    draw: (draw) => ({ [`rows${draw.chance(0.8) ? '.csv' : draw.pick(ENDINGS)}`]: tableRows(draw) }),
    read: readRows,
  },
  runs_zip: {
    draw: (draw) => ({ 'runs.zip': runsZip(draw) }),
    read: ({ 'runs.zip': zip }) => unpackRuns(blobOf(zip)),
  },
  run_record: {
    draw: (draw) => ({
      'run.json': jsonText(mutateJson(RUN_RECORD, draw), draw),
      'metrics.jsonl': draw.chance(0.5) ? bytesOf('') : jsonText(mutateJson(METRIC_POINT, draw), draw),
    }),
    read: async (files) => {
      const record = attempt(() => readRunRecord(decoder.decode(files['run.json'])));
      const points = attempt(() => readMetricPoints(decoder.decode(files['metrics.jsonl'])));
      return [
        record instanceof PlaygroundError ? record : null,
        points instanceof PlaygroundError ? points : null,
      ];
    },
  },
  checkpoint: {
    draw: (draw) => ({ 'checkpoint.safetensors': checkpointFile(draw) }),
    read: async (files) => {
      await readCheckpoint(blobOf(files['checkpoint.safetensors']));
    },
  },
} satisfies Record<string, Target>;

export type TargetName = keyof typeof TARGETS;
export const TARGET_NAMES = Object.keys(TARGETS) as TargetName[];
