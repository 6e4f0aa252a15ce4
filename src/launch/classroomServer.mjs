// Serves a classroom folder: the built page and the mirror of hub models beside it. Copied into the folder; needs Node and nothing else.
// Not here: making the folder (classroom.mjs), `npm start` (serve.mjs).

import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { headersOf } from './security.mjs';

/** @type {Record<string, string>} */
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.txt': 'text/plain; charset=utf-8',
  '.md': 'text/markdown; charset=utf-8',
  '.jinja': 'text/plain; charset=utf-8',
};

/** @param {string} root of the classroom folder @returns {import('node:http').Server} */
export function classroomServer(root) {
  return createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/') {
      response.writeHead(302, { Location: '/playground/' }).end();
      return;
    }
    let name = '';
    try {
      name = decodeURIComponent(pathname);
    } catch {
      // No file has such a name.
    }
    const file = path.join(root, name.endsWith('/') ? `${name}index.html` : name);
    const open = /^\/(playground|mirror)\//.test(name) && file.startsWith(path.resolve(root) + path.sep);
    if (!open || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404, { 'Access-Control-Allow-Origin': '*' }).end('Not found');
      return;
    }
    const { size } = statSync(file);
    const mirrored = name.startsWith('/mirror/');
    const api = name.startsWith('/mirror/api/');
    const [, first] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
    const from = Number(first ?? 0);
    /** @type {Record<string, string | number>} */
    const headers = {
      ...(mirrored
        ? { 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' }
        : headersOf(name)),
      'Content-Type': api ? 'application/json' : (TYPES[path.extname(file)] ?? 'application/octet-stream'),
      'Cache-Control': 'no-cache',
      'Accept-Ranges': 'bytes',
    };
    if (first !== undefined && from >= size) {
      response.writeHead(416, { ...headers, 'Content-Range': `bytes */${size}` }).end();
      return;
    }
    if (first !== undefined) headers['Content-Range'] = `bytes ${from}-${size - 1}/${size}`;
    response.writeHead(first === undefined ? 200 : 206, { ...headers, 'Content-Length': size - from });
    if (request.method === 'HEAD') response.end();
    else createReadStream(file, { start: from }).pipe(response);
  });
}

const here = fileURLToPath(import.meta.url);
if (process.argv[1] && path.resolve(process.argv[1]) === here && path.basename(here) === 'serve.mjs') {
  const port = Number(process.argv[2] ?? 8000);
  // Only to this computer: browsers give WebGPU and storage to localhost and https alone.
  classroomServer(path.dirname(here)).listen(port, '127.0.0.1', () => {
    console.log(`Open http://localhost:${port}/ in a browser. Ctrl+C stops it.`);
  });
}
