// llama.cpp, through node-llama-cpp, as a program: reads jobs as JSON from standard input and prints what it computes.
// Not here: what our engine computes of the same, and the comparison (llamaReads.interop.ts).
//
// A job: { model, adapter?, texts?, prompts?, tokens } – files; texts to tokenise (special tokens are text); prompts as ids; the answer's length.
// An answer, one JSON object a line: { ids: [[…]], answers: [[…]], ends: [ids that ended a generation] }.
// node-llama-cpp lies in the folder that LLAMA names (`npm install node-llama-cpp@3.21.1` in it).

import path from 'node:path';
import { pathToFileURL } from 'node:url';

const entry = path.join(process.env.LLAMA ?? '', 'node_modules/node-llama-cpp/dist/index.js');
const { getLlama } = await import(pathToFileURL(entry).href);
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: 1 });

/** @param {{ model: string, adapter?: string, texts?: string[], prompts?: number[][], tokens?: number }} job */
async function run({ model: modelPath, adapter, texts = [], prompts = [], tokens = 16 }) {
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  const context = await model.createContext({
    contextSize: 256,
    threads: 1,
    ...(adapter && { lora: { adapters: [{ filePath: adapter, scale: 1 }] } }),
  });
  const sequence = context.getSequence();
  const answers = [];
  const ends = new Set();
  for (const prompt of prompts) {
    await sequence.clearHistory();
    const answer = [];
    for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      if (model.isEogToken(token)) {
        ends.add(token);
        break;
      }
      answer.push(token);
      if (answer.length >= tokens) break;
    }
    answers.push(answer);
  }
  const ids = texts.map((text) => [...model.tokenize(text, false)]);
  await context.dispose();
  await model.dispose();
  return { ids, answers, ends: [...ends] };
}

let input = '';
for await (const chunk of process.stdin) input += chunk;
for (const job of JSON.parse(input)) process.stdout.write(`${JSON.stringify(await run(job))}\n`);
process.exit(0);
