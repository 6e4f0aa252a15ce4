// Light, dark, or as the system says: the choice, kept in this browser, and a signal for whoever paints on a canvas.
// Not here: the colours (app.css).

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'theme';

class ThemeChoice {
  value: Theme = $state('system');
  /** Counts changes of what is really shown; a canvas repaints when it moves. */
  revision = $state(0);

  set(value: Theme): void {
    this.value = value;
    if (value === 'system') document.documentElement.removeAttribute('data-theme');
    else document.documentElement.dataset.theme = value;
    this.revision++;
    try {
      localStorage.setItem(KEY, value);
    } catch {
      // Storage can be forbidden (private windows, embedded pages); the choice then lasts as long as the page.
    }
  }
}

export const theme = new ThemeChoice();

/** Applies the kept choice before the first paint, and follows the system while the choice is "system". */
export function restoreTheme(): void {
  let kept: string | null = null;
  try {
    kept = localStorage.getItem(KEY);
  } catch {
    kept = null;
  }
  if (kept === 'light' || kept === 'dark') theme.set(kept);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    theme.revision++;
  });
}

const resolved = new Map<string, string>();
let resolvedAt = -1;

/** A design token as a colour that a canvas understands. Asking the browser costs a style pass, so answers are kept. */
export function tokenColour(token: string): string {
  if (resolvedAt !== theme.revision) {
    resolved.clear();
    resolvedAt = theme.revision;
  }
  const known = resolved.get(token);
  if (known !== undefined) return known;
  const probe = document.createElement('span');
  probe.style.color = `var(${token})`;
  probe.hidden = true;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  resolved.set(token, colour);
  return colour;
}
