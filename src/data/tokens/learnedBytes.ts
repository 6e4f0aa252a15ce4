// How many bytes of text the learned tokens of rows stand for, which bits per byte divide by.
// Not here: the formula (metrics/bitsPerByte.ts), the losses (engine/training/evaluate.ts).

import type { EncodedExample } from '../../contract';
import type { Tokenizer } from './tokenizer';

const utf8 = new TextEncoder();

/**
 * UTF-8 bytes of the text of all learned tokens. Special tokens, an end token for one, have a loss and no text: they count no byte.
 * The first token of a row has none before it, so it is neither measured nor counted. Where a learned stretch begins inside a character
 * of several tokens, its bytes are counted within three.
 */
export function learnedBytes(tokenizer: Tokenizer, rows: readonly EncodedExample[]): number {
  const bytesBefore = (ids: Int32Array, end: number) =>
    utf8.encode(tokenizer.decode(ids.subarray(0, end), { skipSpecial: true })).length;
  let bytes = 0;
  for (const { ids, mask } of rows) {
    for (let start = 1; start < ids.length; start++) {
      if (mask[start] !== 1) continue;
      let end = start;
      while (mask[end] === 1) end++;
      bytes += bytesBefore(ids, end) - bytesBefore(ids, start);
      start = end;
    }
  }
  return bytes;
}
