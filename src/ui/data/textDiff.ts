// Two versions of a short text, as pieces that are the same, that went and that came. Words and marks are compared, not letters.
// Not here: how the pieces look (Diff.svelte).

export interface Piece {
  kind: 'same' | 'gone' | 'new';
  text: string;
}

/** Beyond so many cells of the table, what differs is one piece. */
const MAX_CELLS = 250_000;

const partsOf = (text: string) => text.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) ?? [];

/**
 * Longest common subsequence of words (Wagner & Fischer 1974), after the parts that both texts start and end with. Time and memory grow
 * with the product of what is between them; beyond MAX_CELLS that is shown as one change.
 */
export function textDiff(before: string, after: string): Piece[] {
  const [a, b] = [partsOf(before), partsOf(after)];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (
    tail < a.length - head &&
    tail < b.length - head &&
    a[a.length - 1 - tail] === b[b.length - 1 - tail]
  )
    tail++;
  const pieces: Piece[] = [];
  const add = (kind: Piece['kind'], text: string) => {
    const last = pieces.at(-1);
    if (text === '') return;
    if (last?.kind === kind) last.text += text;
    else pieces.push({ kind, text });
  };
  add('same', a.slice(0, head).join(''));
  const [from, to] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  if (from.length * to.length > MAX_CELLS) {
    add('gone', from.join(''));
    add('new', to.join(''));
  } else {
    // common[i][j]: parts in common of from[i…] and to[j…].
    const common = Array.from({ length: from.length + 1 }, () => new Uint16Array(to.length + 1));
    const at = (i: number, j: number) => common[i]?.[j] ?? 0;
    for (let i = from.length - 1; i >= 0; i--) {
      for (let j = to.length - 1; j >= 0; j--) {
        (common[i] as Uint16Array)[j] =
          from[i] === to[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
      }
    }
    let [i, j] = [0, 0];
    while (i < from.length || j < to.length) {
      if (i < from.length && j < to.length && from[i] === to[j]) {
        add('same', from[i] as string);
        i++;
        j++;
      } else if (j >= to.length || (i < from.length && at(i + 1, j) >= at(i, j + 1)))
        add('gone', from[i++] as string);
      else add('new', to[j++] as string);
    }
  }
  add('same', tail === 0 ? '' : a.slice(-tail).join(''));
  return pieces;
}
