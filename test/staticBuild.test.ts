// The built folder: the same bytes for the same source, nothing inline, a policy, notices for every package, and a service worker that knows every file.
// Not here: what the browser makes of it (e2e/offline.spec.ts).

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { house } from '../src/launch/prerequisites.mjs';
import { headersOf, pagePolicy, workerPolicy } from '../src/launch/security.mjs';
import { digestsOf, NOTICES, SBOM, SERVICE_WORKER, shippedPackages } from '../src/launch/staticFiles.mjs';

const scratch = mkdtempSync(path.join(tmpdir(), 'playground-build-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const folders = ['first', 'second'].map((name) => path.join(scratch, name)) as [string, string];
const text = (name: string) => readFileSync(path.join(folders[0], name), 'utf8');

/** As `npm run build` does, in a process of its own: under vitest the configuration is that of the tests. */
async function build(outDir: string): Promise<void> {
  const { execFile } = await import('node:child_process');
  const { VITEST: _, NODE_ENV: __, ...env } = process.env;
  const args = [
    path.join(house, 'node_modules/vite/bin/vite.js'),
    'build',
    '--outDir',
    outDir,
    '--logLevel',
    'error',
  ];
  await new Promise<void>((resolve, reject) =>
    execFile(process.execPath, args, { cwd: house, env }, (error) => (error ? reject(error) : resolve())),
  );
}

beforeAll(async () => {
  for (const folder of folders) await build(folder);
}, 240_000);

describe('the built page', () => {
  test('is the same byte for byte when it is built again', () => {
    const [first, second] = folders.map(digestsOf);
    expect(Object.keys(first ?? {}).length).toBeGreaterThan(20);
    expect(second).toEqual(first);
    expect(readFileSync(path.join(folders[1], SERVICE_WORKER), 'utf8')).toBe(text(SERVICE_WORKER));
  });

  test('has its policy before anything else, and nothing inline', () => {
    const html = text('index.html').replaceAll('&#39;', "'");
    expect(html).toContain(`http-equiv="Content-Security-Policy" content="${pagePolicy}"`);
    expect(html.indexOf('Content-Security-Policy')).toBeLessThan(html.indexOf('<script'));
    expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=/);
  });

  test('shows its first view after at most 82 kB of script, and loads charts, dialogs and other panels later', () => {
    // Scripts that index.html names, and what these import at once.
    const first = new Set<string>();
    const follow = (file: string) => {
      if (first.has(file)) return;
      first.add(file);
      for (const [, other] of text(file).matchAll(/(?:\bfrom|\bimport)\s*["']\.\/([^"']+\.js)["']/g))
        follow(`assets/${other}`);
    };
    for (const [, file] of text('index.html').matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.js)"/g))
      follow(file as string);
    const bytes = [...first].map((file) => gzipSync(text(file), { level: 9 }).length);
    const sum = bytes.reduce((total, one) => total + one, 0);
    console.warn(`Script before the first view: ${(sum / 1000).toFixed(1)} kB gzip in ${first.size} files`);
    expect(sum).toBeLessThanOrEqual(82_000);

    // The rest is there, a part of the build that the service worker knows.
    const later = Object.keys(digestsOf(folders[0])).filter(
      (file) => file.endsWith('.js') && !first.has(file),
    );
    for (const part of [
      'RunStage',
      'DataRoom',
      'HubPicker|ModelChoice',
      'Guide',
      'EvaluatePanel',
      'SweepPanel',
      'DecidePanel',
    ])
      expect(
        later.some((file) => new RegExp(`/(${part})-`).test(file)),
        part,
      ).toBe(true);
    const charts = Object.keys(digestsOf(folders[0])).filter(
      (file) => file.endsWith('.js') && text(file).includes('chartjs'),
    );
    expect(charts.length).toBeGreaterThan(0);
    expect(charts.filter((file) => first.has(file))).toEqual([]);
  });

  test('has a notice and an entry of the SBOM for every package that it needs to run', () => {
    const { dependencies } = JSON.parse(readFileSync(path.join(house, 'package.json'), 'utf8'));
    const { components } = JSON.parse(text(SBOM));
    const notices = text(NOTICES);
    for (const [name, version] of [
      ...Object.entries(dependencies),
      ...shippedPackages().map((p) => [p.name, p.version]),
    ]) {
      expect(components).toContainEqual(expect.objectContaining({ name, version }));
      expect(notices).toContain(`${name} ${version} (`);
    }
    expect(notices).toContain('Apache License');
    expect(components.find((c: { name: string }) => c.name === 'svelte')).toBeDefined();
  });

  test('has a service worker with the digest of every file', () => {
    const listed = /const FILES = (\{[^}]*\})/.exec(text(SERVICE_WORKER))?.[1];
    expect(JSON.parse(listed ?? '')).toEqual(digestsOf(folders[0]));
    expect(text(SERVICE_WORKER)).not.toContain('= __');
  });
});

describe('the headers', () => {
  test('allow no eval, nothing inline and no other host to the page', () => {
    for (const policy of [pagePolicy, workerPolicy]) {
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toMatch(/'unsafe-(eval|inline)'/);
    }
    expect(pagePolicy).toMatch(/connect-src 'self';/);
    expect(headersOf('/x/assets/a.js')['Content-Security-Policy']).toBe(workerPolicy);
    expect(headersOf('/')).toMatchObject({
      'Cross-Origin-Embedder-Policy': 'require-corp',
      'Referrer-Policy': 'no-referrer',
      'Permissions-Policy': expect.stringContaining('camera=()'),
    });
  });
});
