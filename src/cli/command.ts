// The type of a command, and the streams and platform it gets besides its arguments.
// Not here: the commands (train.ts, rate.ts, look.ts, talk.ts, chat.ts).

import type { Platform } from '../session/platform';
import type { Arguments, CommandLine } from './options';
import type { StopSignal } from './signals';
import type { Say } from './workbench';

export interface CommandContext {
  /** One line of the result, to standard output. */
  print: (line: string) => void;
  /** Part of a line of the result, at once. */
  write: (text: string) => void;
  /** One sentence to standard error. */
  say: Say;
  readStandardInput: () => Promise<string>;
  /** The lines of standard input as they come. */
  readLines: () => AsyncIterable<string>;
  /** Whether standard input is a terminal. */
  interactive: boolean;
  platform: Platform;
  /** Called when the command is asked to stop, once; a second request ends the program. Exit with `exitCodeOf` its signal. */
  onStop: (stop: (signal: StopSignal) => void) => void;
}

export interface Command extends CommandLine {
  /** Resolves to the exit code. */
  run(args: Arguments, context: CommandContext): Promise<number>;
}
