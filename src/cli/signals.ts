// What asks a command to stop: Ctrl+C, a closed terminal, kill, a reader that has seen enough. And the exit codes that say so.
// Not here: what stopping means for a command (train.ts, rate.ts).

import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGPIPE';

/** SIGPIPE comes as an error of standard output: Node ignores the signal itself. */
const CAUGHT = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** 128 + the signal's number, as shells have it. */
export function exitCodeOf(signal: StopSignal): number {
  return 128 + (constants.signals[signal] ?? 0);
}

/**
 * The same signal may come twice at once: npm passes on to its child what the terminal has sent to both. Only later is it a second
 * request.
 */
const REPEATED_MS = 500;

const WATCH_MS = 1000;

/** The parent of a process; null where that cannot be told. */
function parentOf(pid: number): number | null {
  const { status, stdout } = spawnSync('ps', ['-o', 'ppid=', '-p', String(pid)], { encoding: 'utf8' });
  const parent = Number.parseInt(stdout ?? '', 10);
  return status === 0 && parent > 1 ? parent : null;
}

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * A signal to `npm run` alone does not come through: npm ends, or passes it on to the shell between it and us, which ends. So under npm
 * the end of either counts as one. (Elsewhere a parent may end and mean us to go on.)
 */
function watchNpm(ended: () => void): void {
  if (process.env.npm_lifecycle_event === undefined || process.platform === 'win32') return;
  const shell = process.ppid;
  const npm = parentOf(shell);
  const watch = setInterval(() => {
    if (process.ppid === shell && (npm === null || runs(npm))) return;
    clearInterval(watch);
    ended();
  }, WATCH_MS);
  watch.unref();
}

let stopCommand: ((signal: StopSignal) => void) | null = null;

/**
 * Hears the first signal of any kind, once; from half a second later on any further one ends the process at once, whatever it does.
 * @param stop asks for an orderly end
 */
export function onStopSignal(stop: (signal: StopSignal) => void): void {
  let heard = false;
  const ignore = () => {};
  const hear = (signal: StopSignal) => {
    if (heard) return;
    heard = true;
    // Ignored until then, and not ours any more afterwards, so that the system ends the process even when it is busy.
    for (const name of CAUGHT) process.on(name, ignore).off(name, hear);
    setTimeout(() => {
      for (const name of CAUGHT) process.off(name, ignore);
    }, REPEATED_MS).unref();
    stop(signal);
  };
  for (const name of CAUGHT) process.on(name, hear);
  watchNpm(() => hear('SIGTERM'));
  stopCommand = hear;
}

/**
 * A reader that has seen enough (`| head`) closes the pipe, and a terminal can go away. With nothing to lose that ends the program, and
 * is no error; a command that has asked to be told stops as at a signal.
 */
export function watchOutput(): void {
  const gone = (error: NodeJS.ErrnoException) => error.code === 'EPIPE' || error.code === 'EIO';
  process.stdout.on('error', (error) => {
    if (!gone(error)) throw error;
    if (stopCommand) stopCommand('SIGPIPE');
    else process.exit(0);
  });
  process.stderr.on('error', (error) => {
    // Nobody is left to be told.
    if (!gone(error)) throw error;
  });
}
