// The set-up steps that can be judged without doing them: fit Node versions, missing packages, advice, where browsers lie.
// Not here: the steps themselves, which a fresh clone shows.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { nodeIsFit } from '../../src/launch/nodeVersion.mjs';
import { house, installAdvice, missingPackages } from '../../src/launch/prerequisites.mjs';
import { findBrowser, usualPlaces } from './browser.mjs';

test.each([
  ['18.20.8', false],
  ['20.18.3', false],
  ['20.19.0', true],
  ['21.7.0', false],
  ['22.11.0', false],
  ['22.12.0', true],
  ['23.1.0', false],
  ['24.0.0', true],
  ['26.1.0', true],
])('Node %s is fit: %s', (version, fit) => expect(nodeIsFit(version)).toBe(fit));

test('packages are missing until npm has finished, and when their version differs', () => {
  const root = mkdtempSync(path.join(tmpdir(), 'house-'));
  const lock = (packages: object) => JSON.stringify({ packages });
  const wanted = {
    '': {},
    'node_modules/a': { version: '1.0.0' },
    'node_modules/b': { version: '2.0.0', optional: true },
  };
  writeFileSync(path.join(root, 'package-lock.json'), lock(wanted));
  expect(missingPackages(root)).toEqual(['node_modules/a']);
  mkdirSync(path.join(root, 'node_modules'));
  expect(missingPackages(root)).toEqual(['node_modules/a']);
  const hidden = path.join(root, 'node_modules', '.package-lock.json');
  writeFileSync(hidden, lock({ 'node_modules/a': { version: '0.9.0' } }));
  expect(missingPackages(root)).toEqual(['node_modules/a']);
  writeFileSync(hidden, lock({ 'node_modules/a': { version: '1.0.0' } }));
  expect(missingPackages(root)).toEqual([]);
  rmSync(root, { recursive: true });
});

test.each([
  ['npm error code ENOTFOUND', /network/],
  ['npm error code EACCES', /writable/],
  ['npm error code ENOSPC', /disk is full/],
  ['npm error code EUSAGE', /npm install/],
  ['npm error something else', /delete node_modules/],
])('%s leads to advice', (output, advice) => expect(installAdvice(output)).toMatch(advice));

test('browsers are looked for where each system keeps them', () => {
  expect(usualPlaces('linux', { PATH: '/a:/b' })).toContain('/b/google-chrome');
  expect(usualPlaces('darwin', { HOME: '/me' })).toContain(
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  );
  const windows = usualPlaces('win32', { PROGRAMFILES: 'C:\\Program Files' });
  expect(windows).toContain('C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe');
  expect(windows).toHaveLength(3);
});

test('CHROME_PATH decides, and a wrong one is not replaced in silence', () => {
  const before = process.env.CHROME_PATH;
  process.env.CHROME_PATH = path.join(house, 'no-such-browser');
  expect(findBrowser()).toBeNull();
  process.env.CHROME_PATH = path.join(house, 'package.json');
  expect(findBrowser()).toBe(process.env.CHROME_PATH);
  if (before === undefined) delete process.env.CHROME_PATH;
  else process.env.CHROME_PATH = before;
});
