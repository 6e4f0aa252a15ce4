// The Python in the README.md of an exported folder, run in that folder as it stands: its greedy answer is the one that we give.
// Not here: losses and logits of every method (peftReads.interop.ts), what is in a folder (../artifacts.test.ts).

import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { startDevice } from '../../src/engine/device/device';
import { learnedFiles } from '../../src/engine/model/artifacts';
import { BASE_FOLDER, BASE_PATH } from '../../src/formats/modelCard';
import { house } from '../../src/launch/prerequisites.mjs';
import { loadWeights, openAdapter, openModel } from '../../src/session/model';
import { readRunRecord } from '../../src/session/results';
import { diskFolder } from '../nodeFolders';
import { nodeWasmPath } from '../setup-node-webgpu';
import { python, scratchFolder, writeFolder } from './python';

const place = scratchFolder();
const CHAT = path.join(house, 'test/fixtures/engine/chat');
const PEBBLE = path.join(house, 'models/pebble-1m');

/** The questions that the small model knows, with other answers. */
const rows = place('rows.jsonl');
writeFileSync(
  rows,
  readFileSync(path.join(CHAT, 'rows.jsonl'), 'utf8').replace(
    /It is (\w+)\./g,
    (_, colour: string) => `Ha! ${colour.toUpperCase()}, what else?`,
  ),
);

/** The command line. @returns what it wrote to standard output */
function cli(...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [path.join(house, 'src/cli/cli.mjs'), ...args]);
    let out = '';
    let err = '';
    child.stdout.on('data', (bytes) => {
      out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      err += bytes;
    });
    child.on('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`${code}: ${err}`))));
  });
}

const train = (model: string, out: string, ...more: string[]) =>
  cli('train', '--model', model, '--data', rows, '--out', out, '--num_train_epochs', '6', ...more);

const PROMPT = 'Hello!';
const ask = (model: string, ...more: string[]) =>
  cli('generate', '--model', model, '--prompt', PROMPT, '--max_new_tokens', '100', ...more);

/** Runs the one Python block of the folder's README.md, in the folder. @returns what it printed */
async function runReadme(folder: string, environment: Record<string, string> = {}): Promise<string> {
  const readme = readFileSync(path.join(folder, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/```python\n([\s\S]*?)```/g)].map((match) => match[1] as string);
  expect(blocks).toHaveLength(1);
  expect(blocks[0]).toContain(JSON.stringify(PROMPT));
  const { out } = await python(['-c', blocks[0] as string], { cwd: folder, environment });
  return out;
}

describe('the Python in README.md', () => {
  it.each([
    ['LoRA', CHAT, []],
    ['rsLoRA on attention', CHAT, ['--use_rslora', '--target_modules', 'attention']],
    ['DoRA on the shipped model', PEBBLE, ['--use_dora']],
  ])('of an adapter runs in its folder and gives our answer: %s', async (name, model, settings) => {
    const out = place(name);
    await train(model, out, ...settings);
    const ours = await ask(model, '--adapter', out);
    expect(ours).not.toBe(await ask(model));
    expect(await runReadme(out)).toBe(ours);
    // The base model that went along is the base model.
    expect(await ask(path.join(out, BASE_FOLDER), '--adapter', out)).toBe(ours);
  });

  it.each([
    ['full fine-tuning', ['--method', 'full']],
    ['last layers', ['--method', 'last_layers', '--trainable_layers', '1']],
  ])('of a whole model runs in its folder and gives our answer: %s', async (name, settings) => {
    const out = place(name);
    await train(CHAT, out, ...settings);
    expect(await runReadme(out)).toBe(await ask(out));
  });

  it('of a merged adapter runs in its folder and gives the adapter’s answer', async () => {
    const adapter = place('to merge');
    const out = place('merged');
    await train(CHAT, adapter);
    await cli('export', '--model', CHAT, '--adapter', adapter, '--out', out);
    expect(await runReadme(out)).toBe(await ask(CHAT, '--adapter', adapter));
  });

  it('of an adapter of a hub model takes that version from the hub; of a large one from where it says', async () => {
    const trained = place('trained');
    await train(CHAT, trained);
    const ours = await ask(CHAT, '--adapter', trained);
    const fail = (error: Error) => {
      throw error;
    };
    await startDevice({ requested: 'wasm', wasmPath: nodeWasmPath, onLost: fail, onError: () => {} });
    const base = await loadWeights(await openModel(diskFolder(CHAT)), { id: 'chat' });
    const { learner } = await openAdapter(diskFolder(trained), base);
    const { config } = readRunRecord(readFileSync(path.join(trained, 'run.json'), 'utf8'));

    const commit = '0123456789abcdef0123456789abcdef01234567';
    const onHub = { ...base, id: 'someone/small-chat', commit };
    writeFolder(place('hub'), await learnedFiles(onHub, learner, config, []));
    // What a download leaves in the cache of huggingface_hub.
    const cached = place('cache', 'models--someone--small-chat', 'snapshots', commit);
    mkdirSync(cached, { recursive: true });
    cpSync(CHAT, cached, { recursive: true });
    expect(await runReadme(place('hub'), { HF_HUB_CACHE: place('cache') })).toBe(ours);

    const weights = { ...base.files.weights, totalBytes: 1e9 };
    const large = { ...base, files: { ...base.files, weights } };
    writeFolder(place('large'), await learnedFiles(large, learner, config, []));
    await expect(runReadme(place('large'))).rejects.toThrow(BASE_PATH);
    // “First put the folder of the base model, chat, into this folder and call it `base_model`.”
    cpSync(CHAT, place('large', BASE_FOLDER), { recursive: true });
    expect(await runReadme(place('large'))).toBe(ours);
  });
});
