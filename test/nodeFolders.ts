// Model folders on this machine's disk, for tests in Node.
// Not here: reading them (src/formats/huggingface.ts).

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModelFolder } from '../src/formats/huggingface';

const fixtures = fileURLToPath(new URL('./fixtures/engine/', import.meta.url));

export function diskFolder(root: string): ModelFolder {
  return {
    list: () => readdirSync(root),
    has: (file) => existsSync(path.join(root, file)),
    open: async (file) => new Blob([readFileSync(path.join(root, file))]),
  };
}

export function fixtureFolder(name: string): ModelFolder {
  return diskFolder(path.join(fixtures, name));
}
