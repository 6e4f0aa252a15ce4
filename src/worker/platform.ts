// The page's platform: messages, kernel threads, and small records in the browser's private file system.
// Not here: Node's (cli/platform.ts), the file system itself (storage.ts), kernel threads (threads.ts).

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

export function pagePlatform(): Platform {
  return { appVersion: __APP_VERSION__, threads: pageThreads(), records: storeRecords(), yieldToEvents };
}
