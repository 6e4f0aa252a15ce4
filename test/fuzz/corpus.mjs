// A hostile case as a file: deflated, so that a million equal characters take a line.
// Not here: finding cases (fuzz.mjs), replaying them (test/fuzz.test.ts).

import { deflateRawSync, inflateRawSync } from 'node:zlib';

/** @typedef {{ target: string, found: string, files: Record<string, Uint8Array> }} Kept `found`: what was wrong when it was found */

/** @param {Kept} kept @returns {string} JSON */
export function packCase({ target, found, files }) {
  const packed = Object.fromEntries(
    Object.entries(files).map(([name, bytes]) => [
      name,
      deflateRawSync(bytes, { level: 9 }).toString('base64'),
    ]),
  );
  return `${JSON.stringify({ target, found: found.split('\n')[0]?.slice(0, 200), files: packed }, null, 1)}\n`;
}

/** @param {string} json @returns {Kept} */
export function unpackCase(json) {
  const { files, ...rest } = JSON.parse(json);
  const bytes = Object.entries(files).map(([name, text]) => [
    name,
    new Uint8Array(inflateRawSync(Buffer.from(/** @type {string} */ (text), 'base64'))),
  ]);
  return { ...rest, files: Object.fromEntries(bytes) };
}
