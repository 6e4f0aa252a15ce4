// What tests of a whole run start from: the wasm backend, the tiny chat model with its rows, a session that has opened both, and a clock that is counted.
// Not here: the PyTorch fixtures of the engine alone (engineFixtures.ts), stores that fail (runDisk.ts).

import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { onTestFinished, vi } from 'vitest';
import { startDevice } from '../src/engine/device/device';
import type { ExportCalls, ExportTarget } from '../src/exportContract';
import { plainFormat } from '../src/exportFormats';
import type { Hyperparameters } from '../src/hyperparameters';
import type { ModelSource } from '../src/modelContract';
import { loadWeights, openModel } from '../src/session/model';
import type { Platform } from '../src/session/platform';
import type { EngineSession } from '../src/worker/session';
import { diskFolder } from './nodeFolders';

const WASM = `${path.resolve('node_modules/@tensorflow/tfjs-backend-wasm/dist')}/`;
/** A folder of the tiny model that knows a chat template. */
export const CHAT = path.resolve('test/fixtures/engine/chat');
/** Its 12 chat rows, as JSON lines. */
export const chatRows = readFileSync(path.join(CHAT, 'rows.jsonl'), 'utf8');

/** A platform that keeps nothing, with the files that are shipped with the program. */
export const barePlatform: Platform = {
  appVersion: '0',
  threads: null,
  records: { notLasting: async () => null, read: async () => null, write: async () => {} },
  shippedText: (file) => readFile(path.resolve('public', file), 'utf8'),
  yieldToEvents: () => new Promise((resolve) => setImmediate(resolve)),
};

/** Every file of a folder, as the page hands over a model of one's own. */
export const modelFolder = (folder = CHAT, id = path.basename(folder)): ModelSource => ({
  kind: 'files',
  id,
  files: readdirSync(folder).map((file) => ({
    path: file,
    file: new Blob([readFileSync(path.join(folder, file))]),
  })),
});

/** Starts the wasm backend; a lost device or an error of the GPU fails the test. */
export function startWasm() {
  const fail = (error: Error) => {
    throw error;
  };
  return startDevice({ requested: 'wasm', wasmPath: WASM, onLost: fail, onError: fail });
}

/** The wasm backend and a model of a folder with its weights, without a session around them. */
export async function openBase(folder = CHAT) {
  const device = await startWasm();
  return {
    device,
    base: await loadWeights(await openModel(diskFolder(folder)), { id: path.basename(folder) }),
  };
}

/** The wasm backend, a model and, where settings are given, rows, in a session. */
export async function openIn(
  session: EngineSession,
  settings: Hyperparameters | null = null,
  { model = modelFolder(), text = chatRows } = {},
): Promise<void> {
  await session.start({ backend: 'wasm', wasmPath: WASM });
  await session.loadModel(model, () => {});
  if (settings) await session.readData({ kind: 'text', name: 'rows.jsonl', text }, settings);
}

/** What was trained as the page downloads it where nothing else was asked for: an adapter, or the whole model. */
export async function exported(
  session: ExportCalls,
  target: ExportTarget = { of: 'answering' },
): Promise<Blob> {
  const options = await session.exportOptions(target);
  const adapter = options.some(({ format, blocked }) => format === 'adapter' && blocked === null);
  return (await session.exportWeights(target, { format: plainFormat(adapter) }, () => {})).file;
}

/**
 * Lets the clock of the current test run ahead by 20 ms with each look at it.
 *
 * A run reports at most ten times a second and keeps up to 60 ms of updates under way, so on a fast machine it would end before a report that a test
 * acts on. So an update takes 100 ms or more: each is reported and one is under way, whatever the machine.
 * @returns ends it: from then on the clock goes as fast as it does, without going back
 */
export function hastenClock(): () => void {
  const real = performance.now.bind(performance);
  let tick = 20;
  let ahead = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
    ahead += tick;
    return real() + ahead;
  });
  onTestFinished(() => clock.mockRestore());
  return () => {
    tick = 0;
  };
}
