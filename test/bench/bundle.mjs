// `npm run bench -- --bundle DIR`: everything the benchmark needs in one folder, for a machine with Node and a GPU and no network.
// Not here: running it there (carried.mjs).

import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { house } from '../../src/launch/prerequisites.mjs';
import { bench, buildFor } from './build.mjs';

const PLAIN = [
  'carried.mjs',
  'runs.mjs',
  'children.mjs',
  'compare.mjs',
  'counts.mjs',
  'table.mjs',
  'torch_step.py',
];

/** @param {string} folder @param {(line: string) => void} say */
export async function writeBundle(folder, say) {
  mkdirSync(folder, { recursive: true });
  await buildFor('node', path.join(folder, 'engines'));
  for (const file of PLAIN) copyFileSync(path.join(bench, file), path.join(folder, file));
  // Packages that cannot be bundled: Dawn's binary and tfjs's .wasm files, where Node looks for them.
  const modules = path.join(house, 'node_modules');
  const dawn = path.join(folder, 'node_modules', 'webgpu');
  mkdirSync(path.join(dawn, 'dist'), { recursive: true });
  for (const file of ['index.js', 'package.json'])
    copyFileSync(path.join(modules, 'webgpu', file), path.join(dawn, file));
  const system = `linux-${process.arch}`;
  const binary = path.join(modules, 'webgpu', 'dist', system);
  if (!existsSync(binary)) throw new Error(`Dawn has no ${system} binary here.`);
  cpSync(binary, path.join(dawn, 'dist', system), { recursive: true });
  const wasmName = path.join('@tensorflow', 'tfjs-backend-wasm');
  const wasm = path.join(folder, 'node_modules', wasmName);
  mkdirSync(wasm, { recursive: true });
  writeFileSync(
    path.join(wasm, 'package.json'),
    '{"name":"@tensorflow/tfjs-backend-wasm","main":"index.js"}\n',
  );
  writeFileSync(path.join(wasm, 'index.js'), '// Only the place of the .wasm files beside it.\n');
  const dist = path.join(modules, wasmName, 'dist');
  for (const file of readdirSync(dist).filter((name) => name.endsWith('.wasm')))
    copyFileSync(path.join(dist, file), path.join(wasm, file));
  const run = path.join(folder, 'run.sh');
  writeFileSync(
    run,
    `#!/bin/sh
# The whole comparison; what it finds is in results.json beside it. NODE and PYTHON name the programs; PYTHON may be missing.
cd "$(dirname "$0")" && exec "\${NODE:-node}" carried.mjs --torch "\${PYTHON:-python3}" --out "\${OUT:-.}/results.json" "$@"
`,
  );
  chmodSync(run, 0o755);
  say(`${folder} is ready: copy it to the machine and start run.sh there.`);
}
