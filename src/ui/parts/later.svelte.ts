// Parts of the page that are not needed for its first view: each is a chunk of its own, loaded when the browser is idle, or when it is opened.
// Not here: what stands in their place meanwhile (LaterNotice.svelte), keeping the chunks for a visit without a network (launch/serviceWorker.mjs).

import type { Component } from 'svelte';
import type { ErrorDetails } from '../../errors';

/** Longest wait for an idle moment. */
const SOON_MS = 1000;

/** One such part. */
export class Later<Props extends Record<string, unknown>> {
  /** Null until it has been loaded. */
  component: Component<Props> | null = $state.raw(null);
  problem: ErrorDetails | null = $state.raw(null);
  readonly #fetch: () => Promise<{ default: Component<Props> }>;
  #loading: Promise<void> | null = null;

  constructor(fetch: () => Promise<{ default: Component<Props> }>) {
    this.#fetch = fetch;
  }

  /** Loads it, once; after a failure again. Settles in either case: the failure is `problem`. */
  load(): Promise<void> {
    this.#loading ??= this.#try();
    return this.#loading;
  }

  async #try(): Promise<void> {
    this.problem = null;
    try {
      this.component = (await this.#fetch()).default;
    } catch (thrown) {
      this.#loading = null;
      this.problem = {
        code: 'part_missing',
        message: 'A part of this page could not be loaded.',
        fix: 'Check the network and try again. If the page was updated meanwhile, load it again; runs and rows are kept.',
        where: thrown instanceof Error ? thrown.message : String(thrown),
      };
    }
  }
}

const all: Later<never>[] = [];

/** A part that is loaded later. @param fetch `() => import('./Part.svelte')` */
export function later<Props extends Record<string, unknown>>(
  fetch: () => Promise<{ default: Component<Props> }>,
): Later<Props> {
  const part = new Later(fetch);
  all.push(part as unknown as Later<never>);
  return part;
}

/** Loads all parts one after the other, each in an idle moment after the page has been painted. */
export async function loadWhenIdle(): Promise<void> {
  await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
  for (const part of all) {
    await new Promise<unknown>((idle) =>
      'requestIdleCallback' in globalThis
        ? requestIdleCallback(idle, { timeout: SOON_MS })
        : setTimeout(idle, SOON_MS / 20),
    );
    await part.load();
  }
}
