// A static host without headers of its own, as GitHub Pages is, for tests of the service worker.
// Not here: the servers of the other tests (site.ts).

import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import path from 'node:path';
import { house } from '../src/launch/prerequisites.mjs';

/** Where the end-to-end tests build the page. */
export const site = path.join(house, 'node_modules', '.cache', 'e2e-site');
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/**
 * What GitHub Pages is: files, their types, nothing else.
 * @param asked gets the path of every request
 * @param version 1, or more for a later build, which differs in its service worker
 */
export function plainHost(asked: string[], version = () => 1): Server {
  return createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    asked.push(name);
    const file = path.join(site, name.endsWith('/') ? `${name}index.html` : name);
    if (!file.startsWith(site) || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream' });
    if (name === '/sw.js') response.end(`${readFileSync(file, 'utf8')}\n// version ${version()}\n`);
    else createReadStream(file).pipe(response);
  });
}
