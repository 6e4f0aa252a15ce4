// The general rows of this project, encoded for a model: those that a run mixes in (replay), which of them an epoch meets, and those that forgetting is measured on.
// Not here: the visitor's rows (prepareRows.ts), the rows themselves (public/general), reading the file (session/generalRows.ts).

import type { EncodedExample, Example } from '../contract';
import type { RowFile } from '../dataContract';
import { replayRows } from '../epochSteps';
import type { ReplayReport } from '../generalContract';
import type { Hyperparameters } from '../hyperparameters';
import { plural } from '../wording';
import { epochOrder } from './batches';
import type { DataFile } from './dataFile';
import { mix } from './random';
import { cutExample } from './reading/plainText';
import type { Chat } from './tokens/chat';
import { type EncodeOptions, encodeExamples } from './tokens/encodeRows';

type Mark = Extract<RowFile, 'replay' | 'general_probe'>;

/** Rows of such a file carry its name, so that none of them is taken for a row of the visitor's. */
function encodeGeneral(
  examples: readonly Example[],
  chat: Chat,
  options: EncodeOptions & { max_length: number },
  file: Mark,
): EncodedExample[] {
  const isText = ({ text }: Example) => text !== undefined;
  const talks = encodeExamples(
    chat,
    examples.filter((example) => !isText(example)),
    options,
  );
  return examples.flatMap((example) => {
    const rows = isText(example)
      ? cutExample(example, chat.tokenizer, options.max_length, { file: false }).rows.map(
          ({ encoded }) => encoded,
        )
      : (talks.byExample.get(example) ?? []);
    return rows.map((encoded) => ({ ...encoded, file }));
  });
}

/** The rows that a run may mix in, and what is said of them. */
export interface Replay {
  rows: EncodedExample[];
  report: ReplayReport;
}

/**
 * A conversation in ChatML would be new to a model that has no template of its own, and nothing that it could forget: for such a model
 * only the short texts are taken.
 * @param trainRows of the visitor
 * @param settings.contextLength of the model, in tokens
 */
export function prepareReplay(
  file: DataFile,
  chat: Chat,
  trainRows: readonly EncodedExample[],
  settings: Pick<Hyperparameters, 'max_length' | 'loss_on' | 'replay_fraction'> & { contextLength: number },
): Replay {
  const { contextLength, loss_on, replay_fraction: fraction } = settings;
  const templated = chat.source === 'own';
  const texts = file.examples.filter(({ text }) => text !== undefined);
  const examples = templated ? file.examples : texts;
  const max_length = Math.min(settings.max_length, contextLength);
  const options = { max_length, loss_on, contextLength };
  const rows = encodeGeneral(examples, chat, options, 'replay');
  const notices: string[] = [];
  if (!templated)
    notices.push(
      `This model has no chat template, so of the ${whole(file.examples.length)} general rows only the ${whole(texts.length)} short texts are mixed in.`,
    );
  const lost = examples.length - new Set(rows.map(({ line }) => line)).size;
  if (lost > 0)
    notices.push(
      `${plural(lost, 'general row')} cannot be mixed in: cut to ${max_length} tokens nothing to learn is left, or the model’s chat template refuses ${lost === 1 ? 'it' : 'them'}.`,
    );
  return {
    rows,
    report: {
      fraction,
      rows: replayRows(trainRows.length, settings),
      pool: rows.length,
      hash: file.hash,
      notices,
    },
  };
}

const whole = (count: number) => count.toLocaleString('en');

/** The rows that forgetting is measured on, for a model. */
export interface Probe {
  rows: EncodedExample[];
  /** As of `GeneralConfig`. */
  form: 'chat' | 'text';
  hash: string;
}

/**
 * Encoded without the settings of a run, so that losses of all runs of a model compare: cut to the model's context alone, answers learned.
 * For a model without a chat template of its own, question and answer are a text of two lines.
 * @param contextLength of the model, in tokens
 */
export function prepareProbe(file: DataFile, chat: Chat, contextLength: number): Probe {
  const templated = chat.source === 'own';
  const asText = (example: Example): Example =>
    example.text === undefined
      ? { ...example, messages: [], text: example.messages.map(({ content }) => content).join('\n') }
      : example;
  const examples = templated ? file.examples : file.examples.map(asText);
  const options = { max_length: contextLength, loss_on: 'answers' as const, contextLength };
  const rows = encodeGeneral(examples, chat, options, 'general_probe');
  return { rows, form: templated ? 'chat' : 'text', hash: file.hash };
}

/** Another draw than that of the visitor's rows. */
const REPLAY_SALT = 0x7265706c;

/**
 * The general rows of an epoch: the next `count` of an endless series of shuffled rounds through the pool, so that none comes again before
 * all others have. Depends on nothing but these four numbers.
 * @param pool rows there are
 * @returns `count` numbers of rows
 */
export function replayOfEpoch(pool: number, count: number, seed: number, epoch: number): number[] {
  const rounds = new Map<number, number[]>();
  return Array.from({ length: count }, (_, i) => {
    const at = epoch * count + i;
    const round = Math.floor(at / pool);
    const order = rounds.get(round) ?? epochOrder(pool, mix(seed ^ REPLAY_SALT), round);
    rounds.set(round, order);
    return order[at % pool] as number;
  });
}
