// Recorded runs that lie beside the page, each fetched when it is first shown.
// Not here: what a recording is (lessons/recording.ts), how it was made (models/eval/record-runs.mjs).

import type { Recording } from '../../lessons/recording';
import { fetchJson } from './pageFiles';

const fetched = new Map<string, Promise<Recording>>();

/** @throws PlaygroundError as `fetchJson`; what failed is fetched again when it is asked for again */
export function recording(id: string): Promise<Recording> {
  const known = fetched.get(id);
  if (known) return known;
  const coming = fetchJson<Recording>(`recordings/${id}.json`, 'A recorded run');
  fetched.set(id, coming);
  coming.catch(() => fetched.delete(id));
  return coming;
}
