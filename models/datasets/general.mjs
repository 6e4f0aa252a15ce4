// Makes the general probe of the page from the questions of the evaluation: `node models/datasets/general.mjs [another folder]`.
// Not here: the questions (../eval/general_probe.jsonl), the general rows that are mixed in (general_rows.py).

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { row, toJsonl } from './seeded.mjs';

const SOURCE = fileURLToPath(new URL('../eval/general_probe.jsonl', import.meta.url));

/** Passages of the probe, and as many prompts have an answer: measured before and after, they take about a twentieth of a small run. */
const PASSAGES = 16;
/** So far apart are prompts that follow each other: those beside each other in the source are of one kind. */
const STRIDE = 4;

/** The first passages as texts, and the prompts that have an `answer` as conversations; in turn, so that any beginning has all kinds. */
export function generalProbe() {
  const all = readFileSync(SOURCE, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const passages = all.filter(({ text }) => text !== undefined).slice(0, PASSAGES);
  const answered = all.filter(({ answer }) => answer !== undefined);
  const prompts = Array.from({ length: STRIDE }, (_, first) =>
    answered.filter((_row, i) => i % STRIDE === first),
  ).flat();
  return prompts.flatMap(({ prompt, answer }, i) => [
    row(prompt, answer),
    ...(passages[i] ? [{ text: passages[i].text }] : []),
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? fileURLToPath(new URL('../../public/general', import.meta.url));
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'probe.jsonl'), toJsonl(generalProbe()));
}
