// Models from a hub, over real HTTP from a hub on this machine: kept, resumed, checked, and every fault in its own sentence.
// Run: npx vitest run --project node test/hub.test.ts

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { unzipSync } from 'fflate';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RunConfig } from '../src/contract';
import { PlaygroundError } from '../src/errors';
import { readModelFolder } from '../src/formats/huggingface';
import { defaultHyperparameters } from '../src/hyperparameters';
import type { HubSource, LoadProgress } from '../src/modelContract';
import { cachedModels, deleteCachedModel, type HubOptions, inspectHub, readFromHub } from '../src/worker/hub';
import { EngineSession } from '../src/worker/session';
import { memoryStore, type Store } from '../src/worker/storage';
import { COMMIT, FakeHub, fixtureModel } from './fakeHub';
import { fixtureFolder } from './nodeFolders';
import { exported } from './sessionFixtures';

const hub = new FakeHub();
const CHAT = 'school/tiny-chat';
const SHARDED = 'school/two-shards';
const WEIGHTS = 'model.safetensors';
const SECOND = 'model-00002-of-00002.safetensors';
const chat = fixtureModel('chat');
const weightsSize = chat.files.get(WEIGHTS)?.length ?? 0;

let root: string;
let store: Store;

/** A store on this disk: a new one over the same folder is what a reload finds. */
function diskStore(freeBytes: number | null = null): Store {
  const at = (...parts: string[]) => path.join(root, ...parts);
  const list = (folder: string) => (existsSync(folder) ? readdirSync(folder) : []);
  return {
    lasting: true,
    folders: async () => list(root),
    files: async (folder) => new Map(list(at(folder)).map((f) => [f, statSync(at(folder, f)).size])),
    read: async (folder, file) =>
      existsSync(at(folder, file)) ? new Blob([readFileSync(at(folder, file))]) : null,
    append: async (folder, file, from) => {
      mkdirSync(at(folder), { recursive: true });
      if (existsSync(at(folder, file))) truncateSync(at(folder, file), from);
      else writeFileSync(at(folder, file), '');
      return { write: (bytes) => appendFileSync(at(folder, file), bytes), close: () => {} };
    },
    remove: async (folder, file) => rmSync(at(folder, file ?? ''), { recursive: true, force: true }),
    freeBytes: async () => freeBytes,
  };
}

