// Requests to stop a command (Ctrl+C, a closed terminal, kill, a closed pipe) and their exit codes.
// Not here: what a command does when it is stopped (train.ts, rate.ts).

import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGPIPE';

/** A closed pipe is an error of standard output: Node ignores the signal SIGPIPE. */
const CAUGHT = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** 128 + the signal's number, as shells have it. */
export function exitCodeOf(signal: StopSignal): number {
  return 128 + (constants.signals[signal] ?? 0);
}

/**
 * The same signal may arrive twice at once: the terminal sends it to npm and to its child, and npm forwards it. After this time it counts as
 * a second request.
 */
const REPEATED_MS = 500;

/** How often the parents are checked. */
const WATCH_MS = 1000;

/** The parent of a process; null where that is unknown. */
function parentOf(pid: number): number | null {
  const { status, stdout } = spawnSync('ps', ['-o', 'ppid=', '-p', String(pid)], { encoding: 'utf8' });
  const parent = Number.parseInt(stdout ?? '', 10);
  return status === 0 && parent > 1 ? parent : null;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * A signal to `npm run` alone does not reach this process: npm ends, or forwards it to the shell in between, which ends. So under npm the
 * end of either counts as a signal. (Without npm a parent may end while this process should go on.)
 */
function watchNpm(ended: () => void): void {
  if (process.env.npm_lifecycle_event === undefined || process.platform === 'win32') return;
  const shell = process.ppid;
  const npm = parentOf(shell);
  const watch = setInterval(() => {
    if (process.ppid === shell && (npm === null || isRunning(npm))) return;
    clearInterval(watch);
    ended();
  }, WATCH_MS);
  watch.unref();
}

let stopCommand: ((signal: StopSignal) => void) | null = null;

/**
 * Calls `stop` at the first signal of any kind. From half a second later on, any further signal ends the process at once.
 * @param stop asks the command to stop and write its result
 */
export function onStopSignal(stop: (signal: StopSignal) => void): void {
  let received = false;
  const ignore = () => {};
  const receive = (signal: StopSignal) => {
    if (received) return;
    received = true;
    // For half a second signals are ignored. Then no handler is left, so that the system ends the process even when it is busy.
    for (const name of CAUGHT) process.on(name, ignore).off(name, receive);
    setTimeout(() => {
      for (const name of CAUGHT) process.off(name, ignore);
    }, REPEATED_MS).unref();
    stop(signal);
  };
  for (const name of CAUGHT) process.on(name, receive);
  watchNpm(() => receive('SIGTERM'));
  stopCommand = receive;
}

/**
 * Handles a closed standard output (`| head` closes its pipe, a terminal is closed). A command with a stop handler stops as at a signal;
 * any other ends without an error.
 */
export function watchOutput(): void {
  const isClosed = (error: NodeJS.ErrnoException) => error.code === 'EPIPE' || error.code === 'EIO';
  process.stdout.on('error', (error) => {
    if (!isClosed(error)) throw error;
    if (stopCommand) stopCommand('SIGPIPE');
    else process.exit(0);
  });
  process.stderr.on('error', (error) => {
    // Messages to a closed standard error are dropped.
    if (!isClosed(error)) throw error;
  });
}
