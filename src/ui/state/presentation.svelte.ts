// Presentation mode: the chart and the verdict alone, or a lesson alone, large, for a projector. Leaving it by key, by button or by the browser's own way.
// Not here: what is hidden and how large things are (app.css, ui/train/TrainPanel.svelte).

class Presentation {
  on = $state(false);
  what: 'run' | 'lesson' = $state('run');

  /** Full screen where the browser allows it; the page's own window where it does not (phones, embedded pages). */
  start(what: 'run' | 'lesson' = 'run'): void {
    this.what = what;
    this.set(true);
    void document.documentElement.requestFullscreen?.().catch(() => {});
  }

  end(): void {
    this.set(false);
    if (document.fullscreenElement) void document.exitFullscreen().catch(() => {});
  }

  /** Full screen was left by the browser's own key or button. */
  left(): void {
    if (!document.fullscreenElement) this.set(false);
  }

  private set(on: boolean): void {
    this.on = on;
    if (on) document.documentElement.dataset.presenting = this.what;
    else delete document.documentElement.dataset.presenting;
  }
}

export const presentation = new Presentation();
