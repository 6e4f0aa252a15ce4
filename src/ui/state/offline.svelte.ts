// The page without a network: its service worker, and a new version that waits to be let in.
// Not here: what the service worker does (launch/serviceWorker.mjs), how the notice looks (ui/UpdateNotice.svelte).

/** Where the page was built; the development server has no service worker. */
const SCRIPT = 'sw.js';

export class Offline {
  /** A new version is there, and waits. */
  updateWaits = $state(false);
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
  }

  /** Lets the new version in and loads the page again. Never called while a run is on: the notice offers it only then. */
  update(): void {
    navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), { once: true });
    this.#waiting?.postMessage({ kind: 'activate' });
  }
}
