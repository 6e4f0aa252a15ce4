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

export class PlaygroundError extends Error implements ErrorDetails {
  readonly code: string;
  readonly fix: string;
  readonly where?: string;

  constructor(details: ErrorDetails, options?: ErrorOptions) {
    super(details.message, options);
    this.name = 'PlaygroundError';
    this.code = details.code;
    this.fix = details.fix;
    if (details.where !== undefined) this.where = details.where;
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
    message: `Something went wrong that this page did not foresee: ${message}`,
    fix: 'Try the step again. If it happens again, report it with the text of this message.',
  };
}
