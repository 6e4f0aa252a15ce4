// What is wrong with the page's layout as it stands, at each width and in both colour schemes: too wide, overlapping, off the screen.
// Not here: the states that are looked at (layout.spec.ts).

import type { Page } from '@playwright/test';

export const WIDTHS = [320, 390, 768, 1080, 1440];
const HEIGHT = 800;

/** Runs in the page: faults as sentences. */
function faultsNow(): string[] {
  const found: string[] = [];
  const wide = document.documentElement.clientWidth;
  const name = (e: Element) =>
    `<${e.tagName.toLowerCase()}${e.id ? ` id=${e.id}` : ''} class="${e.getAttribute('class') ?? ''}"> “${(e.textContent ?? '').trim().slice(0, 30)}”`;
  const seen = (e: Element) =>
    e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;
  /** Something between the element and the page clips it or lets it be scrolled into view. */
  const contained = (e: Element) => {
    for (let p = e.parentElement; p && p !== document.body; p = p.parentElement) {
      if (getComputedStyle(p).overflowX !== 'visible') return true;
    }
    return false;
  };
  /** For ears only, or parked outside until it is focused. */
  const unseen = (e: Element) => e.closest('.visually-hidden, .skip, option, svg') !== null;

  if (document.documentElement.scrollWidth > wide) {
    found.push(`the page is ${document.documentElement.scrollWidth} px wide in ${wide}`);
  }
  const modal = document.querySelector('dialog[open]');
  for (const element of document.body.querySelectorAll('*')) {
    if (!seen(element) || unseen(element) || contained(element)) continue;
    const { left, right } = element.getBoundingClientRect();
    if (left < -1 || right > wide + 1) {
      found.push(`${name(element)} reaches from ${Math.round(left)} to ${Math.round(right)} of ${wide}`);
    }
  }
  const cards = [...document.querySelectorAll('.card')].filter(seen);
  for (const [i, a] of cards.entries()) {
    const one = a.getBoundingClientRect();
    for (const b of cards.slice(i + 1)) {
      const two = b.getBoundingClientRect();
      const across = Math.min(one.right, two.right) - Math.max(one.left, two.left);
      const down = Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top);
      if (across > 1 && down > 1) found.push(`${name(a)} lies over ${name(b)}`);
    }
    // A card clips nothing that it does not let scroll: what is wider than the card would be cut off or run under its neighbour.
    for (const inside of a.querySelectorAll('*')) {
      if (!seen(inside) || unseen(inside) || inside.closest('dialog, [popover]')) continue;
      let clip: Element | null = inside.parentElement;
      while (clip && clip !== a && getComputedStyle(clip).overflowX === 'visible') clip = clip.parentElement;
      if (clip !== a) continue;
      const { left, right, width } = inside.getBoundingClientRect();
      if (width > 0 && (left < one.left - 1 || right > one.right + 1)) {
        found.push(
          `${name(inside)} sticks out of its card by ${Math.round(Math.max(one.left - left, right - one.right))} px`,
        );
      }
    }
  }
  if (modal) {
    const box = modal.getBoundingClientRect();
    if (box.left < 0 || box.top < 0 || box.right > wide + 1 || box.bottom > innerHeight + 1) {
      found.push(
        `the window reaches from ${box.left}, ${box.top} to ${box.right}, ${box.bottom} of ${wide} × ${innerHeight}`,
      );
    }
    for (const part of [modal, ...modal.querySelectorAll('.content')]) {
      if (part.scrollWidth > part.clientWidth + 1) found.push(`${name(part)} must be scrolled sideways`);
    }
    const close = modal.querySelector('button[aria-label="Close"]');
    const at = close?.getBoundingClientRect();
    const hit = at && document.elementFromPoint(at.left + at.width / 2, at.top + at.height / 2);
    if (!close || !hit || !close.contains(hit)) found.push('the close button cannot be reached');
  }
  for (const bubble of document.querySelectorAll(':popover-open')) {
    const box = bubble.getBoundingClientRect();
    if (box.left < 0 || box.top < 0 || box.right > wide || box.bottom > innerHeight) {
      found.push(`${name(bubble)} is not wholly on the screen`);
    }
  }
  return [...new Set(found)];
}

/** Faults of the page in its present state: none when it is sound. */
export async function layoutFaults(
  page: Page,
  prepare: () => Promise<void> = async () => {},
): Promise<string[]> {
  const before = page.viewportSize();
  const all: string[] = [];
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: HEIGHT });
    await prepare();
    // A chart follows the size of its place a frame later.
    await page.evaluate(
      () =>
        new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(drawn)))),
    );
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const faults = await page.evaluate(faultsNow);
      all.push(...faults.map((fault) => `${width} px, ${colorScheme}: ${fault}`));
    }
  }
  if (before) await page.setViewportSize(before);
  return all;
}

/** Pictures of the page in its present state at these widths, light and dark, into the folder that the variable SHOTS names; none without it. */
export async function shots(
  page: Page,
  state: string,
  prepare: () => Promise<void> = async () => {},
): Promise<void> {
  const folder = process.env.SHOTS;
  if (folder === undefined || folder === '') return;
  const before = page.viewportSize();
  for (const width of WIDTHS) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await prepare();
      await page.screenshot({
        path: `${folder}/${state.replaceAll(' ', '-')}-${width}-${colorScheme}.png`,
        fullPage: (await page.locator('dialog[open]').count()) === 0,
      });
    }
  }
  if (before) await page.setViewportSize(before);
}
