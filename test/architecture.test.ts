// Holds the rules of the house: who may import whom, what is never done, and how a file begins.
// Not here: the rules themselves (architecture.ts).

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { house } from '../src/launch/prerequisites.mjs';
import {
  importCycles,
  layerTable,
  longFunctions,
  type SourceFile,
  staleHeaders,
  violations,
} from './architecture';

/** Every file that people write, below these folders. */
function readTree(...folders: string[]): SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(path.join(house, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ts|mjs|svelte|css|html|py)$/.test(entry.name))
      // Installed, not written: the engines that the benchmark compares with.
      .filter((entry) => !entry.parentPath.split(path.sep).includes('node_modules'))
      .map((entry) => path.join(entry.parentPath, entry.name))
      .map((file) => ({
        path: path.relative(house, file).split(path.sep).join('/'),
        text: readFileSync(file, 'utf8'),
      })),
  );
}

const tree = readTree('src', 'test', 'e2e').filter(
  // The rules and the planted violations name what they forbid.
  ({ path: file }) => !/^test\/architecture(\.test)?\.ts$/.test(file) && !file.endsWith('.py'),
);

describe('the house', () => {
  test('keeps its rules', () => {
    const broken = violations(tree).map((v) => `${v.path}:${v.line} ${v.rule}: ${v.message}`);
    expect(broken).toEqual([]);
  });

  test('is all read: every room that exists has files here', () => {
    expect(tree.length).toBeGreaterThan(40);
    expect(tree.some(({ path: file }) => file.endsWith('.svelte'))).toBe(true);
    expect(tree.some(({ path: file }) => file.endsWith('.mjs'))).toBe(true);
  });

  test('names only files that exist in the headers of its files', () => {
    const exists = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
      cwd: house,
      encoding: 'utf8',
    });
    const stale = staleHeaders(tree, exists.trim().split('\n'));
    expect(stale.map(({ path: file, message }) => `${file}: ${message}`)).toEqual([]);
  });

  test('excuses no function from the length rule that needs no excuse', () => {
    for (const key of Object.keys(longFunctions)) {
      const [file = '', name = ''] = key.split(' ');
      const renamed = tree
        .filter((f) => f.path === file)
        .map((f) => ({ ...f, text: f.text.replaceAll(name, 'other') }));
      expect(violations(renamed).map((v) => v.rule)).toContain('function length');
    }
  });

  test('has no files that import each other in a circle', () => {
    expect(importCycles(tree)).toEqual([]);
  });

  test('draws its folders in src/README.md', () => {
    const map = readFileSync(path.join(house, 'src/README.md'), 'utf8');
    const [, drawn = ''] = /<!-- tree -->\n```\n([\s\S]*?)\n```\n<!-- \/tree -->/.exec(map) ?? [];
    const parents: string[] = [];
    const folders = drawn.split('\n').flatMap((line) => {
      const [, indent = '', name] = /^( *)([\w-]+)\/(?: |$)/.exec(line) ?? [];
      if (name === undefined) return [];
      parents.length = indent.length / 2;
      parents.push(name);
      return [parents.join('/')];
    });
    const existing = new Set<string>();
    for (const { path: file } of tree.filter((f) => f.path.startsWith('src/'))) {
      const parts = path.posix.dirname(file).split('/');
      for (let depth = 1; depth <= parts.length; depth++) existing.add(parts.slice(0, depth).join('/'));
    }
    // Folders of ops are not drawn.
    const isOp = (folder: string) => /^src\/engine\/kernels\/(?!(webgpu|wasm)$)/.test(folder);
    for (const folder of existing) if (isOp(folder)) existing.delete(folder);
    expect(folders.sort()).toEqual([...existing].sort());
  });

  test('prints its import table in src/README.md', () => {
    const map = readFileSync(path.join(house, 'src/README.md'), 'utf8');
    const [, printed] = /<!-- layers -->\n([\s\S]*?)\n<!-- \/layers -->/.exec(map) ?? [];
    expect(printed).toBe(layerTable());
  });
});

