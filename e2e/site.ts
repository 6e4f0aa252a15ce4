// Builds the page once, writes the test-size model, and serves the page for all end-to-end tests: at the root, and deep below a sub-path.
// Not here: what is done with the page (page.ts and the tests).

import path from 'node:path';
import { build, type PreviewServer, preview } from 'vite';
import { house } from '../src/launch/prerequisites.mjs';
import { tinyModelFolder } from './page';
import { writeTinyModel } from './tinyModel';

/** Its own folder, so that a test run never pulls the page from under a running `npm start`. */
const outDir = path.join(house, 'node_modules', '.cache', 'e2e-site');
const shared = {
  root: path.join(house, 'src'),
  configFile: path.join(house, 'vite.config.ts'),
  logLevel: 'warn',
} as const;

/** Where a school or a GitHub page would put it: not at the root. */
const subPath = '/courses/spring/playground/';

async function serve(base: string): Promise<PreviewServer> {
  return preview({
    ...shared,
    base,
    build: { outDir },
    preview: { host: '127.0.0.1', port: 4300, strictPort: false },
  });
}

export default async function startSite(): Promise<() => Promise<void>> {
  writeTinyModel(tinyModelFolder(), path.join(house, 'models', 'pebble-1m'));
  await build({ ...shared, build: { outDir } });
  const servers = [await serve('/'), await serve(subPath)];
  const [root = '', below = ''] = servers.map((server) => server.resolvedUrls?.local[0] ?? '');
  process.env.E2E_SITE = root;
  process.env.E2E_SITE_BELOW = below;
  return async () => {
    await Promise.all(servers.map((server) => server.close()));
  };
}
