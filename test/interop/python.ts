// The Python that the interop tests use, named by the environment variable PYTHON, and a place for files.
// Not here: what it runs (../fixtures/check_peft.py, ../fixtures/make_adapters.py).

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import type { OutFile } from '../../src/engine/model/weightFiles';

/** @throws Error without PYTHON: these tests are run on purpose, and never pass unseen. */
function pythonProgram(): string {
  const program = process.env.PYTHON;
  if (program) return program;
  throw new Error(
    'Set PYTHON to a Python that has torch, transformers, peft, trl, accelerate, datasets and tensorboard; see test/fixtures/check_peft.py.',
  );
}

export interface Finished {
  out: string;
  err: string;
}

/** Runs Python to its end, without a network. @throws Error with what it wrote when it fails */
export function python(
  args: readonly string[],
  { cwd, environment = {} }: { cwd?: string; environment?: Record<string, string> } = {},
): Promise<Finished> {
  const offline = { HF_HUB_OFFLINE: '1', TOKENIZERS_PARALLELISM: 'false', OMP_NUM_THREADS: '1' };
  return new Promise((resolve, reject) => {
    const child = spawn(pythonProgram(), args, {
      ...(cwd && { cwd }),
      env: { ...process.env, ...offline, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const finished = { out: '', err: '' };
    child.stdout.on('data', (bytes) => {
      finished.out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      finished.err += bytes;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(finished);
      else reject(new Error(`Python ended with ${code}:\n${finished.err}${finished.out}`));
    });
  });
}

export const script = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

export const jsonLines = <T>(text: string): T[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as T);

/** A folder that is gone after the tests of the file. */
export function scratchFolder(): (...parts: string[]) => string {
  const folder = mkdtempSync(path.join(tmpdir(), 'playground-interop-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (...parts) => path.join(folder, ...parts);
}

export function writeFolder(folder: string, files: readonly OutFile[]): void {
  for (const { path: name, bytes } of files) {
    const place = path.join(folder, name);
    mkdirSync(path.dirname(place), { recursive: true });
    writeFileSync(place, bytes as Uint8Array | string);
  }
}
