// One case: drawn from its number, read, and judged: no raw error, no sentence without a bound, no change of what all objects inherit.
// Not here: what is drawn and read (targets.ts), the limit on time of a case that never ends (fuzz.mjs, program.ts).

import { PlaygroundError } from '../../src/errors';
import { Draw } from './draw';
import type { Files } from './seedFiles';
import { TARGET_NAMES, TARGETS, type Target, type TargetName } from './targets';

/** Processor time that a case may take. */
export const LIMIT_SECONDS = 2;
/** Characters of a sentence that a person still reads. */
const LONGEST_SENTENCE = 1000;

export interface FuzzCase {
  target: TargetName;
  files: Files;
}

/** The cases of a seed go through the targets in turn. */
export function drawCase(seed: number, targets: readonly TargetName[] = TARGET_NAMES): FuzzCase {
  const target = targets[seed % targets.length] as TargetName;
  return { target, files: TARGETS[target].draw(new Draw(seed)) };
}

/** Words of the machine, not of this program. */
const RAW =
  /Maximum call stack|is not a function|is not iterable|Cannot (read|convert|set|destructure|mix)|undefined is|\[object |native code|Invalid array length|Invalid string length|out of memory|Invalid typed array|is not a constructor|Something went wrong/;

/** What is wrong with a sentence that people see; null when nothing is. */
function wrongSentence(sentence: unknown, what: string): string | null {
  if (typeof sentence !== 'string' || sentence === '') return `${what} is ${String(sentence)}`;
  if (sentence.length > LONGEST_SENTENCE)
    return `${what} has ${sentence.length} characters: ${sentence.slice(0, 120)}…`;
  const raw = sentence.match(RAW);
  if (raw) return `${what} has “${raw[0]}”: ${sentence.slice(0, 200)}`;
  if (
    /(?<![\d,.])1 (rows|tokens|steps|files|tensors|characters|layers|bytes|lines|messages)\b/.test(sentence)
  )
    return `${what} says “1 …s”: ${sentence.slice(0, 200)}`;
  return null;
}

function wrongError(error: PlaygroundError): string | null {
  if (!/^[a-z_]{3,40}$/.test(error.code) || error.code === 'unexpected') return `its code is ${error.code}`;
  return (
    wrongSentence(error.message, 'its message') ??
    wrongSentence(error.fix, `the cure of “${error.message.slice(0, 80)}”`) ??
    (error.where === undefined || error.where === '' ? null : wrongSentence(error.where, 'its place'))
  );
}

/** Looks through a result for problems and notices and judges their sentences. */
function wrongResult(result: unknown, depth = 0): string | null {
  if (result instanceof PlaygroundError) return wrongError(result);
  if (typeof result !== 'object' || result === null || depth > 6 || ArrayBuffer.isView(result)) return null;
  if (Array.isArray(result)) {
    for (const item of result.slice(0, 300)) {
      const wrong = wrongResult(item, depth + 1);
      if (wrong) return wrong;
    }
    return null;
  }
  const entry = result as Record<string, unknown>;
  if (typeof entry.code === 'string' && typeof entry.message === 'string') {
    const wrong =
      wrongSentence(entry.message, `the issue ${entry.code}`) ??
      ('fix' in entry ? wrongSentence(entry.fix, `the cure of the issue ${entry.code}`) : null);
    if (wrong) return wrong;
  }
  if (Array.isArray(entry.notices)) {
    for (const notice of entry.notices) {
      const wrong = wrongSentence(notice, 'a notice');
      if (wrong) return wrong;
    }
  }
  if (typeof entry.understood === 'string' && entry.understood !== '') {
    const wrong = wrongSentence(entry.understood, 'what was understood');
    if (wrong) return wrong;
  }
  for (const item of Object.values(entry)) {
    const wrong = wrongResult(item, depth + 1);
    if (wrong) return wrong;
  }
  return null;
}

export interface Outcome {
  /** What is wrong; null when nothing is. */
  fault: string | null;
  /** What became of it: `read`, or the code of the refusal. */
  end: string;
  /** Processor time. */
  seconds: number;
}

/** Reads a case. Never rejects. @param target what reads it; another one in tests of the judge */
export async function tryCase(
  { target, files }: FuzzCase,
  { read }: Pick<Target, 'read'> = TARGETS[target],
): Promise<Outcome> {
  const before = process.cpuUsage();
  let end = 'read';
  let fault: string | null = null;
  try {
    fault = wrongResult(await read(files));
  } catch (thrown) {
    if (thrown instanceof PlaygroundError) {
      end = thrown.code;
      fault = wrongError(thrown);
    } else {
      end = 'raw';
      fault = `raw error: ${thrown instanceof Error ? (thrown.stack ?? thrown.message).slice(0, 700) : String(thrown)}`;
    }
  }
  const inherited = Object.keys(Object.prototype);
  if (inherited.length > 0) {
    fault = `all objects inherit ${inherited.join(', ')}`;
    for (const key of inherited) Reflect.deleteProperty(Object.prototype, key);
  }
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  if (fault === null && seconds > LIMIT_SECONDS) fault = `took ${seconds.toFixed(1)} s of processor time`;
  return { fault, end, seconds };
}
