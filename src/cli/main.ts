// The command line: finds the command, runs it, and turns what goes wrong into a sentence and an exit code.
// Not here: the commands (train.ts, sweep.ts, rate.ts, look.ts, talk.ts, chat.ts, export.ts), bundling (bundle.mjs).

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { errorDetails, PlaygroundError } from '../errors';
import { chat } from './chat';
import type { Command } from './command';
import { exportModel } from './export';
import { evaluate, inspect } from './look';
import { closest, helpOf, isUsageError, parseArguments } from './options';
import { nodePlatform } from './platform';
import { rate } from './rate';
import { onStopSignal, watchOutput } from './signals';
import { sweep } from './sweep';
import { generate } from './talk';
import { train } from './train';
import { ways } from './ways';

const COMMANDS: readonly Command[] = [
  train,
  sweep,
  rate,
  evaluate,
  ways,
  generate,
  chat,
  exportModel,
  inspect,
];

function usage(): string {
  return [
    'Fine-tunes, measures and asks small language models without a page.',
    '',
    ...COMMANDS.map(
      (c) => `  npm run -s cli -- ${c.name.padEnd(9)} ${c.summary.split('. ')[0]?.replace(/\.$/, '')}`,
    ),
    '',
    '  npm run -s cli -- COMMAND --help   its options and settings',
    '',
    'Exit codes: 0 done; 1 failed, or the run diverged; 2 wrongly called; 129, 130, 143 stopped by SIGHUP, Ctrl+C (SIGINT), SIGTERM,',
    'and 141 because standard output was closed: train stops after its step and writes what was learned. A second signal ends at once.',
  ].join('\n');
}

function commandOf(name: string): Command {
  const command = COMMANDS.find((c) => c.name === name);
  if (command) return command;
  const names = COMMANDS.map((c) => c.name);
  const meant = closest(name, names);
  throw new PlaygroundError({
    code: 'bad_usage',
    message: `There is no command “${name}”.`,
    fix: meant === null ? `The commands are ${names.join(', ')}.` : `Did you mean ${meant}?`,
  });
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Of a terminal too: its own line editing is enough, and Ctrl+C stays what it is. */
async function* readLines(): AsyncGenerator<string> {
  yield* createInterface({ input: process.stdin, terminal: false });
}

/**
 * Runs one command line; never rejects.
 * @param house the repository's root folder
 * @returns the exit code
 */
export async function main(argv: readonly string[], house: string): Promise<number> {
  const [name, ...rest] = argv;
  const say = (sentence: string) => process.stderr.write(`${sentence}\n`);
  watchOutput();
  try {
    if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
      process.stdout.write(`${usage()}\n`);
      return name === undefined ? 2 : 0;
    }
    const command = commandOf(name);
    if (rest.some((word) => word === '--help' || word === '-h')) {
      process.stdout.write(`${helpOf(command)}\n`);
      return 0;
    }
    const args = parseArguments(command, rest);
    for (const warning of args.warnings) say(`warning: ${warning}`);
    const { version } = JSON.parse(await readFile(path.join(house, 'package.json'), 'utf8')) as {
      version: string;
    };
    return await command.run(args, {
      print: (line) => process.stdout.write(`${line}\n`),
      write: (text) => process.stdout.write(text),
      say,
      readStandardInput,
      readLines,
      interactive: process.stdin.isTTY === true,
      platform: nodePlatform(version, house),
      onStop: onStopSignal,
    });
  } catch (thrown) {
    const { message, fix, where } = errorDetails(thrown);
    const usageError = thrown instanceof PlaygroundError && isUsageError(thrown);
    say(`error: ${message}`);
    if (where !== undefined && !usageError) say(`  where: ${where}`);
    say(`  fix: ${fix}`);
    if (!(thrown instanceof PlaygroundError) && thrown instanceof Error) say(thrown.stack ?? '');
    return usageError ? 2 : 1;
  }
}
