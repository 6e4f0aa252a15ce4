// The chart as a picture to keep: background, legend, the painted chart, a line that says what ran.
// Not here: painting the chart (LossChart.svelte).

import { tokenColour } from '../state/theme.svelte';
import { COLOUR, DASH, type LegendLine } from './chartLines';

const MARGIN = 16;
const HEAD = 40;
const FOOT = 36;

/** A PNG of a painted chart; null when the browser gives no canvas. `ratio` is the chart's device pixel ratio. */
export function chartPicture(
  chart: HTMLCanvasElement,
  ratio: number,
  lines: readonly LegendLine[],
  caption: string,
): Promise<Blob | null> {
  const picture = document.createElement('canvas');
  picture.width = chart.width + 2 * MARGIN * ratio;
  picture.height = chart.height + (HEAD + FOOT) * ratio;
  const pen = picture.getContext('2d');
  if (!pen) return Promise.resolve(null);
  const family = getComputedStyle(document.body).fontFamily;
  pen.fillStyle = tokenColour('--surface');
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.scale(ratio, ratio);
  pen.font = `13px ${family}`;
  let x = MARGIN;
  for (const { key, label } of lines) {
    pen.strokeStyle = tokenColour(COLOUR[key]);
    pen.lineWidth = 2;
    pen.setLineDash(DASH[key]);
    pen.beginPath();
    pen.moveTo(x, 22);
    pen.lineTo(x + 26, 22);
    pen.stroke();
    pen.fillStyle = tokenColour('--ink');
    pen.fillText(label, x + 33, 26);
    x += 57 + pen.measureText(label).width;
  }
  const height = chart.height / ratio;
  pen.drawImage(chart, MARGIN, HEAD, chart.width / ratio, height);
  pen.fillStyle = tokenColour('--muted');
  pen.font = `12px ${family}`;
  pen.fillText(caption, MARGIN, HEAD + height + 20);
  return new Promise((resolve) => picture.toBlob(resolve, 'image/png'));
}
