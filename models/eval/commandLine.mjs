// The command line of this project as functions: bundled once, each call in a process of its own.
// Not here: what is run (measure-datasets.mjs, logits.mjs, talk.mjs).
//
// Started with arguments it is that process: `node commandLine.mjs BUNDLE HOUSE`, what to do as JSON on standard input.

import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const self = fileURLToPath(import.meta.url);
export const house = path.resolve(path.dirname(self), '../..');

/** The command line, and its `generate` for conversations: the command itself takes one turn. */
const ENTRY = `
import { diskFolder } from '${house}/src/cli/disk.ts';
import { nodePlatform } from '${house}/src/cli/platform.ts';
import { openWorkbench } from '${house}/src/cli/workbench.ts';
import { answer as answerOne } from '${house}/src/session/answer.ts';
import { openAdapter } from '${house}/src/session/model.ts';
export * from '${house}/src/cli/main.ts';

export async function answer({ model: folder, adapter, conversations, longest }) {
  const platform = nodePlatform('evaluation', '${house}');
  const workbench = await openWorkbench(folder, 'wasm', platform, () => {});
  const opened = adapter === undefined ? null : await openAdapter(diskFolder(adapter), workbench);
  const learner = opened?.learner ?? null;
  const settings = { do_sample: false, temperature: 1, top_k: 0, top_p: 1, seed: 0, max_new_tokens: longest };
  const answers = [];
  for (const messages of conversations) {
    const { text, stoppedBy } = await answerOne(workbench, learner, messages, settings, platform, { onText: () => {} });
    answers.push({ said: text, ended: stoppedBy === 'end_token' });
  }
  return answers;
}`;

/**
 * Bundles the command line (or a module of the given text) as the source is now; what is changed in it later does not change this run.
 * @returns the bundled file, for the caller to delete
 */
export async function bundle(text = ENTRY) {
  const { build } = await import('vite');
  const built = await build({
    configFile: false,
    root: house,
    publicDir: false,
    logLevel: 'warn',
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === 'entry' ? '\0entry' : null),
        load: (id) => (id === '\0entry' ? text : null),
      },
    ],
    build: {
      ssr: true,
      write: false,
      target: 'node20',
      rolldownOptions: { input: 'entry', output: { codeSplitting: false } },
    },
  });
  const folder = path.join(house, 'node_modules/.cache/finetune-playground');
  const file = path.join(folder, `measure.${process.pid}.${Date.now()}.mjs`);
  await mkdir(folder, { recursive: true });
  await writeFile(file, built.output[0].code);
  return file;
}

/** One process with something to do; resolves to what it printed. */
function child(cli, work) {
  return new Promise((resolve, reject) => {
    const started = spawn(process.execPath, [self, cli, house], { stdio: ['pipe', 'pipe', 'pipe'] });
    let [out, said] = ['', ''];
    started.stdout.on('data', (chunk) => {
      out += chunk;
    });
    started.stderr.on('data', (chunk) => {
      said += chunk;
    });
    started.on('error', reject);
    started.on('close', (code) => (code === 0 ? resolve(out) : reject(new Error(said.slice(-2000)))));
    started.stdin.end(JSON.stringify(work));
  });
}

/**
 * Runs one command line.
 * @param {string} cli what `bundle` made
 * @param {string[]} line
 * @returns {Promise<string>} what it printed
 * @throws when it fails; the message is what it said
 */
export const run = (cli, line) => child(cli, { line });

/**
 * Greedy answers to conversations that end with a user's turn.
 * @param {string} cli what `bundle` made
 * @param {{ model: string, adapter?: string }} folders
 * @param {{ role: string, content: string }[][]} conversations
 * @returns {Promise<{ said: string, ended: boolean }[]>}
 */
export const answers = async (cli, folders, conversations, longest = 64) =>
  JSON.parse(await child(cli, { ask: { ...folders, conversations, longest } }));

const [file, root] = process.argv.slice(2);
if (process.argv[1] === self && file !== undefined) {
  const { answer, main } = await import(pathToFileURL(file).href);
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const { line, ask } = JSON.parse(Buffer.concat(chunks).toString());
  const code = line ? await main(line, root) : 0;
  if (ask) process.stdout.write(JSON.stringify(await answer(ask)));
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}
