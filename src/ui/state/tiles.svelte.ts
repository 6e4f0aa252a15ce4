// How matrix products are cut on this device, as the page knows it: selected in the worker after the engine’s start, or measured again.
// Not here: measuring (worker), how it looks (ui/model/DeviceDialog.svelte).

import type { Session, TileReport } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';

export class Tiles {
  /** Null until they are selected, and where there are none to choose. */
  report: TileReport | null = $state.raw(null);
  error: ErrorDetails | null = $state.raw(null);
  loading = $state(false);
  private readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  /** Waits until the worker has selected them. Never rejects. */
  load(): Promise<void> {
    return this.ask(() => this.session.tiles());
  }

  async measureAgain(): Promise<void> {
    if (!this.loading) await this.ask(() => this.session.measureTiles());
  }

  private async ask(question: () => Promise<TileReport | null>): Promise<void> {
    this.loading = true;
    this.error = null;
    try {
      this.report = await question();
    } catch (thrown) {
      this.error = errorDetails(thrown);
    } finally {
      this.loading = false;
    }
  }
}
