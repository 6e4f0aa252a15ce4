// Installs what is missing, builds the page, serves it, and prints its address.
// Not here: developing with reload on every change (`npm run dev`).

import { parseArgs } from 'node:util';
import { ensureDependencies, house, SetupError } from './prerequisites.mjs';

const usage = `npm start                      build the page and serve it to this computer
npm start -- --port 8080       on this port (the next free one when it is taken)
npm start -- --host            to the whole network too (browsers then hide WebGPU unless you serve https)`;

/** @returns {{ host: string | boolean, port: number }} */
function readArguments() {
  // `--host` alone means every network interface; `--host 10.0.0.5` one of them.
  const args = process.argv
    .slice(2)
    .map((arg, i, all) => (arg === '--host' && (all[i + 1] ?? '-').startsWith('-') ? '--host=0.0.0.0' : arg));
  let values;
  try {
    values = parseArgs({
      args,
      options: { host: { type: 'string' }, port: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    }).values;
  } catch (error) {
    throw new SetupError(error instanceof Error ? error.message : String(error), usage);
  }
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  const port = Number(values.port ?? 4173);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new SetupError(`--port ${values.port} is not a port.`, 'Give a whole number from 1 to 65535.');
  }
  return { host: values.host ?? 'localhost', port };
}

async function serve() {
  const { host, port } = readArguments();
  await ensureDependencies(console.log);
  const vite = await import('vite');
  const started = performance.now();
  console.log('Building the page …');
  await vite.build({ root: `${house}/src`, configFile: `${house}/vite.config.ts`, logLevel: 'warn' });
  console.log(`Built in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
  const server = await vite.preview({
    root: `${house}/src`,
    configFile: `${house}/vite.config.ts`,
    logLevel: 'warn',
    preview: { host, port, strictPort: false },
  });
  const addresses = [...(server.resolvedUrls?.local ?? []), ...(server.resolvedUrls?.network ?? [])];
  console.log(`\nFinetune Playground is running. Open this address in your browser:\n`);
  for (const address of addresses) console.log(`    ${address}`);
  console.log('\nCtrl+C stops it.');
}

serve().catch((error) => {
  console.error(`\n${error instanceof SetupError ? error.message : (error.stack ?? error)}`);
  if (!(error instanceof SetupError)) {
    console.error(
      '\nThe page could not be built or served. If you changed the code, mend what is named above.',
    );
  }
  process.exit(1);
});
