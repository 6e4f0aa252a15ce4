// Keeps the focus in its panel when the control that had it goes away: after choosing a sample, at the end of a run, after an answer.
// Not here: dialogs, which give the focus back themselves (Dialog.svelte).

/** A panel, and where its focus goes when it would fall to the page: its first element of this kind that takes it. */
const REGION = '[data-focus-region]';
const HOME = '[data-focus-home]';

/** Gives the focus to the home of a region; nothing happens when there is none that takes it. */
export function focusHome(region: Element | null | undefined): void {
  for (const home of region?.querySelectorAll<HTMLElement>(HOME) ?? []) {
    home.focus({ preventScroll: true });
    if (document.activeElement === home) return;
  }
}

export const regionOf = (element: Element | null) => element?.closest(REGION) ?? null;

/** An attachment for the part of the page that holds the panels. */
export function keepFocus(root: HTMLElement): () => void {
  let last: { element: Element; region: Element | null } | null = null;
  const entered = ({ target }: FocusEvent) => {
    if (target instanceof Element) last = { element: target, region: regionOf(target) };
  };
  const left = ({ target, relatedTarget }: FocusEvent) => {
    // Who clicks beside everything wants no focus. What was removed is out of the page by the next microtask.
    queueMicrotask(() => {
      if (relatedTarget === null && target === last?.element && last.element.isConnected) last = null;
    });
  };
  const removed = new MutationObserver(() => {
    if (last === null || last.element.isConnected || document.activeElement !== document.body) return;
    const { region } = last;
    last = null;
    if (region?.isConnected) focusHome(region);
  });
  root.addEventListener('focusin', entered);
  root.addEventListener('focusout', left);
  removed.observe(root, { childList: true, subtree: true });
  return () => {
    root.removeEventListener('focusin', entered);
    root.removeEventListener('focusout', left);
    removed.disconnect();
  };
}
