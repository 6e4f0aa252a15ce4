// Service worker of the built page: serves its files without a network, by their digests, and with the headers that a plain host does not send.
// Not here: the list of files and the headers, which the build puts in (staticFiles.mjs); when an update is put in place (ui/state/offline.svelte.ts).
//
// How it works: the shell is fetched when the worker is installed; models, data sets and general rows when the page first asks for them. Each is kept under its
// address and SHA-256, so that an update fetches only what changed and never mixes two builds. A new version waits until the page lets it in, or
// until no page is open. Requests to other hosts are not touched. Disk: the shell, and what was loaded.

/** Path → SHA-256. @type {Record<string, string>} */
// @ts-expect-error the build puts it in
const FILES = __FILES__;
/** By kind of file. @type {{ page: Record<string, string>, script: Record<string, string> }} */
// @ts-expect-error the build puts it in
const HEADERS = __HEADERS__;

const CACHE = 'finetune-playground-files';
const worker = /** @type {any} */ (globalThis);
const scope = new URL('./', location.href);

/** Fetched when first asked for: they are large, and nobody needs all of them. @param {string} path */
const isOnDemand = (path) => /^(models|datasets|general)\//.test(path);

/** @param {string} path */
const keyOf = (path) => new URL(`${path}?sha256=${FILES[path]}`, scope).href;

/** @param {ArrayBuffer} bytes */
async function digestOf(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * Fetches a file and keeps it, if it is the one of this build.
 * @param {string} path
 * @returns {Promise<Response>}
 */
async function fetchAndKeep(path) {
  const response = await fetch(new URL(path, scope), { cache: 'no-cache' });
  if (!response.ok) return response;
  const bytes = await response.arrayBuffer();
  const { status, statusText, headers } = response;
  const made = () => new Response(bytes, { status, statusText, headers });
  if ((await digestOf(bytes)) !== FILES[path]) return made();
  const cache = await caches.open(CACHE);
  // Without room the page works as long as there is a network.
  await cache.put(keyOf(path), made()).catch(() => {});
  return made();
}

/** @param {string} path @param {Response} response */
function withHeaders(path, response) {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(/\.m?js$/.test(path) ? HEADERS.script : HEADERS.page))
    headers.set(name, value);
  const { status, statusText } = response;
  return new Response(status === 204 || status === 304 ? null : response.body, {
    status,
    statusText,
    headers,
  });
}

/** @param {string} path @param {Request} request */
async function answer(path, request) {
  if (FILES[path] === undefined) {
    // A file that a model folder may have and this one has not: absent without a network too.
    const response = await fetch(request).catch(() => new Response('Not found', { status: 404 }));
    return response.type === 'opaqueredirect' ? response : withHeaders(path, response);
  }
  const cache = await caches.open(CACHE);
  return withHeaders(path, (await cache.match(keyOf(path))) ?? (await fetchAndKeep(path)));
}

worker.addEventListener('install', (/** @type {any} */ event) => {
  const install = async () => {
    const cache = await caches.open(CACHE);
    for (const path of Object.keys(FILES)) {
      if (isOnDemand(path) || (await cache.match(keyOf(path)))) continue;
      const response = await fetchAndKeep(path);
      if (!response.ok) throw new Error(`${response.status} for ${path}`);
    }
  };
  event.waitUntil(install());
});

worker.addEventListener('activate', (/** @type {any} */ event) => {
  const forget = async () => {
    const cache = await caches.open(CACHE);
    const current = new Set(Object.keys(FILES).map(keyOf));
    for (const { url } of await cache.keys()) if (!current.has(url)) await cache.delete(url);
  };
  event.waitUntil(forget());
});

worker.addEventListener('message', (/** @type {any} */ event) => {
  if (event.data?.kind === 'activate') worker.skipWaiting();
});

worker.addEventListener('fetch', (/** @type {any} */ event) => {
  /** @type {Request} */
  const request = event.request;
  const url = new URL(request.url);
  if (request.method !== 'GET' || request.headers.has('range')) return;
  if (url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname)) return;
  const path = decodeURIComponent(url.pathname.slice(scope.pathname.length));
  event.respondWith(answer(path === '' ? 'index.html' : path, request));
});
