// Which files of a model folder hold its weights: one file, the shards that an index names, or one file under another name.
// Not here: the container (safetensors.ts), whether the tensors fit the model (huggingface.ts), which other files a model needs.

import { PlaygroundError } from '../errors';

export const SINGLE_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';
const SHARD = /^model-\d+-of-\d+\.safetensors$/;
/** Weights in forms that are not read here. */
const OTHER_FORMS = /\.(bin|pt|pth|ckpt|h5|msgpack|gguf|onnx)$/;

export type WeightFiles =
  /** All tensors in one file, under the usual name or another. */
  | { kind: 'single'; file: string }
  /** An index that says which shard holds which tensor; `shards` as far as their names tell. */
  | { kind: 'index'; index: string; shards: string[] };

/** What is known of a folder: its list may be incomplete where files lie at an address; then `has` asks. */
export interface Listing {
  list(): readonly string[] | Promise<readonly string[]>;
  has(path: string): boolean | Promise<boolean>;
}

/**
 * Chooses as transformers does: `model.safetensors`, else the shards of its index, else the only other safetensors file at the top that is
 * no adapter.
 * @param what the subject of the error's sentence: a repository's name, or “This folder”
 * @returns null when there are no weights in any form
 * @throws PlaygroundError `weights_not_safetensors` when there are weights in another form only, or several files without an index
 */
export async function chooseWeightFiles(folder: Listing, what: string): Promise<WeightFiles | null> {
  if (await folder.has(SINGLE_FILE)) return { kind: 'single', file: SINGLE_FILE };
  const indexed = await folder.has(INDEX_FILE);
  const listed = await folder.list();
  const others = listed.filter((path) => /^[^/]+\.safetensors$/.test(path) && !path.startsWith('adapter'));
  if (indexed) {
    const shards = others.filter((path) => SHARD.test(path));
    return { kind: 'index', index: INDEX_FILE, shards: shards.length > 0 ? shards : others };
  }
  const [other] = others;
  if (other && others.length === 1) return { kind: 'single', file: other };
  const found = listed.find((path) => OTHER_FORMS.test(path));
  if (!found && others.length === 0) return null;
  const only = found ? `, only ${found}` : others.length > 1 ? `, but ${others.join(' and ')}` : '';
  throw new PlaygroundError({
    code: 'weights_not_safetensors',
    message: `${what} has no ${SINGLE_FILE}${only.slice(0, 200)}, and only safetensors are read here.`,
    fix: 'Many models have a second version of their files with model.safetensors; or load it once with transformers, call save_pretrained, and choose the folder here.',
    where: found ?? SINGLE_FILE,
  });
}

/**
 * The shards that an index names, sorted, and the tensors each is said to hold.
 * @param index content of `model.safetensors.index.json`
 * @throws PlaygroundError `bad_json_file` when it maps nothing, or names a file outside the folder
 */
export function shardsOf(index: Record<string, unknown>): Map<string, string[]> {
  const map = index.weight_map;
  const bad = (message: string) =>
    new PlaygroundError({
      code: 'bad_json_file',
      message,
      fix: 'Download the file again.',
      where: INDEX_FILE,
    });
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    throw bad(`${INDEX_FILE} has no “weight_map”.`);
  const shards = new Map<string, string[]>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== 'string' || file.includes('..') || file.startsWith('/'))
      throw bad(`${INDEX_FILE} names no file of this folder for “${tensor.slice(0, 80)}”.`);
    const tensors = shards.get(file);
    if (tensors) tensors.push(tensor);
    else shards.set(file, [tensor]);
  }
  return new Map([...shards].sort(([a], [b]) => (a < b ? -1 : 1)));
}
