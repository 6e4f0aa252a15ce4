// Whether a regular expression of tokenizer.json can be trusted with a visitor's text: one that backtracks without end cannot be stopped.
// Not here: the rest of tokenizer.json (tokenizerJson.ts), running it (tokenizer.ts).

/** Parts that may be left out, in one alternative; each doubles the ways of matching. Patterns in use have four. */
const MAX_OPTIONAL = 12;

/** A reason in words, or null. A pattern that repeats a repetition can take time that doubles with each letter. */
export function nestedRepetition(pattern: string): string | null {
  const groups: Group[] = [{ start: 0, repeats: false, branches: false }];
  let optional = 0;
  let closed: Group | null = null;
  for (let i = 0; i < pattern.length; ) {
    const group = groups.at(-1) as Group;
    const c = pattern[i] as string;
    if (c === '\\') {
      closed = null;
      i += /^\\[pPx]\{/.test(pattern.slice(i)) ? pattern.indexOf('}', i) + 1 - i || 2 : 2;
    } else if (c === '[') {
      closed = null;
      i = endOfClass(pattern, i);
    } else if (c === '(') {
      closed = null;
      groups.push({ start: i, repeats: false, branches: false });
      i += (GROUP_START.exec(pattern.slice(i)) as RegExpExecArray)[0].length;
    } else if (c === ')') {
      closed = groups.length > 1 ? (groups.pop() as Group) : null;
      const outer = groups.at(-1) as Group;
      if (closed) outer.repeats ||= closed.repeats;
      i++;
    } else if (c === '|') {
      closed = null;
      group.branches = true;
      if (groups.length === 1) optional = 0;
      i++;
    } else {
      const quantifier = /^(?:[*+?]|\{\d*,?\d*\})[?+]?/.exec(pattern.slice(i));
      if (!quantifier) {
        closed = null;
        i++;
        continue;
      }
      const [written] = quantifier;
      // Without end, or often enough.
      const much = /^[*+]|,\}|\d{2}/.test(written);
      // A possessive quantifier gives nothing back.
      const gives = !/.\+$/.test(written);
      if (much && gives && closed && (closed.repeats || closed.branches)) {
        const part = pattern.slice(closed.start, i + written.length);
        return `it repeats “${part.length > 40 ? `${part.slice(0, 40)}…` : part}”, which holds a repetition or a choice`;
      }
      const mayBeLeftOut = /^[*?]|^\{0?,/.test(written);
      if (mayBeLeftOut && ++optional > MAX_OPTIONAL)
        return `more than ${MAX_OPTIONAL} of its parts may be left out`;
      if (much || mayBeLeftOut) group.repeats = true;
      closed = null;
      i += written.length;
    }
  }
  return null;
}

/** A bracket and what kind of group it opens. */
const GROUP_START = /^\((?:\?(?:[a-zA-Z-]*:|[=!>]|<[=!]|P?<\w+>))?/;

interface Group {
  start: number;
  /** Holds a repetition, or something that may be left out. */
  repeats: boolean;
  branches: boolean;
}

/** One past the closing bracket of a class, which may hold classes. */
function endOfClass(pattern: string, start: number): number {
  let depth = 0;
  for (let i = start; i < pattern.length; i++) {
    if (pattern[i] === '\\') i++;
    else if (pattern[i] === '[') depth++;
    else if (pattern[i] === ']' && --depth <= 0) return i + 1;
  }
  return pattern.length;
}

/** What patterns of tokenizers distinguish. */
const KINDS = ['a', 'A', '0', ' ', '\n', '\t', "'", '!', '_', 'é', '中', 'ا'];
/** Where a pattern whose time grows with the third power, or doubles, has long taken too much. */
const SHORT = 1024;
const LONG = 8192;
/** A pattern that is sound takes under a millisecond for the longest text here. */
const PATIENCE_MS = 20;

/** Letters of a pattern, and words in it, that could make it slow. */
function unitsOf(patterns: readonly string[]): string[] {
  const text = patterns.join(' ').replace(/\\[pP]\{[^}]*\}|\\./g, ' ');
  const letters = [...new Set(text)].filter((c) => !KINDS.includes(c)).slice(0, 12);
  const words = [...new Set(text.match(/[\p{L}\p{N}]{2,8}/gu) ?? [])].slice(0, 6);
  return [...KINDS, ...letters, ...words];
}

export interface Slow {
  /** The letter that makes it slow, and how many of them. */
  unit: string;
  times: number;
  /** The time grows with the square of the text, not faster: short texts will do. */
  square: boolean;
}

/**
 * Whether cutting up a text takes more than about as long as the text is. Texts of one repeated letter, from short to long, so that one
 * that would take for ever is noticed while it still takes milliseconds.
 * @param cut what the patterns do
 * @param now a clock in milliseconds
 * @returns null where the time grows with the text
 */
export function slowText(
  patterns: readonly string[],
  cut: (text: string) => void,
  now: () => number = () => performance.now(),
): Slow | null {
  const timed = (text: string) => {
    const before = now();
    cut(text);
    return now() - before;
  };
  let slow: Slow | null = null;
  for (const unit of unitsOf(patterns)) {
    for (let times = 1; times * unit.length <= LONG; times = times < 48 ? times + 1 : times * 2) {
      const text = `${unit.repeat(times)}\u0001`;
      // A busy machine is slow once, a bad pattern every time.
      if (!(timed(text) > PATIENCE_MS && timed(text) > PATIENCE_MS && timed(text) > PATIENCE_MS)) continue;
      if (text.length <= SHORT + 1) return { unit, times, square: false };
      slow = { unit, times, square: true };
      break;
    }
  }
  return slow;
}
