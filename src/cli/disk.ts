// Folders and files on this machine: reading a model's folder, writing what a command leaves behind.
// Not here: what is in the files (formats/).

import { existsSync, openAsBlob, readdirSync, statSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { OutFile } from '../engine/model/artifacts';
import { PlaygroundError } from '../errors';
import type { ModelFolder } from '../formats/huggingface';

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** A model folder; files are opened when asked for and read in slices. */
export function diskFolder(folder: string): ModelFolder {
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

/** Refuses a folder that already holds something, before any work is done that would be lost. */
export function assertWritable(folder: string, overwrite: boolean): void {
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory()) {
    throw new PlaygroundError({
      code: 'bad_output',
      message: `${folder} is a file, and the output is a folder.`,
      fix: 'Give another name to --out.',
      where: folder,
    });
  }
  if (overwrite || readdirSync(folder).length === 0) return;
  throw new PlaygroundError({
    code: 'bad_output',
    message: `${folder} is not empty.`,
    fix: 'Give another folder to --out, or add --overwrite.',
    where: folder,
  });
}

/** Writes the files into the folder, which is made when it is not there. */
export async function writeFiles(folder: string, files: readonly OutFile[]): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    for (const file of files) await writeFile(path.join(folder, file.path), file.bytes);
  } catch (cause) {
    throw new PlaygroundError(
      {
        code: 'bad_output',
        message: `The output cannot be written: ${reasonOf(cause)}`,
        fix: 'Check that the disk has room and that you may write there.',
        where: folder,
      },
      { cause },
    );
  }
}
