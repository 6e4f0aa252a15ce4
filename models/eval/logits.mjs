// Logits of the engine that the page uses (here on wasm), and what `generate` of the command line says, for same_as_transformers.py to compare.
// Not here: the comparison.
//
// usage: node models/eval/logits.mjs MODEL_DIR OUT_FILE < prompts.json      prints JSON: ids and text a prompt; OUT_FILE gets the logits, f32

import { rmSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { bundle, house, run } from './commandLine.mjs';

const ENTRY = `
import * as tf from '@tensorflow/tfjs-core';
import { nodePlatform } from '${house}/src/cli/platform.ts';
import { openWorkbench } from '${house}/src/cli/workbench.ts';
import { encodePrompt } from '${house}/src/data/tokens/chat.ts';
import { linearForward } from '${house}/src/engine/kernels/index.ts';

/** Ids of each prompt through the chat template, and the logits after each of its tokens. */
export async function read(folder, prompts) {
  const { model, chat } = await openWorkbench(folder, 'wasm', nodePlatform('evaluation', '${house}'), () => {});
  return prompts.map((content) => {
    const ids = encodePrompt(chat, [{ role: 'user', content }]);
    const logits = tf.tidy(() => {
      const pass = { weights: model.weights, learner: null, tape: null, noise: null };
      const hidden = model.forward(pass, tf.tensor1d(ids, 'int32'), { batch: 1, time: ids.length, checkpointing: false });
      return linearForward(hidden.tensor, model.head(pass).tensor, null, 'out_in').dataSync();
    });
    return { ids, logits };
  });
}`;

const [folder, out] = process.argv.slice(2);
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const prompts = JSON.parse(Buffer.concat(chunks).toString());

const engine = await bundle(ENTRY);
const { read } = await import(pathToFileURL(engine).href);
const results = await read(folder, prompts);
rmSync(engine);
writeFileSync(
  out,
  Buffer.concat(
    results.map(({ logits }) => Buffer.from(logits.buffer, logits.byteOffset, logits.byteLength)),
  ),
);

const cli = await bundle();
const texts = [];
for (const prompt of prompts) {
  const said = await run(cli, [
    'generate',
    '--model',
    folder,
    `--prompt=${prompt}`,
    '--max_new_tokens',
    '64',
    '--json',
  ]);
  texts.push(JSON.parse(said).text);
}
rmSync(cli);
console.log(JSON.stringify(results.map(({ ids }, i) => ({ ids, text: texts[i] }))));
process.exit(0);
