// Reading a data file beside other work: pauses for messages, progress now and then, an end on demand.
// Not here: reading (data/streamedFile.ts), the rows that come out (dataset.ts).

import type { ReadControl } from '../data/streamedFile';
import type { ReadProgress } from '../dataReport';
import { PlaygroundError } from '../errors';
import { createPace, type Platform } from './platform';

/** Between two reports of progress. */
const REPORT_EVERY_MS = 100;

/**
 * Controls for the stages of reading one file.
 * @param signal ends the work at its next pause, which then rejects with PlaygroundError `reading_cancelled`
 */
export function readControl(
  platform: Pick<Platform, 'yieldToEvents'>,
  signal: AbortSignal,
  onProgress: (progress: ReadProgress) => void,
): (stage: ReadProgress['stage']) => ReadControl {
  const pace = createPace(platform);
  let reported = Number.NEGATIVE_INFINITY;
  return (stage) => ({
    onProgress(done, total) {
      const now = performance.now();
      if (done < total && now - reported < REPORT_EVERY_MS) return;
      reported = now;
      onProgress({ stage, done, total });
    },
    async pause() {
      await pace();
      if (!signal.aborted) return;
      throw new PlaygroundError({
        code: 'reading_cancelled',
        message: 'Reading the data was cancelled.',
        fix: 'Choose a file to read.',
      });
    },
  });
}
