// What is painted over the loss chart by hand: the rule at the step being read, arrows where lines come down from above, labels.
// Not here: the lines themselves and where the marks belong (LossChart.svelte, chartLines.ts), where labels stand (chartLabels.ts).

import { tokenColour } from '../state/theme.svelte';
import type { Area, Arrow, PlacedLabel } from './chartLabels';

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

/** An arrow at the top for each line that comes down there. */
export function paintArrows(pen: CanvasRenderingContext2D, area: Area, arrows: readonly Arrow[]): void {
  pen.save();
  for (const { colour, x } of arrows) {
    if (x < area.left || x > area.right) continue;
    pen.fillStyle = tokenColour(colour);
    pen.beginPath();
    pen.moveTo(x, area.top - 4);
    pen.lineTo(x - 5, area.top + 5);
    pen.lineTo(x + 5, area.top + 5);
    pen.fill();
  }
  pen.restore();
}

const fontOf = (font: { size: number; family: string }, bold: boolean) =>
  `${bold ? '600 ' : ''}${font.size}px ${font.family}`;

/** Width of a label in pixels. */
export function labelWidth(
  pen: CanvasRenderingContext2D,
  font: { size: number; family: string },
  text: string,
  bold: boolean,
): number {
  pen.save();
  pen.font = fontOf(font, bold);
  const { width } = pen.measureText(text);
  pen.restore();
  return width;
}

/** Labels at their places. */
export function paintLabels(
  pen: CanvasRenderingContext2D,
  font: { size: number; family: string },
  labels: readonly PlacedLabel[],
): void {
  pen.save();
  pen.textBaseline = 'middle';
  for (const { text, colour, bold, left, top, bottom } of labels) {
    pen.font = fontOf(font, bold);
    pen.fillStyle = tokenColour(colour);
    pen.fillText(text, left, (top + bottom) / 2);
  }
  pen.restore();
}
