// A copy of hub models as plain files, laid out as the hub answers, so that any static host serves them: for a room without internet.
// Not here: the page's own reading of a hub (worker/hub.ts), the folder with page and mirror (classroom.mjs).
//
// How it works: per model the listing is asked for once; configuration, tokenizer, chat template and safetensors are downloaded to a temporary
// name, compared with the listing's SHA-256 (large files) or Git object id (small ones), and renamed. Files that are there and right are kept.
// The two answers of the hub's API that the page asks for are written last, so that a copy that is not complete is not offered.

import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { SetupError } from './prerequisites.mjs';

export const HUB = 'https://huggingface.co';
/** What the page reads of a repository, and what says under which licence it may. */
const NEEDED = /^[^/]+\.(json|jinja|safetensors)$|^(README\.md|LICEN[CS]E(\.\w+)?)$/i;

/** @typedef {{ type: string, path: string, size: number, oid?: string, lfs?: { oid: string, size: number }, xetHash?: string }} Entry */

/** @param {string} url @param {string} id @returns {Promise<Response>} */
async function ask(url, id) {
  const response = await fetch(url).catch((cause) => {
    throw new SetupError(
      `${new URL(url).host} could not be reached.`,
      `Check the connection. (${cause.cause?.message ?? cause.message})`,
    );
  });
  if (response.ok) return response;
  throw new SetupError(
    `The hub answers ${response.status} for ${id} (${url}).`,
    response.status === 404 || response.status === 401
      ? 'Check the id; models that ask for an account are not copied.'
      : 'Try again later: files that are copied already are kept.',
  );
}

/** Names of the other page of a listing, by the Link header. @param {Response} response */
const nextPage = (response) =>
  /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1] ?? null;

/** @param {string} file @param {Entry} entry @returns {Promise<boolean>} whether the file is what the listing says */
async function isRight(file, entry) {
  const size = entry.lfs?.size ?? entry.size;
  if (!existsSync(file) || statSync(file).size !== size) return false;
  const expected = entry.lfs?.oid ?? (entry.xetHash ? null : entry.oid);
  if (!expected) return true;
  const hash = createHash(entry.lfs ? 'sha256' : 'sha1');
  if (!entry.lfs) hash.update(`blob ${size}\0`);
  for await (const piece of createReadStream(file)) hash.update(piece);
  return hash.digest('hex') === expected;
}

/**
 * Copies one model.
 * @param {string} id `organisation/name`, or with `@` and a revision behind it
 * @param {string} folder of the mirror
 * @param {{ hub?: string, say?: (line: string) => void }} [options]
 * @returns {Promise<{ id: string, commit: string, bytes: number }>}
 */
export async function mirrorModel(id, folder, { hub = HUB, say = () => {} } = {}) {
  const [name = '', revision = 'main'] = id.split('@');
  if (!/^[\w.-]+\/[\w.-]+$/.test(name) || !/^[\w.-]+$/.test(revision) || /(^|\/)\.+(\/|$)/.test(name))
    throw new SetupError(`“${id}” is not the id of a model.`, 'Write it as the hub does: organisation/name.');
  const api = `${hub}/api/models/${name}`;
  const info = await (await ask(`${api}/revision/${revision}`, name)).json();
  if (typeof info.sha !== 'string' || !/^[\w-]{4,}$/.test(info.sha))
    throw new SetupError(`${hub} answers, but not as a Hugging Face hub does.`, 'Check its address.');
  /** @type {Entry[]} */
  const entries = [];
  for (let page = `${api}/tree/${info.sha}?recursive=true`; page; ) {
    const response = await ask(page, name);
    entries.push(...(await response.json()));
    page = nextPage(response) ?? '';
  }
  const files = entries.filter((entry) => entry.type === 'file' && NEEDED.test(entry.path));
  if (!files.some(({ path: file }) => file.endsWith('.safetensors')))
    throw new SetupError(`${name} has no safetensors.`, 'Choose the repository with the model itself.');
  const kept = path.join(folder, name, 'resolve', info.sha);
  mkdirSync(kept, { recursive: true });
  let bytes = 0;
  for (const entry of files) {
    const file = path.join(kept, entry.path);
    bytes += entry.lfs?.size ?? entry.size;
    if (await isRight(file, entry)) continue;
    say(`${name}: ${entry.path}, ${((entry.lfs?.size ?? entry.size) / 1e6).toFixed(1)} MB`);
    const response = await ask(`${hub}/${name}/resolve/${info.sha}/${encodeURIComponent(entry.path)}`, name);
    const draft = `${file}.part`;
    await pipeline(/** @type {any} */ (response.body), createWriteStream(draft));
    if (!(await isRight(draft, entry)))
      throw new SetupError(
        `${entry.path} of ${name} did not arrive as the hub says it is.`,
        'Run the command again.',
      );
    renameSync(draft, file);
  }
  const answers = path.join(folder, 'api', 'models', name);
  for (const known of new Set([revision, 'main', info.sha]))
    write(path.join(answers, 'revision', known), info);
  write(path.join(answers, 'tree', info.sha), files);
  return { id: name, commit: info.sha, bytes };
}

/** @param {string} file @param {unknown} value */
function write(file, value) {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(`${file}.part`, JSON.stringify(value));
  renameSync(`${file}.part`, file);
}

/**
 * The complete models of a mirror, with what the page's list says of a model.
 * @param {string} folder
 */
export function mirroredModels(folder) {
  const root = path.join(folder, 'api', 'models');
  const below = (/** @type {string} */ at) => (existsSync(at) ? readdirSync(at) : []);
  const json = (/** @type {string} */ file) => JSON.parse(readFileSync(file, 'utf8'));
  return below(root).flatMap((owner) =>
    below(path.join(root, owner)).flatMap((name) => {
      const id = `${owner}/${name}`;
      const [commit] = below(path.join(root, id, 'tree'));
      if (commit === undefined) return [];
      const info = json(path.join(root, id, 'revision', commit));
      /** @type {Entry[]} */
      const files = json(path.join(root, id, 'tree', commit));
      const config = json(path.join(folder, id, 'resolve', commit, 'config.json'));
      const weights = files.filter((file) => file.path.endsWith('.safetensors'));
      const sizeBytes = weights.reduce((sum, file) => sum + (file.lfs?.size ?? file.size), 0);
      const licence = info.tags?.find((/** @type {string} */ tag) => tag.startsWith('license:'))?.slice(8);
      return [
        {
          ...{ id, sizeBytes, chat: files.some((file) => file.path === 'chat_template.jinja'), gated: false },
          // Files say neither of them in one place; weights of 16 bits are the usual ones.
          parameters: info.safetensors?.total ?? Math.round(sizeBytes / 2),
          contextLength: config.max_position_embeddings ?? config.n_positions ?? config.n_ctx ?? 2048,
          licence: licence ?? 'see its README.md',
          summary: 'From the mirror of this room.',
        },
      ];
    }),
  );
}
