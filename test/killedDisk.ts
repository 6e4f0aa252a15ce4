// Node's file functions for a command that is killed in this process: everything it changes below one folder is counted, and after the
// k-th change nothing of it happens any more.
// Not here: the tests (kills.test.ts), real processes (watchCli.test.ts), the page's disk (runDisk.ts).
//
// How it works: `killable` wraps node:fs and node:fs/promises for vi.mock. A change is a folder made, a file opened for writing, bytes
// written, a rename, or a removal. The change at which a life ends is not made; of bytes that are written then, a part is. From then on
// an awaited call never comes back, as in a process that is gone, and one that is not awaited throws.

import path from 'node:path';

export class Killed extends Error {}

/** What a command changed, and where it ends. */
export class Life {
  /** The changes in their order, such as `rename checkpoint.safetensors`. */
  readonly changes: string[] = [];
  dead = false;
  readonly #folder: string;
  readonly #changesLeft: number;
  #onEnd: () => void = () => {};
  /** Resolves when the command waits for something that will never come. */
  readonly end = new Promise<void>((resolve) => {
    this.#onEnd = resolve;
  });

  /** @param folder below which changes count @param changesLeft how many are made before it ends */
  constructor(folder: string, changesLeft = Number.POSITIVE_INFINITY) {
    this.#folder = folder;
    this.#changesLeft = changesLeft;
  }

  counts(file: unknown): file is string {
    return typeof file === 'string' && (file === this.#folder || file.startsWith(this.#folder + path.sep));
  }

  /** True where the change may be made. */
  allows(what: string, file: string): boolean {
    if (this.dead) return false;
    if (this.changes.length >= this.#changesLeft) this.dead = true;
    else this.changes.push(`${what} ${path.relative(this.#folder, file)}`);
    return !this.dead;
  }

  never(): Promise<never> {
    this.#onEnd();
    return new Promise(() => {});
  }
}

let life = new Life('');
/** Changes count for this life from now on. */
export function live(next: Life): void {
  life = next;
}

// biome-ignore lint/suspicious/noExplicitAny: it stands for every function of a module
type AnyFunction = (...args: any[]) => any;
type Module = Record<string, unknown>;

/** Wraps what changes files; each call belongs to the life in which it is made. */
export function killable<T extends object>(module: T): T {
  const original = module as Module;
  const isThere = (file: string) => (original.existsSync as ((f: string) => boolean) | undefined)?.(file);
  const wrapped: Module = { ...original };
  const replace = (name: string, make: (call: AnyFunction) => AnyFunction) => {
    if (typeof original[name] === 'function') wrapped[name] = make(original[name] as AnyFunction);
  };
  for (const name of ['mkdir', 'rename', 'rm', 'rmdir', 'unlink', 'appendFile', 'writeFile'])
    replace(name, (call) => async (...args: unknown[]) => {
      const now = life;
      if (!now.counts(args[0]) || original.existsSync) return call(...args);
      if (!now.allows(name, args[0])) return now.never();
      return call(...args);
    });
  for (const name of ['mkdirSync', 'renameSync', 'rmSync', 'appendFileSync', 'writeFileSync'])
    replace(name, (call) => (...args: unknown[]) => {
      const now = life;
      if (!now.counts(args[0])) return call(...args);
      if (name === 'mkdirSync' && isThere(args[0])) return call(...args);
      if (!now.allows(name, args[0])) throw new Killed();
      return call(...args);
    });
  if (!original.existsSync)
    replace('open', (call) => async (...args: unknown[]) => {
      const now = life;
      const [file, flags] = args;
      if (!now.counts(file) || flags === 'r' || flags === undefined) return call(...args);
      if (!now.allows('open', file)) return now.never();
      const handle = (await call(...args)) as Record<string, AnyFunction>;
      for (const name of ['write', 'writeFile']) {
        const write = (handle[name] as AnyFunction).bind(handle);
        handle[name] = async (...data: unknown[]) => {
          if (now.allows(name, file)) return write(...data);
          const bytes = Buffer.from(data[0] as string | Uint8Array);
          await write(bytes.subarray(0, bytes.length >> 1));
          return now.never();
        };
      }
      return handle;
    });
  return { ...wrapped, default: wrapped } as T;
}
