// The search of catalogue lines for the rows and questions of Harbor & Pine: that of the page and the command line.
// Not here: the search itself (src/data/passageSearch.ts), the words around what it finds (harbor-conversations.mjs).

import { rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundle, house } from '../eval/commandLine.mjs';

/** A product as a line of the catalogue, as the template of the task file writes it. */
export const catalogueLine = (p) => `${p.name}: ${p.price} pounds, ${p.stock} in stock, ${p.material}.`;

/**
 * Makes searches of catalogues.
 * @returns {Promise<(products: object[]) => (question: string, count: number) => string[]>} of products, a function that finds lines for a
 *   question, the best first
 */
export async function catalogueSearch() {
  const file = await bundle(
    `export { PassageSearch } from '${path.join(house, 'src/data/passageSearch.ts')}';`,
  );
  const { PassageSearch } = await import(pathToFileURL(file).href);
  rmSync(file);
  return (products) => {
    const search = new PassageSearch(
      products.map((p, i) => ({ id: p.id, text: catalogueLine(p), file: 'catalogue.csv', line: i + 2 })),
    );
    return (question, count) => search.find(question, count).map(({ text }) => text);
  };
}
