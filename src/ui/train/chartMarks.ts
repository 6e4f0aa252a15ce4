// What is painted over the loss chart by hand: the rule at the step being read, names at the ends of lines, arrows where they come down from above.
// Not here: the lines themselves and where the marks belong (LossChart.svelte, chartLines.ts).

import { loss } from '../parts/format';
import { tokenColour } from '../state/theme.svelte';
import { COLOUR, type LineKey, spread } from './chartLines';

/** The plot inside the axes, in pixels. */
interface Area {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** A rule over everything at pixel `x`. */
export function paintRule(pen: CanvasRenderingContext2D, area: Area, x: number, width = 1): void {
  if (x < area.left || x > area.right) return;
  pen.save();
  pen.strokeStyle = tokenColour('--ink-2');
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(x, area.top);
  pen.lineTo(x, area.bottom);
  pen.stroke();
  pen.restore();
}

export interface Arrow {
  key: LineKey;
  /** Pixels. */
  x: number;
  /** The line's highest loss. */
  highest: number;
}

/** An arrow at the top for each line that comes down there, and how high the highest of them was. */
export function paintArrows(pen: CanvasRenderingContext2D, area: Area, all: readonly Arrow[]): void {
  const arrows = all.filter(({ x }) => x >= area.left && x <= area.right);
  if (arrows.length === 0) return;
  pen.save();
  for (const { key, x } of arrows) {
    pen.fillStyle = tokenColour(COLOUR[key]);
    pen.beginPath();
    pen.moveTo(x, area.top - 4);
    pen.lineTo(x - 5, area.top + 5);
    pen.lineTo(x + 5, area.top + 5);
    pen.fill();
  }
  pen.fillStyle = tokenColour('--muted');
  pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  pen.textBaseline = 'middle';
  const text = `from ${loss(Math.max(...arrows.map((a) => a.highest)))}`;
  const beside = Math.max(...arrows.map((a) => a.x)) + 9;
  const width = pen.measureText(text).width;
  // Where there is no room to the right of the last arrow, left of the first.
  const first = Math.min(...arrows.map((a) => a.x)) - 9 - width;
  pen.fillText(text, beside + width > area.right && first > area.left ? first : beside, area.top + 3);
  pen.restore();
}

export interface EndLabel {
  text: string;
  /** A colour that a canvas understands. */
  colour: string;
  /** Where the line ends, in pixels. */
  x: number;
  y: number;
}

/** The name of each line at its end, to the right of it, or to the left where the chart ends there. */
export function paintEndLabels(
  pen: CanvasRenderingContext2D,
  area: Area,
  all: readonly EndLabel[],
  font: { size: number; family: string },
): void {
  const labels = all.filter(({ x, y }) => x >= area.left && x <= area.right + 1 && Number.isFinite(y));
  if (labels.length === 0) return;
  const heights = spread(
    labels.map(({ y }) => Math.max(area.top, Math.min(area.bottom, y))),
    1.25 * font.size,
    area.top + font.size,
    area.bottom - font.size / 2,
  );
  pen.save();
  pen.font = `600 ${font.size}px ${font.family}`;
  pen.textBaseline = 'middle';
  labels.forEach(({ text, colour, x }, i) => {
    const right = x + 7 + pen.measureText(text).width <= pen.canvas.clientWidth;
    pen.textAlign = right ? 'left' : 'right';
    pen.fillStyle = colour;
    pen.fillText(text, right ? x + 7 : x - 7, heights[i] as number);
  });
  pen.restore();
}
