// How the data file is to be read, from the command line: what it is, which columns mean what, which mends are wanted.
// Not here: reading it (session/dataset.ts), what is printed about it (dataTables.ts).

import { MENDS, type MendCode } from '../data/reading/mends';
import { ENCODING_NAMES, isEncoding } from '../data/text/textEncoding';
import type { ColumnChoice, ColumnRole, MendChoices, ReadingChoices } from '../dataReport';
import { PlaygroundError } from '../errors';
import type { DataChoices } from '../session/dataset';
import type { Arguments, Option } from './options';

const CHOOSABLE = (Object.keys(MENDS) as MendCode[]).filter((code) => MENDS[code].choice !== 'encoding');
const OFFERED = CHOOSABLE.filter((code) => !MENDS[code].byDefault);
const ROLES: readonly ColumnRole[] = ['system', 'user', 'assistant', 'text'];

/** Taken by every command that reads a data file, beside its name. */
export const READING_OPTIONS: readonly Option[] = [
  {
    name: 'validation',
    value: 'FILE',
    kind: 'text',
    help: 'Rows to validate with, all of this file, in place of a share of --data. Read as --data is.',
  },
  {
    name: 'test',
    value: 'FILE',
    kind: 'text',
    help: 'Rows kept for a last measurement (evaluate --split test): no run reads them. In place of a share of --data (--test_fraction).',
  },
  {
    name: 'encoding',
    value: 'NAME',
    kind: 'text',
    help: `Encoding of the data file, where it is told wrongly or cannot be told: ${ENCODING_NAMES.join(', ')}.`,
  },
  {
    name: 'text',
    kind: 'switch',
    help: 'Read the data file as one plain text, whatever it looks like: it is cut at its paragraphs, and all of it is learned.',
  },
  {
    name: 'columns',
    value: 'ROLE=NAME,…',
    kind: 'text',
    help: 'Which column of a table, or key of a row, is what: user=Frage,assistant=Antwort. Roles are system, user, assistant, or text alone; several columns of a role are joined: user=Title+Body.',
  },
  {
    name: 'accept_mends',
    value: 'KINDS',
    kind: 'text',
    help: `Mends that are done only when they are asked for, separated by commas: ${OFFERED.join(', ')}; or all.`,
  },
  {
    name: 'refuse_mends',
    value: 'KINDS',
    kind: 'text',
    help: `Mends that are not to be done, separated by commas, or all. Rows that need them then have errors. Kinds: ${CHOOSABLE.join(', ')}.`,
  },
];

function wrong(name: string, message: string, fix: string): PlaygroundError {
  return new PlaygroundError({ code: 'bad_usage', message, fix, where: name });
}

/** `user=Frage,assistant=Antwort`; names in double quotes may hold commas, plus signs and equals signs. */
export function parseColumns(text: string): ColumnChoice {
  const choice: ColumnChoice = {};
  const rest = text.replaceAll(
    /\s*(\w+)\s*=\s*((?:"[^"]*"|[^",+])+(?:\+(?:"[^"]*"|[^",+])+)*)\s*(?:,|$)/g,
    (whole, role: string, names: string) => {
      if (!ROLES.includes(role as ColumnRole) || choice[role as ColumnRole]) return whole;
      const list = names.match(/(?:"[^"]*"|[^"+])+/g) ?? [];
      choice[role as ColumnRole] = list.map((name) => name.trim().replaceAll(/^"|"$/g, ''));
      return '';
    },
  );
  const fix = 'Write for example --columns user=Frage,assistant=Antwort, or --columns text=Absatz.';
  if (rest.trim() !== '') throw wrong('columns', `“${rest.trim()}” names no column of a role.`, fix);
  if (choice.text ? Object.keys(choice).length > 1 : !choice.assistant) {
    throw wrong(
      'columns',
      choice.text
        ? 'A text has no roles: text stands alone.'
        : 'No column is the answer, so nothing would be learned.',
      fix,
    );
  }
  return choice;
}

function kindsOf(args: Arguments, name: string, all: readonly MendCode[]): readonly MendCode[] {
  const text = args.text(name);
  if (text === null) return [];
  if (text.trim() === 'all') return all;
  return text.split(',').map((word) => {
    const code = word.trim().replaceAll('-', '_') as MendCode;
    if (all.includes(code)) return code;
    throw wrong(name, `--${name} knows no “${word.trim()}”.`, `Use some of ${all.join(', ')}, or all.`);
  });
}

function mendsOf(args: Arguments): MendChoices | undefined {
  const accepted = kindsOf(args, 'accept_mends', OFFERED);
  const refused = kindsOf(args, 'refuse_mends', CHOOSABLE);
  if (accepted.length + refused.length === 0) return undefined;
  const kinds = Object.fromEntries([
    ...accepted.map((code) => [code, true] as const),
    ...refused.map((code) => [code, false] as const),
  ]);
  return { kinds, rows: {} };
}

/**
 * What READING_OPTIONS say.
 * @throws PlaygroundError `bad_usage`
 */
export function choicesOf(args: Arguments): DataChoices {
  const encoding = args.text('encoding') ?? undefined;
  if (encoding !== undefined && !isEncoding(encoding)) {
    throw wrong(
      'encoding',
      `There is no encoding “${encoding}” here.`,
      `Use one of ${ENCODING_NAMES.join(', ')}.`,
    );
  }
  const columns = args.text('columns');
  if (columns !== null && args.has('text')) {
    throw wrong('columns', 'One plain text has no columns.', 'Leave out --columns or --text.');
  }
  const mends = mendsOf(args);
  const reading: ReadingChoices = {
    ...(args.has('text') && { layout: 'text' }),
    ...(columns !== null && { columns: parseColumns(columns) }),
    ...(mends && { mends }),
  };
  return { encoding, ...(Object.keys(reading).length > 0 && { reading }) };
}
