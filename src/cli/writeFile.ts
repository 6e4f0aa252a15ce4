// A result that is one file: refused where one stands already, and written as a whole.
// Not here: results that are folders (output.ts).

import { existsSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { PlaygroundError } from '../errors';
import { reasonOf } from './disk';

/**
 * Refuses a file that should not be written, before any work is done.
 * @param inputs files that the command reads
 * @throws PlaygroundError `bad_output`
 */
export function assertNewFile(
  file: string,
  { option, overwrite, inputs }: { option: string; overwrite: boolean; inputs: readonly string[] },
): void {
  const refuse = (message: string, fix: string) =>
    new PlaygroundError({ code: 'bad_output', message, fix, where: file });
  if (inputs.some((input) => path.resolve(input) === path.resolve(file))) {
    throw refuse(
      `${file} is the file that is read.`,
      `Give another name to --${option}: the original stays.`,
    );
  }
  if (!existsSync(file)) return;
  if (statSync(file).isDirectory())
    throw refuse(`${file} is a folder.`, `Give the name of a file to --${option}.`);
  if (!overwrite)
    throw refuse(`${file} is there already.`, `Give another name to --${option}, or add --overwrite.`);
}

/**
 * Writes the pieces to a file beside it, and puts that in its place.
 * @throws PlaygroundError `bad_output`
 */
export async function writeWholeFile(file: string, pieces: readonly string[]): Promise<void> {
  const beside = path.join(path.dirname(file), `.${path.basename(file)}-${process.pid}`);
  try {
    const handle = await open(beside, 'w');
    try {
      for (const piece of pieces) await handle.writeFile(piece);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
  } catch (cause) {
    await rm(beside, { force: true });
    throw new PlaygroundError(
      {
        code: 'bad_output',
        message: `${file} could not be written: ${reasonOf(cause)}`,
        fix: 'Check that you may write there and that the disk has room.',
        where: file,
      },
      { cause },
    );
  }
}
