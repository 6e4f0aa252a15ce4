// The one error class that people see: a code, a sentence, what to do, and where.
// Not here: problems in the visitor's rows, which are values (`Issue` in contract.ts), never thrown.

export interface ErrorDetails {
  /** Stable, snake_case; tests and the page switch on it, never on the sentence. */
  code: string;
  /** One plain sentence that says what is wrong. */
  message: string;
  /** What the reader can do about it. */
  fix: string;
  /** File, line, step, tensor name …: the place, when there is one. */
  where?: string;
}

/** Characters of a sentence that a person still reads. What it quotes from a file may be a megabyte. */
export const LONGEST_SENTENCE = 600;

/** The sentence, without its middle where it is too long. */
export function boundedSentence(sentence: string): string {
  if (sentence.length <= LONGEST_SENTENCE) return sentence;
  const end = LONGEST_SENTENCE / 4;
  return `${sentence.slice(0, LONGEST_SENTENCE - end - 3)} … ${sentence.slice(-end)}`;
}

/** Its sentences are bounded, whatever they quote. */
export class PlaygroundError extends Error implements ErrorDetails {
  readonly code: string;
  readonly fix: string;
  readonly where?: string;

  constructor(details: ErrorDetails, options?: ErrorOptions) {
    super(boundedSentence(details.message), options);
    this.name = 'PlaygroundError';
    this.code = details.code;
    this.fix = boundedSentence(details.fix);
    if (details.where !== undefined) this.where = boundedSentence(details.where);
  }

  /** A structured-cloneable copy, for the wire and for JSON. */
  toJSON(): ErrorDetails {
    const { code, message, fix, where } = this;
    return where === undefined ? { code, message, fix } : { code, message, fix, where };
  }
}

/** Any thrown value as error details; an unexpected one keeps its own message and says so. */
export function errorDetails(thrown: unknown): ErrorDetails {
  if (thrown instanceof PlaygroundError) return thrown.toJSON();
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return {
    code: 'unexpected',
    message: boundedSentence(`Something went wrong that this page did not foresee: ${message}`),
    fix: 'Try the step again. If it happens again, report it with the text of this message.',
  };
}
