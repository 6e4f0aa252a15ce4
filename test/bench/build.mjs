// Bundles the benchmark's processes with Vite: one folder for Node, one for a page. Both are whole: nothing but Dawn is left outside.
// Not here: running them (compare.mjs, chromium.mjs), the folder to carry to another machine (bundle.mjs).

import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { house } from '../../src/launch/prerequisites.mjs';

export const bench = path.join(house, 'test', 'bench');
/** Below node_modules, so that Dawn and the .wasm files are found from there. */
export const cache = path.join(house, 'node_modules', '.cache', 'finetune-playground', 'bench');

const peerFolder = path.join(bench, 'peers', 'node_modules');
/** What engines/ takes from each, so that a stand-in can offer it. */
const peerNames = {
  'peer:jax': ['blockUntilReady', 'defaultDevice', 'init', 'jit', 'nn', 'numpy', 'tree', 'valueAndGrad'],
  'peer:nanogpt': ['TeachableLLM'],
  'peer:nanogpt-trainer': [],
};
const peerFiles = {
  'peer:jax': '@jax-js/jax/dist/index.js',
  'peer:nanogpt': '@genai-fi/nanogpt/dist/main.js',
  'peer:nanogpt-trainer': '@genai-fi/nanogpt/dist/training/BasicTrainer.js',
};

/** The peers' packages where they are installed; else a module that says so when it is run. @returns {import('vite').Plugin} */
function peers() {
  return {
    name: 'peers',
    enforce: 'pre',
    resolveId(id) {
      const file = peerFiles[/** @type {keyof typeof peerFiles} */ (id)];
      if (file === undefined) return null;
      const full = path.join(peerFolder, file);
      return existsSync(full) ? full : `\0missing:${id}`;
    },
    load(id) {
      if (!id.startsWith('\0missing:')) return null;
      const peer = /** @type {keyof typeof peerNames} */ (id.slice('\0missing:'.length));
      const stand = ['default', ...peerNames[peer]].map((name) => `nothing as ${name}`).join(', ');
      return `const nothing = (() => { throw new Error('${peer} is not installed.'); })(); export { ${stand} };`;
    },
  };
}

/** @param {'node' | 'page'} target @param {string} folder @returns {Promise<void>} */
export async function buildFor(target, folder) {
  const { build } = await import('vite');
  const entry = path.join(bench, `${target}.ts`);
  const output = { entryFileNames: `${target}.mjs`, chunkFileNames: '[name]-[hash].mjs' };
  const common = {
    target: 'es2022',
    outDir: folder,
    emptyOutDir: true,
    minify: false,
    chunkSizeWarningLimit: 1e5,
  };
  await build({
    configFile: false,
    root: house,
    publicDir: false,
    logLevel: 'error',
    plugins: [peers()],
    ...(target === 'node'
      ? {
          ssr: { noExternal: true, external: ['webgpu'] },
          build: { ...common, ssr: entry, rolldownOptions: { output } },
        }
      : {
          build: { ...common, rolldownOptions: { input: entry, output, preserveEntrySignatures: 'strict' } },
        }),
  });
  const havePeers = Object.values(peerFiles).every((file) => existsSync(path.join(peerFolder, file)));
  if (havePeers) writeFileSync(path.join(folder, 'peers.json'), '{}\n');
}
