// What a build adds to its folder: third-party notices, an SBOM, and the service worker with the digests of all files. The same for the same source.
// Not here: what the service worker does (serviceWorker.mjs), the headers (security.mjs), copying models (vite.config.ts).

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { house } from './prerequisites.mjs';
import { pageHeaders, scriptHeaders } from './security.mjs';

export const NOTICES = 'third-party-notices.txt';
export const SBOM = 'sbom.cdx.json';
export const SERVICE_WORKER = 'sw.js';

/** Packages of `devDependencies` whose code stands in the page all the same. */
const BUNDLED = ['svelte', 'clsx', 'esm-env'];

/** @typedef {{ name: string, version: string, license: string, integrity?: string | undefined, resolved?: string | undefined, folder: string }} Package */

/** Every package that the page may hold code of: all that is needed to run, by package-lock.json. @returns {Package[]} */
export function shippedPackages() {
  /** @type {{ packages: Record<string, any> }} */
  const { packages } = JSON.parse(readFileSync(path.join(house, 'package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .flatMap(([folder, entry]) => {
      const name = folder.split('node_modules/').at(-1) ?? '';
      const types = name.startsWith('@types/');
      if (folder === '' || types || entry.optional || (entry.dev && !BUNDLED.includes(name))) return [];
      const { version, license = 'unknown', integrity, resolved } = entry;
      return [{ name, version, license, integrity, resolved, folder }];
    })
    .sort((a, b) => (`${a.name} ${a.version}` < `${b.name} ${b.version}` ? -1 : 1));
}

/** @param {Package} one @returns {string} its licence and notice files, or the name of its licence */
function licenceOf({ folder, license }) {
  const at = path.join(house, folder);
  const names = existsSync(at)
    ? readdirSync(at)
        .filter((name) => /^(licen[cs]e|notice|copying)/i.test(name))
        .sort()
    : [];
  const texts = names.map((name) => path.join(at, name)).filter((file) => statSync(file).isFile());
  if (texts.length === 0) return `Licence: ${license}. The package has no licence file.`;
  return texts.map((file) => readFileSync(file, 'utf8').replaceAll('\r\n', '\n').trim()).join('\n\n');
}

/** @param {readonly Package[]} packages @returns {string} */
export function noticesOf(packages) {
  const parts = packages.map((one) => `${one.name} ${one.version} (${one.license})\n\n${licenceOf(one)}`);
  const rule = `\n\n${'-'.repeat(78)}\n\n`;
  return `This page contains code of these packages, under these licences.${rule}${parts.join(rule)}\n`;
}

/** CycloneDX 1.6, without a date and a serial number: the same for the same packages. @param {readonly Package[]} packages @returns {string} */
export function sbomOf(packages) {
  const { name, version, license } = JSON.parse(readFileSync(path.join(house, 'package.json'), 'utf8'));
  const components = packages.map((one) => ({
    type: 'library',
    'bom-ref': `pkg:npm/${one.name.replace('@', '%40')}@${one.version}`,
    name: one.name,
    version: one.version,
    purl: `pkg:npm/${one.name.replace('@', '%40')}@${one.version}`,
    licenses: [{ license: { name: one.license } }],
    ...(one.integrity && {
      hashes: [
        {
          alg: 'SHA-512',
          content: Buffer.from(one.integrity.replace('sha512-', ''), 'base64').toString('hex'),
        },
      ],
    }),
  }));
  const component = { type: 'application', name, version, licenses: [{ license: { id: license } }] };
  return `${JSON.stringify({ bomFormat: 'CycloneDX', specVersion: '1.6', version: 1, metadata: { component }, components }, null, 2)}\n`;
}

/** @param {string} folder @returns {Record<string, string>} SHA-256 by path, in the order of paths */
export function digestsOf(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
    .filter((file) => file !== SERVICE_WORKER)
    .sort();
  return Object.fromEntries(
    files.map((file) => [
      file,
      createHash('sha256')
        .update(readFileSync(path.join(folder, file)))
        .digest('hex'),
    ]),
  );
}

/** Writes the three files into a finished build. @param {string} folder */
export function completeBuild(folder) {
  const packages = shippedPackages();
  writeFileSync(path.join(folder, NOTICES), noticesOf(packages));
  writeFileSync(path.join(folder, SBOM), sbomOf(packages));
  const source = readFileSync(path.join(house, 'src', 'launch', 'serviceWorker.mjs'), 'utf8');
  const headers = { page: pageHeaders, script: scriptHeaders };
  const worker = source
    .replace('= __FILES__', () => `= ${JSON.stringify(digestsOf(folder), null, 1)}`)
    .replace('= __HEADERS__', () => `= ${JSON.stringify(headers, null, 1)}`);
  writeFileSync(path.join(folder, SERVICE_WORKER), worker);
}
