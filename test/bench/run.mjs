// Runs a measurement written in TypeScript: `node test/bench/run.mjs step full 5`.
// Not here: the measurements.

import path from 'node:path';
import { createServer } from 'vite';
import { house } from '../../src/launch/prerequisites.mjs';

const [name = 'step', ...settings] = process.argv.slice(2);
const server = await createServer({
  configFile: path.join(house, 'vite.config.ts'),
  root: house,
  server: { middlewareMode: true, hmr: false, ws: false },
  optimizeDeps: { noDiscovery: true },
  logLevel: 'error',
});
const { measure } = await server.ssrLoadModule(`/test/bench/${name}.ts`);
await measure(...settings);
await server.close();
process.exit(0); // the threads of tfjs would keep the process
