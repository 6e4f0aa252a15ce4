// Errors across the worker boundary: both sides install this, so that code, message, fix and where are carried.
// Not here: the calls themselves (contract.ts `Session`), which comlink carries.

import { transferHandlers } from 'comlink';
import { type ErrorDetails, errorDetails, PlaygroundError } from '../errors';

/** Comlink's own handler keeps only message, name and stack of what was thrown. */
export function carryErrors(): void {
  const original = transferHandlers.get('throw');
  if (!original) throw new Error('comlink has changed: it no longer has a handler named "throw".');
  transferHandlers.set('throw', {
    canHandle: original.canHandle,
    serialize: (thrown: unknown): [ErrorDetails, Transferable[]] => [
      errorDetails((thrown as { value: unknown }).value),
      [],
    ],
    deserialize: (details: unknown): never => {
      throw new PlaygroundError(details as ErrorDetails);
    },
  } as never);
}
