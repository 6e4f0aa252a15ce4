// Files that are kept after the page is closed: folders in the browser's private file system (OPFS), or in memory where there is none.
// Not here: which files are kept and when a model is complete (hub.ts), downloading them (download.ts).

import { PlaygroundError } from '../errors';

/** Appends to one file. Bytes are stored after `close`; most of what was written before a crash is too. */
export interface Appending {
  write(bytes: Uint8Array<ArrayBuffer>): void | Promise<void>;
  close(): void | Promise<void>;
}

/** One level of folders, each with files. Names may hold any character that a file name may. */
export interface Store {
  /** False where files are lost when the page is closed. */
  readonly lasting: boolean;
  folders(): Promise<string[]>;
  /** Sizes in bytes by file name; empty when there is no such folder. */
  files(folder: string): Promise<Map<string, number>>;
  /** Null when there is no such file. */
  read(folder: string, file: string): Promise<Blob | null>;
  /**
   * Opens a file at byte `at`; what it held from there on is dropped. Makes folder and file when they are missing.
   * Throws `storage_busy` when somebody else (another tab) is writing it; writing throws `storage_full`.
   */
  append(folder: string, file: string, at: number): Promise<Appending>;
  /** One file, or the whole folder; nothing happens when it is not there. */
  remove(folder: string, file?: string): Promise<void>;
  /** Bytes that may still be written; null where that is unknown. */
  freeBytes(): Promise<number | null>;
}

/** The store of this name: lasting where the browser has a private file system, else in memory. */
export async function openStore(name: string): Promise<Store> {
  // Insecure addresses (http:// of another machine) and Node have no storage manager.
  const storage = globalThis.navigator?.storage as StorageManager | undefined;
  if (!storage?.getDirectory) return memoryStore();
  try {
    const root = await storage.getDirectory();
    return diskStore(await root.getDirectoryHandle(name, { create: true }), storage);
  } catch (thrown) {
    // In private windows of some browsers the function exists and throws.
    if (isNamed(thrown, 'SecurityError', 'NotAllowedError', 'UnknownError')) return memoryStore();
    throw translated(thrown, name);
  }
}

/** A store in memory, lost when the worker ends. */
export function memoryStore(): Store {
  const folders = new Map<string, Map<string, Blob>>();
  return {
    lasting: false,
    folders: async () => [...folders.keys()],
    files: async (folder) => new Map([...(folders.get(folder) ?? [])].map(([file, b]) => [file, b.size])),
    read: async (folder, file) => folders.get(folder)?.get(file) ?? null,
    append: async (folder, file, at) => {
      const files = folders.get(folder) ?? new Map<string, Blob>();
      folders.set(folder, files);
      const kept = files.get(file)?.slice(0, at) ?? new Blob();
      files.set(file, kept);
      const parts: Uint8Array<ArrayBuffer>[] = [];
      return {
        write: (bytes) => void parts.push(bytes.slice()),
        close: () => void files.set(file, new Blob([kept, ...parts])),
      };
    },
    remove: async (folder, file) => {
      if (file === undefined) folders.delete(folder);
      else folders.get(folder)?.delete(file);
    },
    freeBytes: async () => null,
  };
}

/** Written bytes are handed to the disk at least this often, so that a closed tab loses little. */
const FLUSH_BYTES = 16_000_000;

function diskStore(root: FileSystemDirectoryHandle, storage: StorageManager): Store {
  const folderOf = (folder: string) =>
    root.getDirectoryHandle(folder).catch((thrown: unknown) => nullWhenMissing(thrown, folder));
  const names = async (directory: FileSystemDirectoryHandle, kind: FileSystemHandleKind) => {
    const found: string[] = [];
    for await (const [name, handle] of directory.entries()) if (handle.kind === kind) found.push(name);
    return found;
  };
  const read = async (folder: string, file: string): Promise<File | null> => {
    const directory = await folderOf(folder);
    if (!directory) return null;
    try {
      return await (await directory.getFileHandle(file)).getFile();
    } catch (thrown) {
      return nullWhenMissing(thrown, file);
    }
  };
  return {
    lasting: true,
    folders: () => names(root, 'directory'),
    files: async (folder) => {
      const directory = await folderOf(folder);
      const sizes = new Map<string, number>();
      for (const file of directory ? await names(directory, 'file') : []) {
        sizes.set(file, (await read(folder, file))?.size ?? 0);
      }
      return sizes;
    },
    read,
    append: async (folder, file, at) => {
      try {
        const directory = await root.getDirectoryHandle(folder, { create: true });
        const handle = await directory.getFileHandle(file, { create: true });
        // Unlike a writable stream, which keeps all or nothing, this keeps what was written before the tab was closed.
        return grow(await handle.createSyncAccessHandle(), at, file);
      } catch (thrown) {
        throw translated(thrown, file);
      }
    },
    remove: async (folder, file) => {
      try {
        if (file === undefined) await root.removeEntry(folder, { recursive: true });
        else await (await folderOf(folder))?.removeEntry(file);
      } catch (thrown) {
        nullWhenMissing(thrown, file ?? folder);
      }
    },
    freeBytes: async () => {
      const { quota, usage } = await storage.estimate();
      return quota === undefined ? null : Math.max(0, quota - (usage ?? 0));
    },
  };
}

function grow(handle: FileSystemSyncAccessHandle, at: number, file: string): Appending {
  let end = at;
  let flushed = at;
  const guarded = (work: () => void) => {
    try {
      work();
    } catch (thrown) {
      throw translated(thrown, file);
    }
  };
  guarded(() => handle.truncate(at));
  return {
    write: (bytes) =>
      guarded(() => {
        const written = handle.write(bytes, { at: end });
        if (written !== bytes.length) throw full(file);
        end += written;
        if (end - flushed < FLUSH_BYTES) return;
        handle.flush();
        flushed = end;
      }),
    close: () => {
      try {
        guarded(() => handle.flush());
      } finally {
        handle.close();
      }
    },
  };
}

function isNamed(thrown: unknown, ...names: string[]): boolean {
  return thrown instanceof DOMException && names.includes(thrown.name);
}

function nullWhenMissing(thrown: unknown, where: string): null {
  if (isNamed(thrown, 'NotFoundError')) return null;
  throw translated(thrown, where);
}

function full(where: string, cause?: unknown): PlaygroundError {
  return new PlaygroundError(
    {
      code: 'storage_full',
      message: 'The browser has no more room for this page’s files.',
      fix: 'Delete models you no longer need, here or by clearing other sites’ data, then go on where it stopped.',
      where,
    },
    { cause },
  );
}

/** An error of the file system as a PlaygroundError, where it has one. */
function translated(thrown: unknown, where: string): unknown {
  if (isNamed(thrown, 'QuotaExceededError')) return full(where, thrown);
  if (isNamed(thrown, 'NoModificationAllowedError', 'InvalidStateError')) {
    return new PlaygroundError(
      {
        code: 'storage_busy',
        message: `Another tab of this page is using ${where}.`,
        fix: 'Wait until it is done, or close it.',
        where,
      },
      { cause: thrown },
    );
  }
  return thrown;
}
