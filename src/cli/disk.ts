// Folders and files on this machine, read: a model's folder, a file of rows.
// Not here: what is in the files (formats/), writing (output.ts).

import { existsSync, openAsBlob, readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { PlaygroundError } from '../errors';
import type { ModelFolder } from '../formats/huggingface';

/** The message of an error, for the end of a sentence. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** A model folder; files are opened when asked for and read in slices. */
export function diskFolder(folder: string): ModelFolder {
  if (/\.gguf$/i.test(folder) && existsSync(folder) && statSync(folder).isFile()) return fileAsFolder(folder);
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new PlaygroundError({
      code: 'folder_missing',
      message: `There is no folder ${folder}.`,
      fix: 'Give the folder of a model: the one with config.json, tokenizer.json and model.safetensors.',
      where: folder,
    });
  }
  const list = () => readdirSync(folder);
  return {
    list,
    has: (name) => existsSync(path.join(folder, name)),
    open: async (name) => {
      const there = list();
      const has = `${folder} has ${there.slice(0, 12).join(', ')}${there.length > 12 ? ', …' : ''}.`;
      if (!there.includes(name)) {
        throw new PlaygroundError({
          code: 'file_missing',
          message: `The folder has no ${name}.`,
          fix: `Give the folder of a model. ${has}`,
          where: folder,
        });
      }
      try {
        return await openAsBlob(path.join(folder, name));
      } catch (cause) {
        throw new PlaygroundError(
          {
            code: 'file_missing',
            message: `${name} cannot be read: ${reasonOf(cause)}`,
            fix: 'Check that you may read it.',
            where: path.join(folder, name),
          },
          { cause },
        );
      }
    },
  };
}

/** A GGUF file, which holds a whole model, as a folder of that one file. */
function fileAsFolder(file: string): ModelFolder {
  const name = path.basename(file);
  const folder = diskFolder(path.dirname(file));
  return { list: () => [name], has: (asked) => asked === name, open: folder.open };
}

/** A file that is read in slices as they are needed; what is no plain file (a pipe) is read at once. Throws as `readBytes`. */
export async function openData(file: string): Promise<Blob | Uint8Array> {
  const plain = existsSync(file) && statSync(file).isFile();
  if (!plain) return readBytes(file);
  try {
    return await openAsBlob(file);
  } catch {
    // It says why.
    return readBytes(file);
  }
}

/** @throws PlaygroundError `file_missing` when it cannot be read */
export async function readBytes(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new PlaygroundError(
      {
        code: 'file_missing',
        message: `${file} cannot be read: ${reasonOf(cause)}`,
        fix: 'Check the name of the file.',
        where: file,
      },
      { cause },
    );
  }
}
