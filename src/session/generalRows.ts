// The files of general rows that are shipped with this program, read once for each platform.
// Not here: encoding them (data/generalRows.ts), the rows (public/general).

import { type DataFile, readDataFile } from '../data/dataFile';
import { PlaygroundError } from '../errors';
import type { Platform } from './platform';

/** Paths as of `Platform.shippedText`. */
const FILES = { replay: 'general/replay.jsonl', general_probe: 'general/probe.jsonl' } as const;

type GeneralFile = keyof typeof FILES;

const read = new WeakMap<object, Partial<Record<GeneralFile, Promise<DataFile>>>>();

/**
 * Read again after a failure only.
 * @throws PlaygroundError `shipped_file_unreachable`, `shipped_file_broken`
 */
export async function generalFile(
  which: GeneralFile,
  platform: Pick<Platform, 'shippedText'>,
): Promise<DataFile> {
  const known = read.get(platform) ?? {};
  read.set(platform, known);
  known[which] ??= readGeneral(FILES[which], platform);
  try {
    return await known[which];
  } catch (thrown) {
    delete known[which];
    throw thrown;
  }
}

async function readGeneral(path: string, platform: Pick<Platform, 'shippedText'>): Promise<DataFile> {
  const file = await readDataFile(path, await platform.shippedText(path));
  const error = file.issues.find(({ severity }) => severity === 'error');
  if (!error && file.examples.length > 0) return file;
  throw new PlaygroundError({
    code: 'shipped_file_broken',
    message: `The general rows of this program cannot be read${error ? `: ${error.message}` : '.'}`,
    fix: 'Copy the folder “general” of this program again.',
    where: path,
  });
}

/** The error of a platform that cannot read such a file. */
export const shippedFileUnreachable = (path: string, cause: unknown) =>
  new PlaygroundError(
    {
      code: 'shipped_file_unreachable',
      message: 'The general rows that are shipped with this program could not be read.',
      fix: 'Check that the page is still served, or that the folder “public/general” is complete.',
      where: path,
    },
    { cause },
  );