beforeAll(() => hub.start());
afterAll(() => hub.stop());
beforeEach(() => {
  hub.reset();
  hub.models.clear();
  hub.models.set(CHAT, chat);
  hub.models.set(
    SHARDED,
    fixtureModel('qwen2', { 'tokenizer.json': chat.files.get('tokenizer.json') as Buffer }),
  );
  root = mkdtempSync(path.join(tmpdir(), 'hub-'));
  store = diskStore();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const source = (id = CHAT): HubSource => ({ kind: 'hub', id, endpoint: hub.address });

function load(
  wanted = source(),
  options: Partial<HubOptions> & { onProgress?: (p: LoadProgress) => void } = {},
) {
  const signal = options.signal ?? new AbortController().signal;
  const onProgress = options.onProgress ?? (() => {});
  return readFromHub(
    wanted,
    { store, pausesMs: [5, 5], ...options, signal, onProgress },
    async (folder, at) => ({
      at,
      model: await readModelFolder(folder),
    }),
  );
}

async function refusal(call: Promise<unknown>): Promise<PlaygroundError> {
  const thrown = await call.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(PlaygroundError);
  const error = thrown as PlaygroundError;
  for (const sentence of [error.message, error.fix]) expect(sentence).toMatch(/^\S.*\.$/s);
  return error;
}

const sentOf = (file: string) => hub.sent.filter((s) => s.file === file).map(({ from, to }) => [from, to]);

describe('a model that is not here yet', () => {
  test('is downloaded with the files it needs and no others, in counted bytes', async () => {
    const seen: LoadProgress[] = [];
    const { at, model } = await load(source(), { onProgress: (p) => seen.push(p) });
    expect(at).toEqual({ id: CHAT, commit: COMMIT });
    const disk = await readModelFolder(fixtureFolder('chat'));
    const name = disk.weights.names[0] as string;
    expect(model.weights.names).toEqual(disk.weights.names);
    expect((await model.weights.read(name)).data).toEqual((await disk.weights.read(name)).data);
    expect(model.chatTemplate).toBe(disk.chatTemplate);

    const needed = [
      'chat_template.jinja',
      'config.json',
      'generation_config.json',
      WEIGHTS,
      'tokenizer.json',
      'tokenizer_config.json',
    ];
    expect(hub.sent.map((s) => s.file).sort()).toEqual(needed);
    const bytes = needed.reduce((sum, file) => sum + (chat.files.get(file)?.length ?? 0), 0);
    expect(seen.at(-1)).toMatchObject({ stage: 'download', loadedBytes: bytes, totalBytes: bytes });
    const counts = seen.map((p) => p.loadedBytes);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
  });

  test('is offered with its size, its licence and the room there is, before a byte of it moves', async () => {
    store = diskStore(5_000_000);
    const options = { store, signal: new AbortController().signal };
    const offer = await inspectHub(source(` ${CHAT} `), options);
    expect(offer).toMatchObject({
      id: CHAT,
      revision: 'main',
      commit: COMMIT,
      licence: 'apache-2.0',
      parameters: 12_345,
      gated: false,
      cachedBytes: 0,
      freeBytes: 5_000_000,
      lasting: true,
    });
    expect(offer.totalBytes).toBeGreaterThan(weightsSize);
    expect(hub.sent).toEqual([]);
    expect(await store.folders()).toEqual([]);
    await load();
    expect(await inspectHub(source(), options)).toMatchObject({ cachedBytes: offer.totalBytes });
  });

  test('is downloaded in shards when it is in shards', async () => {
    const { model } = await load(source(SHARDED));
    const disk = await readModelFolder({
      ...fixtureFolder('qwen2'),
      has: (file) => file === 'tokenizer.json' || fixtureFolder('qwen2').has(file),
      open: (file) => fixtureFolder(file === 'tokenizer.json' ? 'chat' : 'qwen2').open(file),
    });
    for (const name of disk.weights.names) {
      expect((await model.weights.read(name)).data).toEqual((await disk.weights.read(name)).data);
    }
    expect(hub.sent.filter((s) => s.file.endsWith('.safetensors'))).toHaveLength(2);
  });

  test.each([
    ['the address of its page', (at: string) => `${at}/${CHAT}`],
    ['the address of a version’s page', (at: string) => `${at}/${CHAT}/tree/${COMMIT}`],
    ['name and version', () => `${CHAT}@${COMMIT}`],
  ])('is found by %s', async (_, id) => {
    expect((await load(source(id(hub.address)))).at).toEqual({ id: CHAT, commit: COMMIT });
  });
});

describe('a model that is here', () => {
  test('needs no request at all, also after a reload and with the hub gone', async () => {
    await load();
    hub.reset();
    store = diskStore();
    const { at, model } = await load();
    expect(at.commit).toBe(COMMIT);
    expect(model.weights.parameters).toBeGreaterThan(0);
    expect(hub.requests).toEqual([]);
    expect(await cachedModels(store)).toMatchObject([
      { id: CHAT, endpoint: hub.address, revision: 'main', commit: COMMIT, complete: true },
    ]);
  });

  test('is listed with its size, and is gone when it is deleted', async () => {
    await load();
    const [kept] = await cachedModels(store);
    expect(kept?.bytes).toBe(kept?.totalBytes);
    expect(kept?.bytes).toBeGreaterThan(weightsSize);
    await deleteCachedModel(store, kept?.key ?? '');
    expect(await cachedModels(store)).toEqual([]);
    expect(await store.folders()).toEqual([]);
  });

  test('is another one at another hub', async () => {
    await load();
    const other = await new FakeHub().start();
    other.models.set(CHAT, chat);
    await load({ ...source(), endpoint: `${other.address}/` });
    expect(other.requests.length).toBeGreaterThan(0);
    expect((await cachedModels(store)).map((m) => m.endpoint).sort()).toEqual(
      [hub.address, other.address].sort(),
    );
    await other.stop();
  });

  test('is replaced when another version is asked for by its commit, and only then', async () => {
    await load();
    hub.commit = 'f'.repeat(40);
    hub.requests = [];
    expect((await load()).at.commit).toBe(COMMIT);
    expect(hub.requests).toEqual([]);
    const offer = await inspectHub(source(), { store, signal: new AbortController().signal });
    expect(offer).toMatchObject({ commit: hub.commit, cachedBytes: 0 });
    expect((await load({ ...source(), commit: offer.commit })).at.commit).toBe(hub.commit);
    expect(await cachedModels(store)).toMatchObject([{ id: CHAT, commit: hub.commit, complete: true }]);
  });

  test('whose manifest was cut short can still be deleted, and loaded anew', async () => {
    await load();
    const [key = ''] = await store.folders();
    const out = await store.append(key, 'manifest.json', 20);
    await out.close();
    expect(await cachedModels(store)).toMatchObject([{ key, complete: false }]);
    await load();
    expect(await cachedModels(store)).toMatchObject([{ id: CHAT, complete: true }]);
  });
});

describe('a connection that breaks', () => {
  test('is resumed where it stopped, and no byte is downloaded twice', async () => {
    hub.faults.dropAfter.set(WEIGHTS, [40_000, 30_000]);
    await load();
    expect(sentOf(WEIGHTS)).toEqual([
      [0, 40_000],
      [40_000, 70_000],
      [70_000, weightsSize],
    ]);
  });

  test('again and again ends in its error; after a reload the rest is downloaded, at the same commit', async () => {
    hub.faults.dropAfter.set(WEIGHTS, [50_000, 0, 0, 0]);
    const error = await refusal(load());
    expect(error).toMatchObject({ code: 'download_interrupted' });
    expect(error.message).toContain('50,000');
    expect(await cachedModels(store)).toMatchObject([{ id: CHAT, complete: false }]);

    hub.reset();
    store = diskStore();
    const seen: LoadProgress[] = [];
    const { model } = await load(source(), { onProgress: (p) => seen.push(p) });
    expect(sentOf(WEIGHTS)).toEqual([[50_000, weightsSize]]);
    expect(hub.requests.filter((r) => r.includes('/api/models'))).toEqual([]);
    expect(seen[0]?.loadedBytes).toBeGreaterThan(50_000);
    const disk = await readModelFolder(fixtureFolder('chat'));
    for (const name of disk.weights.names) {
      expect((await model.weights.readRaw(name)).bytes).toEqual((await disk.weights.readRaw(name)).bytes);
    }
  });

  test('to a server without ranges starts the file over', async () => {
    hub.faults.dropAfter.set(WEIGHTS, [40_000]);
    hub.faults.ignoreRanges = true;
    const { model } = await load();
    expect(sentOf(WEIGHTS)).toEqual([
      [0, 40_000],
      [0, weightsSize],
    ]);
    expect(model.weights.parameters).toBeGreaterThan(0);
  });

  test('without ending counts as broken after a while', async () => {
    hub.faults.hangAfter.set(WEIGHTS, 60_000);
    await load(source(), { stallMs: 100 });
    expect(sentOf(WEIGHTS)).toEqual([
      [0, 60_000],
      [60_000, weightsSize],
    ]);
  });

  test('and never gives a byte ends in its sentence', async () => {
    hub.faults.hangAfter.set(WEIGHTS, 0);
    expect((await refusal(load(source(), { stallMs: 100 }))).code).toBe('download_interrupted');
  });

  test('before the first answer is reported as an unreachable hub', async () => {
    const gone = await new FakeHub().start();
    await gone.stop();
    const error = await refusal(load({ ...source(), endpoint: gone.address }));
    expect(error).toMatchObject({ code: 'hub_unreachable' });
    expect(error.message).toContain(gone.address);
  });
});

describe('a file that is not what the hub declares', () => {
  test.each([
    ['weights', CHAT, WEIGHTS],
    ['a shard', SHARDED, SECOND],
    ['the tokenizer', CHAT, 'tokenizer.json'],
  ])('%s with one wrong bit is removed, reported, and downloaded again', async (_, id, file) => {
    hub.faults.corrupt.add(file);
    const error = await refusal(load(source(id)));
    expect(error).toMatchObject({ code: 'hub_corrupt_file', where: file });
    const [kept] = await store.folders();
    expect((await store.files(kept ?? '')).has(file)).toBe(false);
    hub.reset();
    await load(source(id));
    expect(sentOf(file)).toHaveLength(1);
  });

  test.each([CHAT, SHARDED])('%s: a file that is too short is removed and reported', async (id) => {
    const file = id === CHAT ? WEIGHTS : SECOND;
    hub.faults.shorten.set(file, 1000);
    const error = await refusal(load(source(id)));
    expect(error).toMatchObject({ code: 'hub_wrong_length', where: file });
    const [kept] = await store.folders();
    expect((await store.files(kept ?? '')).has(file)).toBe(false);
  });

  test('shows in the range of a resumed download too', async () => {
    hub.faults.dropAfter.set(WEIGHTS, [50_000]);
    hub.faults.shorten.set(WEIGHTS, 1000);
    expect((await refusal(load())).code).toBe('hub_wrong_length');
  });

  test('shows by its header when the hub has no checksums', async () => {
    hub.faults.noChecksums = true;
    const broken = Buffer.from(chat.files.get(WEIGHTS) as Buffer);
    broken.fill(0x20, 8, 200);
    hub.models.set(CHAT, { files: new Map(chat.files).set(WEIGHTS, broken) });
    expect(await refusal(load())).toMatchObject({ code: 'hub_corrupt_file', where: WEIGHTS });
    hub.models.set(CHAT, chat);
    await load();
  });
});

describe('a hub that refuses', () => {
  test.each([
    [401, 'GatedRepo', true, 'hub_gated', 'terms'],
    [403, 'GatedRepo', true, 'hub_gated', 'terms'],
    [401, undefined, false, 'hub_not_public', CHAT],
    [403, undefined, true, 'hub_forbidden', CHAT],
    [404, 'RepoNotFound', false, 'hub_not_found', CHAT],
    [404, 'EntryNotFound', true, 'hub_file_gone', CHAT],
    [429, undefined, false, 'hub_too_many_requests', 'too many'],
    [503, undefined, true, 'hub_failed', '503'],
  ])('%s %s (files only: %s) is %s', async (status, code, filesOnly, expected, word) => {
    hub.faults.refuse = { status, filesOnly, ...(code ? { code } : {}) };
    const error = await refusal(load());
    expect(error.code).toBe(expected);
    expect(error.message).toContain(word);
    expect(error.where).toContain(hub.address);
    // Nothing that would be in the way of the next attempt.
    expect(await store.folders()).toEqual([]);
  });

  test('names a version that is not there, and a model that is not', async () => {
    expect((await refusal(load(source(`${CHAT}@v9`)))).code).toBe('hub_revision_not_found');
    expect((await refusal(load(source('school/nothing')))).code).toBe('hub_not_found');
  });

  test('or is none at all', async () => {
    const error = await refusal(
      load({ ...source(), endpoint: `${hub.address}/${CHAT}/resolve/main/README.md?` }),
    );
    expect(['hub_bad_answer', 'hub_not_found', 'hub_file_gone']).toContain(error.code);
    expect((await refusal(load({ ...source(), endpoint: 'classroom' }))).code).toBe('hub_bad_endpoint');
    for (const id of ['', 'a/b/c', '../x', 'a b', 'datasets/a/b']) {
      expect((await refusal(load(source(id)))).code).toBe('hub_bad_id');
    }
  });
});

describe('a repository that cannot work is refused before it is downloaded', () => {
  const without = (...files: string[]) => {
    const left = new Map([...chat.files].filter(([f]) => !files.includes(f)));
    hub.models.set(CHAT, { files: left });
    return left;
  };
  const expectRefused = async (code: string, word: string) => {
    const error = await refusal(load());
    expect(error.code).toBe(code);
    expect(error.message).toContain(word);
    expect(hub.sent).toEqual([]);
    expect(await store.folders()).toEqual([]);
  };

  test('only .bin', async () => {
    without(WEIGHTS);
    await expectRefused('weights_not_safetensors', 'pytorch_model.bin');
  });
  test('no tokenizer', async () => {
    without('tokenizer.json');
    await expectRefused('hub_no_tokenizer', 'tokenizer.json');
  });
  test('no config', async () => {
    without('config.json');
    await expectRefused('hub_not_a_model', 'config.json');
  });
  test('an adapter', async () => {
    without('config.json').set('adapter_config.json', Buffer.from('{}'));
    await expectRefused('hub_only_adapter', 'adapter');
  });
  test('more than the browser has room for', async () => {
    store = diskStore(weightsSize - 1);
    await expectRefused('storage_too_small', 'MB');
  });
  test('of an unknown architecture only the config is downloaded', async () => {
    hub.models.set(CHAT, {
      files: new Map(chat.files).set(
        'config.json',
        Buffer.from(JSON.stringify({ model_type: 'mamba', architectures: ['MambaForCausalLM'] })),
      ),
    });
    expect((await refusal(load())).code).toBe('unsupported_architecture');
    expect(hub.sent.map((s) => s.file)).toEqual(['config.json']);
    expect(await store.folders()).toEqual([]);
  });
});

describe('through the session', () => {
  test('a model is loaded, a download is stopped and resumed, all in memory where there is no storage', async () => {
    const session = new EngineSession(() => {});
    await session.start({ backend: 'cpu', wasmPath: '' });
    hub.pieceMs = 15;
    hub.pieceBytes = 8000;
    const stopped = refusal(
      session.loadModel(source(), (p) => {
        if (p.file === WEIGHTS && p.loadedBytes > 40_000) void session.cancelLoad();
      }),
    );
    expect((await stopped).code).toBe('load_cancelled');
    const [partial] = await session.cachedModels();
    expect(partial).toMatchObject({ id: CHAT, complete: false });

    const [first] = sentOf(WEIGHTS);
    hub.pieceMs = 0;
    const info = await session.loadModel(source(), () => {});
    expect(info).toMatchObject({ id: CHAT, commit: COMMIT, chatTemplate: 'own' });
    const second = sentOf(WEIGHTS)[1];
    expect(second?.[0]).toBeGreaterThan(0);
    expect(second?.[0]).toBeLessThanOrEqual(first?.[1] ?? 0);
    const [whole] = await session.cachedModels();
    expect(whole).toMatchObject({ complete: true });
    expect((await session.inspectHub(source())).lasting).toBe(false);

    // The version goes into the record of a run, and into what it leaves behind.
    const h = { ...defaultHyperparameters(), num_train_epochs: 1 };
    const text = ['grass', 'coal', 'snow', 'a rose', 'the sea', 'milk']
      .map((thing) => JSON.stringify({ instruction: `What colour is ${thing}?`, output: `Ask ${thing}.` }))
      .join('\n');
    await session.readData({ kind: 'text', name: 'rows.jsonl', text }, h);
    const configs: RunConfig[] = [];
    const { config } = await session.train(
      h,
      () => {},
      (c) => configs.push(c),
    );
    for (const c of [...configs, config]) expect(c).toMatchObject({ modelId: CHAT, modelCommit: COMMIT });
    const zip = unzipSync(new Uint8Array(await (await exported(session)).arrayBuffer()));
    const written = Object.entries(zip).find(([name]) => name.endsWith('adapter_config.json'))?.[1];
    expect(JSON.parse(new TextDecoder().decode(written)).revision).toBe(COMMIT);
    await session.deleteCachedModel(whole?.key ?? '');
    expect(await session.cachedModels()).toEqual([]);
  });

  test('the memory store keeps what is appended from a byte on', async () => {
    const memory = memoryStore();
    for (const [at, text] of [
      [0, 'hello'],
      [2, 'y you'],
    ] as const) {
      const out = await memory.append('a', 'b', at);
      await out.write(new TextEncoder().encode(text));
      await out.close();
    }
    expect(await (await memory.read('a', 'b'))?.text()).toBe('hey you');
    expect(await memory.files('a')).toEqual(new Map([['b', 7]]));
    await memory.remove('a', 'b');
    expect(await memory.read('a', 'b')).toBeNull();
  });
});
