// Bundles the command line (TypeScript) with Vite, which the page needs anyway, and runs it. Takes half a second.
// Not here: the commands (main.ts).

import { mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { house, missingPackages } from '../launch/prerequisites.mjs';

/** @returns {Promise<string>} the bundled file */
async function bundle() {
  const { build } = await import('vite');
  const built = await build({
    configFile: false,
    root: house,
    publicDir: false,
    logLevel: 'warn',
    build: {
      ssr: path.join(house, 'src', 'cli', 'main.ts'),
      write: false,
      target: 'node20',
      // One file, which a rename replaces at once: two commands may start at the same time.
      rolldownOptions: { output: { codeSplitting: false } },
    },
  });
  const [output] = 'output' in built ? built.output : [];
  if (output?.type !== 'chunk') throw new Error('Vite made no bundle of the command line.');
  // Below node_modules, so that packages are found from there.
  const folder = path.join(house, 'node_modules', '.cache', 'finetune-playground');
  const file = path.join(folder, 'cli.mjs');
  const draft = `${file}.${process.pid}`;
  await mkdir(folder, { recursive: true });
  await writeFile(draft, output.code);
  await rename(draft, file);
  return file;
}

const missing = missingPackages(house);
if (missing.length > 0) {
  console.error(`error: ${missing.length} packages are missing or out of date.\n  fix: Run npm ci first.`);
  process.exitCode = 1;
} else {
  const { main } = await import(pathToFileURL(await bundle()).href);
  const code = await main(process.argv.slice(2), house);
  // Dawn and the wasm threads keep Node running, so it is ended here, after its output has been flushed.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}
