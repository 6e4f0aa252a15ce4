// What the proof of an export shows, in sentences.
// Not here: the comparison itself (session/exportProof.ts).

import type { ExportProof } from '../exportContract';

/** A number of logits: two digits, or 0. */
const shown = (value: number) =>
  value === 0 ? '0' : value < 1e-3 ? value.toExponential(1) : value.toPrecision(2);

export function proofSentence({ answers, sameAnswers, ...of }: ExportProof): string {
  const same =
    sameAnswers === answers
      ? `${answers} of ${answers} greedy answers are the same`
      : `${sameAnswers} of ${answers} greedy answers are the same to the last token`;
  const change =
    of.maxLogitChange === null
      ? ''
      : `; from the base model they differ by up to ${shown(of.maxLogitChange)}`;
  return `Read again and compared: ${same}, logits differ by at most ${shown(of.maxLogitDifference)} (they span ${of.logitRange.toFixed(0)})${change}.`;
}
