// The examples of CONTRIBUTING.md, taken from the file and carried out: a row format, a model family, a kernel, a lesson.
// Not here: the tests that the real ones have (rowFormats.test.ts, formats.test.ts, kernels.wasm.test.ts, datasets.test.ts).

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readDataFile } from '../src/data/dataFile';
import { ROW_FORMATS, type RowFormatEntry } from '../src/data/reading/rowFormats';
import { startDevice } from '../src/engine/device/device';
import { kernelChecks } from '../src/engine/device/kernelChecks';
import { selfTest } from '../src/engine/device/selfTest';
import { chooseKernels, type Kernels } from '../src/engine/kernels';
import { architectureFromConfig, FAMILIES } from '../src/formats/architecture';
import type { Family } from '../src/formats/families/family';
import { house } from '../src/launch/prerequisites.mjs';
import { nodeWasmPath } from './setup-node-webgpu';

const text = readFileSync(path.join(house, 'CONTRIBUTING.md'), 'utf8');

function block(name: string): string {
  const found = new RegExp(`<!-- example: ${name} -->\\n\`\`\`\\w+\\n([\\s\\S]*?)\n\`\`\``).exec(text)?.[1];
  if (found === undefined) throw new Error(`CONTRIBUTING.md has no example ${name}.`);
  return found;
}

/** The example as a module of the repository's root. */
async function moduleOf<T>(name: string): Promise<T> {
  const folder = path.join(house, 'node_modules', '.cache', 'finetune-playground', 'contributing');
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${name}.ts`);
  writeFileSync(file, block(name).replaceAll("from './src/", `from '${path.join(house, 'src')}/`));
  return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as T;
}

describe('an example of CONTRIBUTING.md', () => {
  it('adds a row format', async () => {
    const { format } = await moduleOf<{ format: RowFormatEntry }>('format');
    const rows = format.samples.map((sample) => JSON.stringify(sample)).join('\n');
    const errors = async () => {
      const { issues } = await readDataFile('rows.jsonl', rows);
      return issues.filter(({ severity }) => severity === 'error').length;
    };
    expect(await errors()).toBeGreaterThan(0);
    const list = ROW_FORMATS as unknown as RowFormatEntry[];
    list.unshift(format);
    try {
      expect(await errors()).toBe(0);
    } finally {
      list.shift();
    }
  });

  it('adds a model family', async () => {
    const { family } = await moduleOf<{ family: Family }>('family');
    const config = JSON.parse(
      readFileSync(path.join(house, 'test/fixtures/engine/llama-tied/config.json'), 'utf8'),
    ) as Record<string, unknown>;
    const own = { ...config, model_type: 'harbor', architectures: [family.className] };
    expect(() => architectureFromConfig(own)).toThrow();
    const families = FAMILIES as Record<string, Family>;
    families.harbor = family;
    try {
      expect(architectureFromConfig(own).qkvBias).toBe(true);
    } finally {
      delete families.harbor;
    }
  });

  it('adds a kernel', async () => {
    const { kernels } = await moduleOf<{ kernels: Partial<Kernels> }>('kernel');
    await startDevice({
      requested: 'wasm',
      wasmPath: nodeWasmPath,
      onLost: () => {},
      onError: () => {},
    });
    chooseKernels(kernels);
    try {
      expect((await selfTest(kernelChecks())).failure).toBeNull();
    } finally {
      chooseKernels({});
    }
  });

  it('adds a lesson', async () => {
    const { entry, rows } = JSON.parse(block('lesson')) as {
      entry: Record<string, unknown>;
      rows: unknown[];
    };
    const index = JSON.parse(readFileSync(path.join(house, 'public/datasets/index.json'), 'utf8')) as Record<
      string,
      unknown
    >[];
    // What every entry has, so the page may rely on it.
    const always = Object.keys(index[0] ?? {}).filter((key) => index.every((other) => key in other));
    expect(always.length).toBeGreaterThan(5);
    expect(Object.keys(entry)).toEqual(expect.arrayContaining(always));
    const read = await readDataFile(String(entry.file), rows.map((row) => JSON.stringify(row)).join('\n'));
    expect(read.issues.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(read.examples).toHaveLength(entry.rows as number);
  });
});
