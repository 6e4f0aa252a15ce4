// The page's platform: messages, kernel threads, and small records in the browser's private file system.
// Not here: Node's (cli/platform.ts), the file system itself (storage.ts), kernel threads (threads.ts).

import { shippedFileUnreachable } from '../session/generalRows';
import type { Platform, Records } from '../session/platform';
import { openStore, type Store } from './storage';
import { pageThreads } from './threads';

/** Posts a message to itself: it is handled after those that are waiting, and is not throttled as timers are. */
export function yieldToEvents(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

const openDevice = (): Promise<Store> => openStore('device');

/** A record is one JSON file in a folder of its name. */
export function storeRecords(open: () => Promise<Store> = openDevice): Records {
  const FILE = 'table.json';
  return {
    notLasting: async () => ((await open()).lasting ? null : 'This browser keeps no files for the page.'),
    read: async (name) => {
      const file = await (await open()).read(name, FILE);
      return file === null ? null : (JSON.parse(await file.text()) as unknown);
    },
    write: async (name, value) => {
      const file = await (await open()).append(name, FILE, 0);
      await file.write(new TextEncoder().encode(JSON.stringify(value)));
      await file.close();
    },
  };
}

/** Text of a file beside the page. @param site as of `pagePlatform` @throws PlaygroundError `shipped_file_unreachable` */
async function fetchText(path: string, site: () => string): Promise<string> {
  try {
    const response = await fetch(new URL(path, site()));
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return await response.text();
  } catch (cause) {
    throw shippedFileUnreachable(path, cause);
  }
}

/** @param site address of the page's folder, which is known when the session has started */
export function pagePlatform(site: () => string): Platform {
  return {
    appVersion: __APP_VERSION__,
    threads: pageThreads(),
    records: storeRecords(),
    shippedText: (path) => fetchText(path, site),
    yieldToEvents,
  };
}
