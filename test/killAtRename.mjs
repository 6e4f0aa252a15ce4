// Loaded before a command (`node --import`): ends its process with SIGKILL at one rename, which a number and a name in the environment say.
// Not here: the tests that start it (cli.test.ts, watchCli.test.ts), every change that a command makes (kills.test.ts).

import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * @param {number} count of the rename that is not made any more @param {string} name of the file or folder that it would give
 * @returns {NodeJS.ProcessEnv} for the process
 */
export const killedAtRename = (count, name) => ({
  ...process.env,
  NODE_OPTIONS: `--import ${pathToFileURL(import.meta.filename).href}`,
  KILLED_AT_RENAME: `${count} ${name}`,
});

const [count, name] = (process.env.KILLED_AT_RENAME ?? '').split(' ');
if (name !== undefined) {
  const { rename } = promises;
  let left = Number(count);
  promises.rename = async (from, to) => {
    if (path.basename(String(to)) === name && --left === 0) {
      process.kill(process.pid, 'SIGKILL');
      await new Promise(() => {});
    }
    return rename(from, to);
  };
  syncBuiltinESMExports();
}