describe('src/README.md', () => {
  const map = readFileSync(path.join(house, 'src/README.md'), 'utf8');
  const places = [...map.matchAll(/`([\w./]+) : (\w+)`/g)].map(
    (match) => [match[1] ?? '', match[2] ?? ''] as const,
  );

  test.each([
    ...new Set([...map.matchAll(/`([\w./-]+\.(?:ts|mjs|svelte|md))(?: : \w+)?`/g)].map((m) => m[1] ?? '')),
  ])('names %s, which exists', (file) =>
    expect(['src', ''].some((folder) => existsSync(path.join(house, folder, file)))).toBe(true),
  );

  test('has a glossary', () => expect(places.length).toBeGreaterThan(20));

  test.each(places)('%s has %s', (file, symbol) => {
    const text = readFileSync(path.join(house, 'src', file), 'utf8');
    expect(text).toMatch(
      new RegExp(
        `export (async )?(function\\*?|class|const|interface|type) \\*?${symbol}\\b|function\\* ${symbol}\\b`,
      ),
    );
  });
});

const opening = '// What lives here.\n// What does not.\n';

/** One planted violation a line: where it lies, what it says, which rule must bite. */
const planted: [path: string, code: string, rule: string][] = [
  ['src/ui/Panel.svelte', "<script>import { Model } from '../engine/model';</script>", 'imports'],
  [
    'src/ui/Panel.svelte',
    '<script lang="ts">import type { Row } from \'../data/jsonl\';</script>',
    'imports',
  ],
  ['src/ui/Panel.svelte', "<script>import * as tf from '@tensorflow/tfjs-core';</script>", 'imports'],
  ['src/ui/state/run.svelte.ts', "import { Session } from '../../worker/session';", 'imports'],
  ['src/ui/Panel.svelte', "<script>import { Chart } from 'chart.js';</script>", 'chart.js'],
  ['src/engine/model/model.ts', "import { mount } from 'svelte';", 'imports'],
  ['src/engine/model/model.ts', "import { openDB } from 'idb';", 'imports'],
  ['src/engine/model/model.ts', "import { points } from '../../metrics/curves';", 'imports'],
  ['src/engine/model/model.ts', 'const at = new Date();', 'outer world'],
  ['src/engine/model/model.ts', "localStorage.setItem('a', 'b');", 'outer world'],
  ['src/engine/kernels/norm/norm.ts', "import { PlaygroundError } from '../../../errors';", 'imports'],
  ['src/engine/kernels/norm/norm.ts', "import type { Tape } from '../../tape';", 'imports'],
  ['src/data/reading/jsonl.ts', "import { tensor } from '@tensorflow/tfjs-core';", 'imports'],
  ['src/data/reading/jsonl.ts', "import { read } from '../../formats/safetensors';", 'imports'],
  ['src/data/reading/jsonl.ts', "const curves = await import('../../metrics/curves');", 'imports'],
  ['src/data/reading/jsonl.ts', "export { smooth } from '../../metrics/curves';", 'imports'],
  ['src/data/reading/jsonl.ts', 'document.title = "";', 'outer world'],
  ['src/data/reading/jsonl.ts', "import fs from 'node:fs';", 'imports'],
  ['src/metrics/curves.ts', "import type { Row } from '../data/jsonl';", 'imports'],
  ['src/lessons/first.ts', "import type { Workspace } from '../ui/workspace.svelte';", 'imports'],
  ['src/errors.ts', "import { layers } from './engine/model';", 'imports'],
  ['src/worker/client.ts', "import { Session } from './session';", 'imports'],
  ['src/worker/session.ts', "import App from '../ui/App.svelte';", 'imports'],
  ['src/cli/train.ts', "import { Session } from '../../worker/session';", 'imports'],
  ['src/main.ts', "import { Model } from './engine/model';", 'imports'],
  ['src/ui/Panel.svelte', "<script>import x from '../../test/engineFixtures';</script>", 'imports'],
  ['src/helpers/dates.ts', 'export const a = 1;', 'rooms'],
  ['src/data/utils/text.ts', 'export const a = 1;', 'names'],
  ['src/engine/TensorManager.ts', 'export const a = 1;', 'names'],
  ['src/ui/state/run.svelte.ts', "new Worker(new URL('./x.ts', import.meta.url));", 'new Worker'],
  ['src/worker/session.ts', 'self.close();', 'self'],
  ['src/data/index.ts', "export { a } from './a';", 'barrels'],
  ['src/data/all.ts', "export * from './a';\nexport * from './b';", 'barrels'],
  ['src/ui/state/run.svelte.ts', "import { a } from '../../metrics';", 'imports'],
  ['src/contract.ts', 'export function f() {}', 'contract'],
  ['src/contract.ts', 'export class C {}', 'contract'],
  ['src/contract.ts', 'export const limit = 3;', 'contract'],
  ['src/contract.ts', "import { errorDetails } from './errors';", 'contract'],
  ['src/data/reading/jsonl.ts', '\n'.repeat(600), 'length'],
  ['src/data/reading/jsonl.ts', `function f() {${'\n'.repeat(120)}}`, 'function length'],
  ['src/ui/Panel.svelte', `<script>const f = () => {${'\n'.repeat(120)}};</script>`, 'function length'],
  ['src/data/reading/jsonl.ts', '// TODO: later', 'unfinished'],
  ['test/jsonl.test.ts', "test.skip('a', () => {});", 'skipped test'],
  ['test/jsonl.test.ts', "const file = '/home/me/rows.jsonl';", 'machine path'],
  [
    'src/cli/train.ts',
    "const f = ['seed','method','lora_r','lora_alpha','batch_size','max_length'];",
    'one table',
  ],
  [
    'src/ui/parts/format.ts',
    'const f = {seed:1,method:1,lora_r:1,lora_alpha:1,batch_size:1,max_length:1,loss_on:1,weight_decay:1};',
    'one table',
  ],
];

