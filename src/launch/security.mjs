// Security headers of the page: what may run, where requests may go, what the page may use. Written once, for three places.
// Not here: who sends them: the servers (vite.config.ts), the page's meta element and the service worker (staticFiles.mjs).

/** Where models come from when nobody names a mirror; files are redirected to hosts of its own. */
const HUB = ['https://huggingface.co', 'https://*.huggingface.co', 'https://*.hf.co'];
/** A mirror is named by the visitor, so its host is not known here: any host with TLS, or one on this computer. */
const MIRRORS = ['https:', 'http://localhost:*', 'http://127.0.0.1:*'];

/** @param {readonly string[]} connect @returns {string} a policy for everything but `connect-src`, which gets these hosts beside the page's own */
function policy(connect) {
  return [
    "default-src 'none'",
    // Compiling wasm needs its own keyword; eval and inline scripts stay forbidden.
    "script-src 'self' 'wasm-unsafe-eval'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    `connect-src ${["'self'", ...connect].join(' ')}`,
    "worker-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "object-src 'none'",
  ].join('; ');
}

/** Where there are Trusted Types: no string becomes markup or script but by these two (ui/trustedTypes.ts, and Svelte's for its templates). */
const TRUSTED = "require-trusted-types-for 'script'; trusted-types default svelte-trusted-html";

/** Of the page, which requests only its own files. */
export const pagePolicy = `${policy([])}; ${TRUSTED}`;
/** Of the engine's worker, whose script has a policy of its own; it requests what the visitor names. Its wasm module for threads is a data address. */
export const workerPolicy = policy(['data:', ...HUB, ...MIRRORS]);

/** Cross-origin isolation: without these two the browser hides SharedArrayBuffer, and the wasm kernels run on one thread. */
export const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const USED = {
  accelerometer: '()',
  camera: '()',
  geolocation: '()',
  gyroscope: '()',
  magnetometer: '()',
  microphone: '()',
  payment: '()',
  usb: '()',
};

/** Of every file but those of the worker. `frame-ancestors` counts in a header only. */
export const pageHeaders = {
  ...isolation,
  'Content-Security-Policy': `${pagePolicy}; frame-ancestors 'self'`,
  'Referrer-Policy': 'no-referrer',
  'Permissions-Policy': Object.entries(USED)
    .map(([feature, allowed]) => `${feature}=${allowed}`)
    .join(', '),
  'X-Content-Type-Options': 'nosniff',
};

/** Of scripts: those of workers bring their own policy. */
export const scriptHeaders = { ...pageHeaders, 'Content-Security-Policy': workerPolicy };

/** @param {string} path of a file or an address @returns {Record<string, string>} */
export const headersOf = (path) => (/\.m?js$/.test(path) ? scriptHeaders : pageHeaders);
