// A data file on the command line: its tables, its columns, plain text, mends chosen and the mended file.
// Not here: other commands and options (cli.test.ts), what is mended and how (mending.test.ts).

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { choicesOf, parseColumns, READING_OPTIONS } from '../src/cli/dataOptions';
import { type CommandLine, parseArguments } from '../src/cli/options';
import { house } from '../src/launch/prerequisites.mjs';

const model = fileURLToPath(new URL('./fixtures/engine/chat', import.meta.url));
const scratch = mkdtempSync(path.join(tmpdir(), 'playground-cli-data-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function inspect(name: string, text: string, ...more: string[]) {
  writeFileSync(path.join(scratch, name), text);
  const args = ['inspect', '--model', model, '--data', path.join(scratch, name), ...more];
  return new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const child = spawn(process.execPath, [path.join(house, 'src/cli/cli.mjs'), ...args], { cwd: scratch });
    const finished = { out: '', err: '' };
    child.stdout.on('data', (bytes) => {
      finished.out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      finished.err += bytes;
    });
    child.on('close', (code) => resolve({ ...finished, code }));
  });
}

const read = (...argv: string[]) => {
  const command: CommandLine = {
    name: 'x',
    summary: '',
    options: READING_OPTIONS,
    settings: [],
    example: '',
  };
  return choicesOf(parseArguments(command, argv));
};

describe('options of reading', () => {
  it('--columns takes names of columns by role, several joined, odd ones in quotes', () => {
    expect(parseColumns('user=Frage,assistant=Antwort')).toEqual({ user: ['Frage'], assistant: ['Antwort'] });
    expect(parseColumns('system = Rolle , user=Title+Body text,assistant="a,b"')).toEqual({
      system: ['Rolle'],
      user: ['Title', 'Body text'],
      assistant: ['a,b'],
    });
    expect(parseColumns('text=Absatz')).toEqual({ text: ['Absatz'] });
    for (const bad of ['', 'Frage', 'frage=a', 'user=a', 'text=a,user=b', 'user=a,user=b,assistant=c'])
      expect(() => parseColumns(bad), bad).toThrow(expect.objectContaining({ code: 'bad_usage' }));
  });

  it('kinds of mends are named, or all of them', () => {
    expect(read()).toEqual({ encoding: undefined });
    expect(read('--text')).toEqual({ encoding: undefined, reading: { layout: 'text' } });
    expect(
      read('--accept-mends', 'duplicate_row', '--refuse-mends', 'comments, role_names').reading?.mends,
    ).toEqual({
      kinds: { duplicate_row: true, comments: false, role_names: false },
      rows: {},
    });
    expect(Object.keys(read('--accept-mends', 'all').reading?.mends?.kinds ?? {})).toContain(
      'whitespace_edge',
    );
    for (const bad of [
      ['--accept-mends', 'comments'],
      ['--refuse-mends', 'x'],
      ['--text', '--columns', 'text=a'],
    ])
      expect(() => read(...bad), bad.join(' ')).toThrow(expect.objectContaining({ code: 'bad_usage' }));
  });
});

const row = (n: number) =>
  `{"messages": [{"role": "user", "content": "What is ${n}?"}, {"role": "assistant", "content": "It is ${n}."}]}`;
const many = (count: number, of: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => of(n)).join('\n');

describe('inspect', { timeout: 120_000 }, () => {
  it('prints like faults as one line with their number, and the first of them', async () => {
    const { code, err } = await inspect(
      'faults.jsonl',
      `${many(40, row)}\n${many(30, () => '{"messages": oops}')}`,
    );
    expect(code).toBe(1);
    expect(err).toContain(
      'error invalid_json: 30 rows (lines 41, 42, 43, 44, 45 and 25 more) are not valid JSON.',
    );
    expect(err.match(/error invalid_json/g)).toHaveLength(4);
    expect(err).toContain('… and 27 more');
  });

  it('prints what was mended and what is offered, and does as it is told', async () => {
    const text = `${many(12, (n) => row(n).replace('"user"', '"User"'))}\n${row(0)}\n${row(0)}`;
    const { code, out, err } = await inspect('caps.jsonl', text);
    expect(code).toBe(0);
    expect(out.trim().split('\n')).toHaveLength(14);
    expect(err).toMatch(/mended role_names: 12 rows \(lines 1, 2.*\n {2}1 - .*"User".*\n {2}1 \+ .*"user"/);
    expect(err).toMatch(/offered duplicate_row: 2 rows \(lines 13 and 14\)/);
    const told = await inspect('caps.jsonl', text, '--accept-mends', 'all', '--refuse-mends', 'role_names');
    expect(told.code).toBe(1);
    expect(told.err).toMatch(/refused role_names: 12 rows/);
    expect(told.err).toMatch(/error unrecognized_role: 12 rows/);
    expect(told.err).toMatch(/mended duplicate_row: 1 row \(line 14\)/);
  });

  it('writes the mended file, and never over another one', async () => {
    const target = path.join(scratch, 'mended.jsonl');
    const text = `[\n${many(12, (n) => `${row(n).replaceAll('"', "'")},`)}\n{"messages": oops}\n]`;
    const written = await inspect('list.json', text, '--mend', target);
    expect(written).toMatchObject({ code: 0, out: '' });
    expect(written.err).toContain('written, from 13 rows; 1 row with errors among them, as they stood.');
    expect(
      readFileSync(target, 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.replaceAll(/([:,]) /g, '$1')),
    ).toEqual([
      ...many(12, row)
        .split('\n')
        .map((line) => line.replaceAll(/([:,]) /g, '$1')),
      '{"messages":oops}',
    ]);
    const again = await inspect('list.json', text, '--mend', target);
    expect(again.code).toBe(1);
    expect(again.err).toMatch(/mended\.jsonl is there already[\s\S]*--overwrite/);
    expect((await inspect('list.json', text, '--mend', target, '--overwrite')).code).toBe(0);
    const itself = await inspect('list.json', text, '--mend', path.join(scratch, 'list.json'), '--overwrite');
    expect(itself.err).toContain('is the file that is read');
    expect(existsSync(`${target}-${process.pid}`)).toBe(false);
  });

  it('reads the columns that are named, and a table as one text', async () => {
    const table = `id,topic,words,more\n${many(12, (n) => `${n},About ${n},Some words on ${n},and more`)}`;
    const unknown = await inspect('table.csv', table);
    expect(unknown.code).toBe(1);
    expect(unknown.err).toMatch(/error unknown_columns: .*--columns "user=NAME,assistant=NAME"/);
    const named = await inspect('table.csv', table, '--columns', 'user=topic,assistant=words+more');
    expect(named.code).toBe(0);
    expect(named.err).toContain('topic → user, words, more → assistant');
    expect(named.err).toContain('(as chosen); user = “topic” and assistant = “words” + “more”');
    expect(named.out).toContain('Some words on 3\\nand more');
    const asText = await inspect('table.csv', table, '--text');
    expect(asText.code).toBe(0);
    expect(asText.err).toMatch(/rows from a plain text of/);
  });
});