describe('the rules bite', () => {
  test.each(planted)('%s: %s', (file, code, rule) => {
    const text = file.endsWith('.svelte') ? `<!-- What lives here. -->\n${code}` : opening + code;
    expect(violations([{ path: file, text }]).map((v) => v.rule)).toContain(rule);
  });

  test.each([
    ['src/engine/model/model.ts', "import { dispatch } from '../kernels/webgpu/program';"],
    ['src/engine/training/train.ts', "import { normForwardFused } from '../kernels/norm/norm.wgsl';"],
    ['src/session/run.ts', "import { dispatch } from '../engine/kernels/webgpu/program';"],
  ])('%s: which version of a kernel runs', (file, code) => {
    const found = violations([{ path: file, text: opening + code }]).map((v) => v.rule);
    expect(found.some((rule) => rule === 'kernel versions' || rule === 'imports')).toBe(true);
  });

  test('a header that names a file which is gone', () => {
    const text =
      '// What lives here.\n// Not here: that (gone.ts), this (rows.ts), tables (data/reading/rows.ts), all (formats/).\n';
    const found = staleHeaders(
      [{ path: 'src/data/reading/jsonl.ts', text }],
      ['src/data/reading/jsonl.ts', 'src/data/reading/rows.ts'],
    );
    expect(found.map((v) => v.message)).toEqual(['there is no gone.ts', 'there is no formats/']);
  });

  test('a circle of imports, and not a tree of them', () => {
    const file = (name: string, ...imports: string[]): SourceFile => ({
      path: `src/data/${name}.ts`,
      text: opening + imports.map((i) => `import { x } from './${i}';`).join('\n'),
    });
    expect(importCycles([file('a', 'b'), file('b', 'c'), file('c', 'a')])).toEqual([
      'src/data/a.ts → src/data/b.ts → src/data/c.ts → src/data/a.ts',
    ]);
    expect(importCycles([file('a', 'b', 'c'), file('b', 'c'), file('c')])).toEqual([]);
  });

  test('a file without its two first lines', () => {
    const found = violations([{ path: 'src/data/reading/jsonl.ts', text: 'export const a = 1;\n' }]);
    expect(found.map((v) => v.rule)).toEqual(['first lines']);
  });

  test('and leave good files alone', () => {
    const good: [string, string][] = [
      [
        'src/engine/model/model.ts',
        "import type { Batch } from '../contract';\nimport * as k from './kernels';",
      ],
      ['src/worker/client.ts', "new Worker(new URL('./main.ts', import.meta.url), { type: 'module' });"],
      ['src/data/reading/jsonl.ts', `function f() {${'\n'.repeat(119)}}`],
      [
        'src/data/reading/jsonl.ts',
        'export const a = { self: 1, document: 2 };\nexport const b = a.document;',
      ],
    ];
    for (const [file, code] of good) expect(violations([{ path: file, text: opening + code }])).toEqual([]);
  });
});
