// How the page is served, built and tested: one Vite configuration, read by vite and by vitest.
// Not here: finding or installing a browser (test/setup/browser.mjs), the end-to-end tests (e2e/playwright.config.ts).

import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { playwright } from '@vitest/browser-playwright';
import type { Connect, Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { headersOf, isolation, pagePolicy } from './src/launch/security.mjs';
import { completeBuild } from './src/launch/staticFiles.mjs';
import { browserArgs, findBrowser } from './test/setup/browser.mjs';

const house = path.dirname(fileURLToPath(import.meta.url));
const inHouse = (...parts: string[]) => path.join(house, ...parts);
const packageJson: { version: string; dependencies: Record<string, string> } = JSON.parse(
  readFileSync(inHouse('package.json'), 'utf8'),
);
const testing = process.env.VITEST !== undefined;

/** Folders that the page fetches from, beside `public/`: where they lie, and which of their files belong to the page. */
const servedFolders = [
  {
    url: 'models',
    folder: inHouse('models'),
    // The recipes (how models and data sets were made) are for people who make them, not for visitors.
    belongs: (file: string) =>
      !/^(pretrain|eval|datasets)(\/|$)|(^|\/)\./.test(file) &&
      /\.(json|jinja|safetensors|txt|model|md)$/.test(file),
  },
  {
    url: 'wasm',
    folder: inHouse('node_modules/@tensorflow/tfjs-backend-wasm/dist'),
    // Not the build with threads of its own: the kernels have theirs (engine/kernels/wasm/threads.wasm.ts).
    belongs: (file: string) => /^[^/]+\.wasm$/.test(file) && !file.includes('threaded'),
  },
];

const contentTypes: Record<string, string> = {
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.md': 'text/markdown; charset=utf-8',
  '.jinja': 'text/plain; charset=utf-8',
};

/** Serves `models/` and `wasm/` while developing and testing, and copies them beside the page when building. */
function serveFolders(): Plugin {
  const serve: Connect.NextHandleFunction = (request, response, next) => {
    const wanted = decodeURIComponent((request.url ?? '').split(/[?#]/, 1)[0] ?? '').slice(1);
    const served = servedFolders.find(({ url }) => wanted.startsWith(`${url}/`));
    if (served === undefined) return next();
    const inside = wanted.slice(served.url.length + 1);
    const file = path.join(served.folder, inside);
    const safe = file.startsWith(served.folder + path.sep) && served.belongs(inside);
    if (!safe || !existsSync(file) || !statSync(file).isFile()) {
      // Without this the page would get index.html with status 200 and call it a broken model.
      response.statusCode = 404;
      response.end(`Not found: ${wanted}`);
      return;
    }
    response.setHeader('Content-Type', contentTypes[path.extname(file)] ?? 'application/octet-stream');
    response.setHeader('Content-Length', statSync(file).size);
    response.setHeader('Cache-Control', 'no-cache');
    createReadStream(file).pipe(response);
  };

  let outDir = '';
  return {
    name: 'serve-folders',
    configResolved(config) {
      outDir = path.resolve(config.root, config.build.outDir);
    },
    configureServer(server) {
      server.middlewares.use(serve);
    },
    async closeBundle(error?: Error) {
      if (error !== undefined || this.meta.watchMode || testing) return;
      for (const { url, folder, belongs } of servedFolders) {
        const files = readdirSync(folder, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) =>
            path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'),
          );
        for (const file of files.filter(belongs)) {
          const target = path.join(outDir, url, file);
          await mkdir(path.dirname(target), { recursive: true });
          await copyFile(path.join(folder, file), target);
        }
      }
      completeBuild(outDir);
    },
  };
}

/** The built page's policies: as a meta element, which every host serves, and as headers of the preview server. */
function securePage(): Plugin {
  return {
    name: 'secure-page',
    apply: (_, { command, isPreview }) => command === 'build' || isPreview === true,
    transformIndexHtml: {
      order: 'post',
      handler: () => [
        { tag: 'meta', injectTo: 'head-prepend', attrs: { name: 'referrer', content: 'no-referrer' } },
        {
          tag: 'meta',
          injectTo: 'head-prepend',
          attrs: { 'http-equiv': 'Content-Security-Policy', content: pagePolicy },
        },
      ],
    },
    configurePreviewServer(server) {
      server.middlewares.use((request, response, next) => {
        const path = new URL(request.url ?? '/', 'http://localhost').pathname;
        for (const [name, value] of Object.entries(headersOf(path))) response.setHeader(name, value);
        next();
      });
    },
  };
}

export default defineConfig({
  root: testing ? house : inHouse('src'),
  publicDir: inHouse('public'),
  // Relative addresses: the built page works from any sub-path.
  base: './',
  define: { __APP_VERSION__: JSON.stringify(packageJson.version) },
  // A missing file is a 404, never index.html with status 200.
  appType: testing ? 'custom' : 'mpa',
  plugins: [svelte({ configFile: false }), serveFolders(), securePage()],
  build: {
    outDir: inHouse('dist'),
    emptyOutDir: true,
    target: 'es2022',
    // Every browser with WebGPU or fast WebAssembly preloads modules by itself.
    modulePreload: { polyfill: false },
    // tfjs alone is larger than the default warning threshold.
    chunkSizeWarningLimit: 3000,
    rolldownOptions: { checks: { bundlerTimings: false } },
  },
  worker: { format: 'es' },
  server: { headers: isolation, fs: { allow: [house] } },
  cacheDir: inHouse('node_modules/.vite'),
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          environment: 'node',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.gpu.test.ts', '**/node_modules/**'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        // Needs a Python with PEFT: `npm test` runs it where PYTHON names one, and says so where not.
        test: {
          name: 'interop',
          environment: 'node',
          include: ['test/interop/*.interop.ts'],
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      {
        extends: true,
        // Found late, a dependency makes Vite reload the page under a running test; so all are named here.
        optimizeDeps: { include: Object.keys(packageJson.dependencies) },
        // Two of these may run at a time (test/setup/stages.mjs).
        cacheDir: inHouse(`node_modules/.vite/gpu-${process.env.TEST_SHARD ?? 'all'}`),
        test: {
          name: 'gpu',
          include: ['test/**/*.gpu.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          // One page for all files, one file at a time: started devices and compiled programs serve the files after (startWebGpu).
          isolate: false,
          fileParallelism: false,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({
              launchOptions: {
                args: browserArgs,
                ...(findBrowser() === null ? {} : { executablePath: findBrowser() as string }),
              },
            }),
            instances: [{ browser: 'chromium' }],
          },
        },
      },
    ],
  },
});
