// A mirror of hub models and a classroom folder, made by their command from a hub on this machine, served, and read as the page reads a hub.
// Not here: the hub's own faults (hub.test.ts), the built page (staticBuild.test.ts, e2e/offline.spec.ts).

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readModelFolder } from '../src/formats/huggingface';
import { mirroredModels, mirrorModel } from '../src/launch/mirror.mjs';
import { house } from '../src/launch/prerequisites.mjs';
import { digestsOf } from '../src/launch/staticFiles.mjs';
import { inspectHub, readFromHub } from '../src/worker/hub';
import { memoryStore } from '../src/worker/storage';
import { COMMIT, FakeHub, fixtureModel } from './fakeHub';

const CHAT = 'school/tiny-chat';
const scratch = mkdtempSync(path.join(tmpdir(), 'playground-classroom-'));
const hub = new FakeHub();
hub.models.set(CHAT, fixtureModel('chat'));
beforeAll(() => hub.start());
afterAll(async () => {
  await hub.stop();
  rmSync(scratch, { recursive: true, force: true });
});

const command = (...args: string[]) =>
  new Promise<{ code: number; out: string }>((resolve) => {
    const { VITEST: _, NODE_ENV: __, ...env } = process.env;
    const file = path.join(house, 'src/launch/classroom.mjs');
    execFile(process.execPath, [file, ...args, '--hub', hub.address], { env }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out: out + err }),
    );
  });

describe('a mirror', () => {
  it('has what the page reads, compared with the hub’s checksums, and no other program’s weights', async () => {
    const folder = path.join(scratch, 'mirror');
    const { commit } = await mirrorModel(CHAT, folder, { hub: hub.address });
    expect(commit).toBe(COMMIT);
    const kept = path.join(folder, CHAT, 'resolve', COMMIT);
    expect(readFileSync(path.join(kept, 'model.safetensors'))).toEqual(
      hub.models.get(CHAT)?.files.get('model.safetensors'),
    );
    expect(existsSync(path.join(kept, 'pytorch_model.bin'))).toBe(false);
    // Once more: nothing is fetched again but the listing.
    hub.reset();
    writeFileSync(path.join(kept, 'config.json'), '{}');
    await mirrorModel(CHAT, folder, { hub: hub.address });
    expect(hub.requests.filter((r) => r.includes('/resolve/'))).toEqual([
      expect.stringContaining('config.json'),
    ]);
  });

  it('offers no model of which a file is not what the hub says', async () => {
    const folder = path.join(scratch, 'broken');
    hub.faults.corrupt.add('model.safetensors');
    await expect(mirrorModel(CHAT, folder, { hub: hub.address })).rejects.toThrow(
      /did not arrive as the hub says/,
    );
    expect(mirroredModels(folder)).toEqual([]);
    hub.reset();
    await mirrorModel(CHAT, folder, { hub: hub.address });
    expect(mirroredModels(folder).map(({ id }) => id)).toEqual([CHAT]);
  });

  it.each(['../up', 'a/b/c', 'org/..', 'nobody'])('refuses the id %s', async (id) => {
    await expect(mirrorModel(id, scratch, { hub: hub.address })).rejects.toThrow(/is not the id of a model/);
  });

  it('says what the hub answers', async () => {
    await expect(mirrorModel('school/none', scratch, { hub: hub.address })).rejects.toThrow(
      /answers 404 for school\/none[\s\S]*Check the id/,
    );
  });
});

describe('a classroom folder', { timeout: 240_000 }, () => {
  const folder = path.join(scratch, 'stick');
  let server: Server;
  let address = '';

  beforeAll(async () => {
    const { code, out } = await command(folder, CHAT, '--port', '8123');
    expect(code, out).toBe(0);
    // As on the stick: from the copies in the folder.
    const { classroomServer } = (await import(
      /* @vite-ignore */ pathToFileURL(path.join(folder, 'serve.mjs')).href
    )) as { classroomServer: (root: string) => Server };
    server = classroomServer(folder);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }, 240_000);
  afterAll(() => void server?.close());

  it('holds the page with its policies, and a service worker that knows each of its files', async () => {
    const page = await fetch(`${address}/`);
    expect(page.url).toBe(`${address}/playground/`);
    expect(page.headers.get('cross-origin-embedder-policy')).toBe('require-corp');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    const digests = digestsOf(path.join(folder, 'playground'));
    expect(Object.keys(digests)).toContain('models/pebble-1m/model.safetensors');
    const worker = await (await fetch(`${address}/playground/sw.js`)).text();
    for (const [name, digest] of Object.entries(digests)) expect(worker).toContain(`"${name}": "${digest}"`);
    const list = (await (await fetch(`${address}/playground/hub-models.json`)).json()) as {
      endpoint: string;
      models: { id: string; contextLength: number }[];
    };
    expect(list.endpoint).toBe('http://localhost:8123/mirror');
    expect(list.models.map(({ id }) => id)).toEqual([CHAT]);
  });

  it('gives the page the model as a hub does', async () => {
    const source = { kind: 'hub', id: CHAT, endpoint: `${address}/mirror` } as const;
    const options = { store: memoryStore(), signal: new AbortController().signal };
    expect(await inspectHub(source, options)).toMatchObject({ commit: COMMIT, parameters: 12_345 });
    const files = await readFromHub(source, { ...options, onProgress: () => {} }, readModelFolder);
    expect(files.weights.totalBytes).toBeGreaterThan(10_000);
    const part = await fetch(`${address}/mirror/${CHAT}/resolve/${COMMIT}/config.json`, {
      headers: { Range: 'bytes=5-' },
    });
    expect([part.status, (await part.text()).length]).toEqual([
      206,
      (hub.models.get(CHAT)?.files.get('config.json')?.length ?? 0) - 5,
    ]);
  });

  it('serves nothing beside the page and the mirror', async () => {
    for (const name of [
      'serve.mjs',
      'README.txt',
      'playground/../serve.mjs',
      'playground/%2e%2e/serve.mjs',
      '%E0%A4%A',
    ])
      expect((await fetch(`${address}/${name}`)).status, name).toBe(404);
  });

  it('is not made in a folder of something else', async () => {
    writeFileSync(path.join(scratch, 'letter.txt'), 'x');
    const { code, out } = await command(scratch);
    expect([code, out]).toEqual([1, expect.stringMatching(/holds .*letter\.txt[\s\S]*Give a new folder/)]);
  });
});
