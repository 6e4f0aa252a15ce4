// Files that lie beside the page: their addresses, and reading one that is JSON.
// Not here: what is in them (samples.ts, the catalogue's type in contract.ts), a visitor's own files.

import { PlaygroundError } from '../../errors';

/** The address of a file beside the page. */
export const fromPage = (path: string) => new URL(path, document.baseURI).href;

/** @param what begins a sentence: “The list of models” @throws PlaygroundError `page_file_unreachable`, `page_file_missing`, `page_file_broken` */
export async function fetchJson<T>(path: string, what: string): Promise<T> {
  const url = fromPage(path);
  const response = await fetch(url).catch((cause: unknown) => {
    throw new PlaygroundError(
      {
        code: 'page_file_unreachable',
        message: `${what} could not be fetched.`,
        fix: 'Check that the page is served by a web server and that it still runs, then reload.',
        where: url,
      },
      { cause },
    );
  });
  if (!response.ok) {
    throw new PlaygroundError({
      code: 'page_file_missing',
      message: `${what} is missing from this site (${response.status}).`,
      fix: 'You can still use your own files. Whoever put this page online left out a folder.',
      where: url,
    });
  }
  try {
    return (await response.json()) as T;
  } catch (cause) {
    throw new PlaygroundError(
      {
        code: 'page_file_broken',
        message: `${what} is not readable JSON.`,
        fix: 'You can still use your own files. Whoever put this page online should copy the file again.',
        where: url,
      },
      { cause },
    );
  }
}
