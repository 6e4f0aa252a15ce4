// `npm run classroom -- FOLDER [MODEL …]`: a folder for a USB stick with the built page, hub models, and a small server.
// Not here: copying a model (mirror.mjs), serving the folder (classroomServer.mjs).

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { HUB, mirroredModels, mirrorModel } from './mirror.mjs';
import { ensureDependencies, house, run, SetupError } from './prerequisites.mjs';
import { completeBuild } from './staticFiles.mjs';

const usage = `npm run classroom -- FOLDER                      the page and its own models
npm run classroom -- FOLDER org/name …           with these models of the hub (org/name@revision for a version)
npm run classroom -- FOLDER --mirror-only org/name …   the models alone, for a mirror on a server of your own
     --hub ADDRESS   where they are copied from (${HUB})
     --port N        where the folder will be served (8000)`;

const START = (/** @type {number} */ port) => `Finetune Playground for a room without internet

1. Copy this folder to each computer, or to the one that everybody uses.
2. With Node:    node serve.mjs ${port === 8000 ? '' : port}
   With Python:  python3 -m http.server ${port} --bind 127.0.0.1
3. Open http://localhost:${port}/playground/ in a recent browser.

Nothing is installed, and nothing is asked from the internet. Browsers give a page the graphics card and storage on
localhost and on https alone, so the folder is served on each computer, not from one to all.
`;

function readArguments() {
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        hub: { type: 'string', default: HUB },
        port: { type: 'string', default: '8000' },
        'mirror-only': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new SetupError(error instanceof Error ? error.message : String(error), usage);
  }
  const { values, positionals } = parsed;
  const [folder, ...models] = positionals;
  if (values.help || folder === undefined) {
    console.log(usage);
    process.exit(values.help ? 0 : 2);
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new SetupError(`--port ${values.port} is not a port.`, 'Give a whole number from 1 to 65535.');
  return {
    folder: path.resolve(folder),
    models,
    port,
    hub: values.hub.replace(/\/+$/, ''),
    mirrorOnly: values['mirror-only'],
  };
}

async function make() {
  const { folder, models, port, hub, mirrorOnly } = readArguments();
  const ours = ['playground', 'mirror', 'serve.mjs', 'security.mjs', 'package.json', 'README.txt'];
  const foreign =
    existsSync(folder) && !mirrorOnly ? readdirSync(folder).filter((name) => !ours.includes(name)) : [];
  if (foreign.length > 0)
    throw new SetupError(
      `${folder} holds ${foreign.slice(0, 5).join(', ')}.`,
      'Give a new folder, or one that this command made.',
    );
  const mirror = mirrorOnly ? folder : path.join(folder, 'mirror');
  for (const id of models) {
    const { bytes, commit } = await mirrorModel(id, mirror, { hub, say: console.log });
    console.log(`${id}: ${(bytes / 1e6).toFixed(1)} MB, commit ${commit.slice(0, 12)}`);
  }
  if (mirrorOnly) {
    console.log(
      `${mirror} is a mirror: serve it with the header Access-Control-Allow-Origin: *, and give its address as the hub’s.`,
    );
    return;
  }
  await ensureDependencies(console.log);
  const page = path.join(folder, 'playground');
  mkdirSync(page, { recursive: true });
  console.log('Building the page …');
  const { code } = await run(process.execPath, [
    path.join(house, 'node_modules/vite/bin/vite.js'),
    'build',
    '--outDir',
    page,
    '--emptyOutDir',
    '--logLevel',
    'warn',
  ]);
  if (code !== 0)
    throw new SetupError(
      'The page could not be built.',
      'If you changed the code, mend what is named above.',
    );
  listModels(path.join(page, 'hub-models.json'), mirroredModels(mirror), port);
  completeBuild(page);
  copyFileSync(path.join(house, 'src/launch/classroomServer.mjs'), path.join(folder, 'serve.mjs'));
  copyFileSync(path.join(house, 'src/launch/security.mjs'), path.join(folder, 'security.mjs'));
  writeFileSync(path.join(folder, 'README.txt'), START(port));
  console.log(`\n${folder} is ready. README.txt in it says how it is started.`);
}

/**
 * The page then offers the models of the mirror and asks it instead of the hub.
 * @param {string} file @param {ReturnType<typeof mirroredModels>} mirrored @param {number} port
 */
function listModels(file, mirrored, port) {
  const list = JSON.parse(readFileSync(file, 'utf8'));
  const known = new Map(list.models.map((/** @type {{ id: string }} */ model) => [model.id, model]));
  const models = mirrored.map((model) => known.get(model.id) ?? model);
  writeFileSync(
    file,
    `${JSON.stringify({ ...list, endpoint: `http://localhost:${port}/mirror`, models }, null, 2)}\n`,
  );
}

make().catch((error) => {
  console.error(`\n${error instanceof SetupError ? error.message : (error.stack ?? error)}`);
  process.exit(1);
});
