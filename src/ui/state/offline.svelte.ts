// The page without a network: its service worker, and a new version that waits to be let in.
// Not here: what the service worker does (launch/serviceWorker.mjs), how the notice looks (ui/UpdateNotice.svelte).

import { RUN_LOCK } from '../../storedRuns';

/** Where the page was built; the development server has no service worker. */
const SCRIPT = 'sw.js';

export class Offline {
  /** A new version is there, and waits. */
  updateWaits = $state(false);
  /** It was not let in: another tab trains. */
  otherTabTrains = $state(false);
  #waiting: ServiceWorker | null = null;

  /** Registers the service worker, where browser and address allow it. The page works without one. */
  async start(): Promise<void> {
    if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
    try {
      const registration = await navigator.serviceWorker.register(new URL(SCRIPT, document.baseURI));
      this.#follow(registration);
    } catch (cause) {
      // Private windows and file addresses refuse it; then the page needs its network.
      console.warn('The page will not work without a network:', cause);
    }
  }

  #follow(registration: ServiceWorkerRegistration): void {
    const told = () => {
      // Without an earlier version there is nothing to replace.
      if (!registration.waiting || !navigator.serviceWorker.controller) return;
      this.#waiting = registration.waiting;
      this.updateWaits = true;
    };
    told();
    registration.addEventListener('updatefound', () =>
      registration.installing?.addEventListener('statechange', told),
    );
    // Let in by another tab: what this page has not loaded yet is no longer there.
    if (navigator.serviceWorker.controller)
      navigator.serviceWorker.addEventListener('controllerchange', () => {
        this.#waiting = null;
        this.updateWaits = true;
      });
  }

  /** Lets the new version in and loads the page again. Never called while a run is on: the notice offers it only then. */
  async update(): Promise<void> {
    if (this.#waiting === null) return location.reload();
    // A run of this tab that has just ended is being stored.
    if (!(await trainingEnds(STORING_CHECKS))) {
      this.otherTabTrains = true;
      await trainingEnds();
      this.otherTabTrains = false;
      return;
    }
    // Let in meanwhile, by another tab or an earlier press.
    if (this.#waiting === null) return location.reload();
    navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), { once: true });
    this.#waiting.postMessage({ kind: 'activate' });
  }
}

const CHECK_EVERY_MS = 250;
/** So often it is checked before a run counts as one that goes on. */
const STORING_CHECKS = 8;

/** @returns false where a tab of this page still trains after so many checks */
async function trainingEnds(checks = Number.POSITIVE_INFINITY): Promise<boolean> {
  for (let n = 0; await isTraining(); n++) {
    if (n >= checks) return false;
    await new Promise((later) => setTimeout(later, CHECK_EVERY_MS));
  }
  return true;
}

/** Whether any tab of this page trains a model. */
async function isTraining(): Promise<boolean> {
  const { held = [] } = await navigator.locks.query();
  return held.some(({ name = '' }) => name.startsWith(RUN_LOCK));
}
