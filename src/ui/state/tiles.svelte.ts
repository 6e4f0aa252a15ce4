// How matrix products are cut on this device, as the page knows it: settled in the worker after the engine's start, or measured again.
// Not here: measuring (worker), how it looks (ui/model/DeviceDialog.svelte).

import type { Session, TileReport } from '../../contract';
import { type ErrorDetails, errorDetails } from '../../errors';

export class Tiles {
  /** Null until they are settled, and where there are none to choose. */
  report: TileReport | null = $state.raw(null);
  error: ErrorDetails | null = $state.raw(null);
  settling = $state(false);
  private readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  /** Waits for the engine that has just started. Never rejects. */
  settle(): Promise<void> {
    return this.ask(() => this.session.tiles());
  }

  async measureAgain(): Promise<void> {
    if (!this.settling) await this.ask(() => this.session.measureTiles());
  }

  private async ask(question: () => Promise<TileReport | null>): Promise<void> {
    this.settling = true;
    this.error = null;
    try {
      this.report = await question();
    } catch (thrown) {
      this.error = errorDetails(thrown);
    } finally {
      this.settling = false;
    }
  }
}
