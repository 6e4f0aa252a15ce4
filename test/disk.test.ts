// Results on a disk: noticed before the work what cannot be written, whole or not at all after it, with failing disks in between.
// Not here: what the files hold (cli.test.ts, formats.test.ts), a real process (cli.test.ts).

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import * as nodeFiles from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { assertOutput, assertRoom, type Files, writeOutput, writeSomewhere } from '../src/cli/output';
import type { OutFile } from '../src/engine/model/weightFiles';
import type { PlaygroundError } from '../src/errors';

const scratch = mkdtempSync(path.join(tmpdir(), 'playground-disk-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let count = 0;
const newPlace = () => path.join(scratch, `place-${count++}`);

async function refusal(promise: Promise<unknown>): Promise<PlaygroundError> {
  return promise.then(
    () => {
      throw new Error('It was not refused.');
    },
    (error: PlaygroundError) => error,
  );
}

/** Every file below the folder with what it holds. */
function contents(folder: string): Record<string, string> {
  if (!existsSync(folder)) return {};
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return Object.fromEntries(
    files
      .map((entry) => path.join(entry.parentPath, entry.name))
      .sort()
      .map((file) => [path.relative(folder, file), readFileSync(file, 'utf8')]),
  );
}

function put(folder: string, files: Record<string, string>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
}

const record = (...files: string[]) => JSON.stringify({ files });

/** A LoRA result of one version of the text. */
const adapter = (version: string): OutFile[] => [
  { path: 'adapter_model.safetensors', bytes: new TextEncoder().encode(`weights ${version}`) },
  { path: 'adapter_config.json', bytes: `config ${version}` },
  { path: 'README.md', bytes: `card ${version}` },
  { path: 'base_model/model.safetensors', bytes: `base ${version}` },
  {
    path: 'run.json',
    bytes: record(
      'run.json',
      'adapter_model.safetensors',
      'adapter_config.json',
      'README.md',
      'base_model/model.safetensors',
    ),
  },
];
const asContents = (files: readonly OutFile[]) =>
  Object.fromEntries(
    files
      .map(
        ({ path: name, bytes }) =>
          [name, typeof bytes === 'string' ? bytes : new TextDecoder().decode(bytes as Uint8Array)] as const,
      )
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made up`), { code });
}

/** A disk that has room for so many bytes; what does not fit is written half, as a real one does. */
function fullAfter(bytes: number): Files {
  let left = bytes;
  return {
    ...nodeFiles,
    open: (async (...args: Parameters<typeof nodeFiles.open>) => {
      const handle = await nodeFiles.open(...args);
      const writeFile = handle.writeFile.bind(handle);
      handle.writeFile = async (data) => {
        const whole = Buffer.from(data as Uint8Array);
        await writeFile(whole.subarray(0, left));
        left -= whole.length;
        if (left < 0) throw systemError('ENOSPC');
      };
      return handle;
    }) as Files['open'],
  };
}

/** A disk on which the n-th rename fails. */
function failingRename(n: number): Files {
  let renames = 0;
  return {
    ...nodeFiles,
    rename: async (from, to) => {
      if (++renames === n) throw systemError('EPERM');
      await nodeFiles.rename(from, to);
    },
  };
}

const options = (more: Partial<Parameters<typeof assertOutput>[1]> = {}) => ({
  overwrite: false,
  kind: 'adapter' as const,
  inputs: [] as string[],
  say: () => {},
  ...more,
});

describe('before the work', () => {
  it('takes a folder that is new, empty, or may be overwritten, and leaves nothing behind', async () => {
    const place = newPlace();
    await assertOutput(path.join(place, 'deep', 'er'), options());
    expect(existsSync(place)).toBe(false);
    mkdirSync(place);
    await assertOutput(place, options());
    put(place, { 'notes.txt': 'mine' });
    await assertOutput(place, options({ overwrite: true }));
    expect(contents(place)).toEqual({ 'notes.txt': 'mine' });
  });

  it('refuses a file, a folder that is not empty, a parent that is a file', async () => {
    const place = newPlace();
    put(place, { 'notes.txt': 'mine' });
    expect((await refusal(assertOutput(path.join(place, 'notes.txt'), options()))).message).toContain(
      'is a file',
    );
    expect((await refusal(assertOutput(place, options()))).fix).toContain('--overwrite');
    const below = await refusal(assertOutput(path.join(place, 'notes.txt', 'out'), options()));
    expect(below).toMatchObject({ code: 'bad_output' });
    expect(below.message).toMatch(/Nothing can be written to .*ENOTDIR/);
  });

  it.each(['EROFS', 'EACCES', 'ENOSPC'])('notices %s by writing a file', async (code) => {
    const place = newPlace();
    const files: Files = {
      ...nodeFiles,
      open: (async () => {
        throw systemError(code);
      }) as Files['open'],
    };
    const error = await refusal(assertOutput(place, options(), files));
    expect(error.message).toContain(code);
    expect(existsSync(place)).toBe(false);
  });

  it('refuses the folder of the model, by whatever name', async () => {
    const model = newPlace();
    put(model, { 'config.json': '{}', 'model.safetensors': 'base' });
    const other = newPlace();
    symlinkSync(model, other);
    for (const out of [model, `${model}/`, other]) {
      const error = await refusal(assertOutput(out, options({ overwrite: true, inputs: [model] })));
      expect(error.message).toContain('model is read from');
    }
    expect(contents(model)).toEqual({ 'config.json': '{}', 'model.safetensors': 'base' });
  });

  it('refuses weights of another origin that would stay beside the result, and takes those of a result before', async () => {
    const place = newPlace();
    put(place, { 'model-00001-of-00002.safetensors': 'x', 'model.safetensors.index.json': '{}' });
    for (const kind of ['adapter', 'model'] as const) {
      const error = await refusal(assertOutput(place, options({ overwrite: true, kind })));
      expect(error.message).toContain('model-00001-of-00002.safetensors, model.safetensors.index.json');
    }
    const ours = newPlace();
    await writeOutput(ours, adapter('1'));
    await assertOutput(ours, options({ overwrite: true, kind: 'model' }));
    rmSync(path.join(ours, 'run.json'));
    expect(
      (await refusal(assertOutput(ours, options({ overwrite: true, kind: 'model' })))).message,
    ).toContain('adapter_config.json, adapter_model.safetensors');
  });

  it('refuses a disk without space, also for a folder that does not exist yet, and goes on where the space is unknown', async () => {
    const free = (bytes: number, blocks = 100) =>
      (async () => ({ bavail: bytes / 10, bsize: 10, blocks })) as unknown as typeof nodeFiles.statfs;
    const place = path.join(newPlace(), 'new');
    await assertRoom(place, 5_000_000, free(5_000_000));
    await assertRoom(place, 5_000_000, free(0, 0));
    const error = await refusal(assertRoom(place, 5_000_000, free(4_200_000)));
    expect(error).toMatchObject({ code: 'disk_full' });
    expect(error.message).toMatch(/about 5\.0 MB.* has 4\.2 MB left/);
    await assertRoom(place, 1);
    expect((await refusal(assertRoom(place, 1e18))).code).toBe('disk_full');
  });
});

describe('after the work', () => {
  it('writes the files and nothing else', async () => {
    const place = newPlace();
    await writeOutput(place, adapter('1'));
    expect(contents(place)).toEqual(asContents(adapter('1')));
  });

  it('replaces a result before, takes away what belonged to it alone, and leaves the rest', async () => {
    const place = newPlace();
    await writeOutput(place, adapter('1'));
    put(place, { 'notes.txt': 'mine' });
    const whole: OutFile[] = [
      { path: 'model.safetensors', bytes: 'all weights' },
      { path: 'config.json', bytes: '{}' },
      { path: 'run.json', bytes: record('run.json', 'model.safetensors', 'config.json') },
    ];
    await writeOutput(place, whole);
    expect(contents(place)).toEqual({ ...asContents(whole), 'notes.txt': 'mine' });
    expect(existsSync(path.join(place, 'base_model'))).toBe(false);
  });

  it('leaves what someone else put into a folder of the result', async () => {
    const place = newPlace();
    await writeOutput(place, adapter('1'));
    put(path.join(place, 'base_model'), { 'notes.txt': 'mine' });
    await writeOutput(place, adapter('2').slice(0, 3));
    expect(contents(place)).toEqual({
      ...asContents(adapter('2').slice(0, 3)),
      'base_model/notes.txt': 'mine',
    });
  });

  it('takes nothing away that a record names outside its folder', async () => {
    const place = newPlace();
    const outside = path.join(scratch, 'outside.txt');
    writeFileSync(outside, 'mine');
    put(place, { 'run.json': record('../outside.txt', 'x/../../outside.txt', outside, 'run.json') });
    await writeOutput(place, adapter('1'));
    expect(readFileSync(outside, 'utf8')).toBe('mine');
  });

  it('leaves the result before whole when the disk is full at any byte', async () => {
    const size = Object.values(asContents(adapter('2'))).join('').length;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: size - 1 }), fc.boolean(), async (room, before) => {
        const place = newPlace();
        if (before) await writeOutput(place, adapter('1'));
        const error = await refusal(writeOutput(place, adapter('2'), fullAfter(room)));
        expect(error.message).toContain('ENOSPC');
        expect(contents(place)).toEqual(before ? asContents(adapter('1')) : {});
        expect(before ? readdirSync(place) : []).not.toContain(expect.stringContaining('playground'));
      }),
      { numRuns: 40 },
    );
    const place = newPlace();
    // The list of moves takes some room as well.
    await writeOutput(place, adapter('2'), fullAfter(size + 1000));
    expect(contents(place)).toEqual(asContents(adapter('2')));
  });

  it('leaves the result before whole when any rename fails', async () => {
    // Five files taken away and five put in place.
    for (let n = 1; n <= 10; n++) {
      const place = newPlace();
      await writeOutput(place, adapter('1'));
      const error = await refusal(writeOutput(place, adapter('2'), failingRename(n)));
      expect(error.message).toContain('EPERM');
      expect(contents(place), `rename ${n}`).toEqual(asContents(adapter('1')));
    }
  });

  it('never has weights beside a configuration that is not theirs, wherever it is killed', async () => {
    for (let n = 1; n <= 10; n++) {
      const place = newPlace();
      await writeOutput(place, adapter('1'));
      let renames = 0;
      const killed: Files = {
        ...nodeFiles,
        // From this rename on nothing happens any more, as when the process is gone.
        rename: (from, to) => (++renames >= n ? new Promise(() => {}) : nodeFiles.rename(from, to)),
      };
      void writeOutput(place, adapter('2'), killed);
      await expect.poll(() => renames).toBe(n);
      const there = contents(place);
      const version = (name: string) => there[name]?.at(-1);
      if (version('adapter_model.safetensors') !== undefined) {
        expect(version('adapter_config.json')).toBe(version('adapter_model.safetensors'));
        expect(version('README.md')).toBe(version('adapter_model.safetensors'));
      }
      // Nothing is lost: both versions of the weights are somewhere.
      expect(Object.values(there)).toEqual(expect.arrayContaining(['weights 1', 'weights 2']));
      // The next command puts the rest in place, and says so.
      const said: string[] = [];
      await assertOutput(place, options({ overwrite: true, say: (sentence) => void said.push(sentence) }));
      expect(said.join()).toContain('Its files were complete');
      expect(contents(place)).toEqual(asContents(adapter('2')));
    }
  });

  it('refuses a folder with moves that were begun and are not listed', async () => {
    const place = newPlace();
    put(place, { 'README.md': 'card 2' });
    put(path.join(place, '.finetune-playground-7', 'old'), { 'adapter_config.json': 'config 1' });
    for (const moves of ['', '{"in":["../../elsewhere"],"out":[]}', '{"in":7}']) {
      put(path.join(place, '.finetune-playground-7'), { 'moves.json': moves });
      const error = await refusal(assertOutput(place, options({ overwrite: true })));
      expect(error.message).toMatch(/An earlier command was ended.*old holds the result from before/);
    }
  });

  it('takes no notice of what a command left that was killed before it moved anything', async () => {
    const place = newPlace();
    put(path.join(place, `.finetune-playground-${process.pid}`, 'new'), { 'run.json': 'half' });
    put(place, { [`.finetune-playground-probe-${process.pid}`]: 'x' });
    await assertOutput(place, options());
    await writeOutput(place, adapter('1'));
    expect(contents(place)).toEqual(asContents(adapter('1')));
  });

  it('reports the size when a disk keeps fewer bytes than were written', async () => {
    const files: Files = { ...nodeFiles, stat: (async () => ({ size: 3 })) as unknown as Files['stat'] };
    const place = newPlace();
    expect((await refusal(writeOutput(place, adapter('1'), files))).message).toContain(
      'has 3 bytes after writing',
    );
    expect(contents(place)).toEqual({});
  });

  it('writes elsewhere what its folder cannot take any more', async () => {
    const place = newPlace();
    writeFileSync(place, 'a file now');
    const { folder, failure } = await writeSomewhere(place, adapter('1'));
    try {
      expect(failure?.message).toContain(place);
      expect(folder).toContain(`${path.basename(place)}-rescued-`);
      expect(contents(folder)).toEqual(asContents(adapter('1')));
    } finally {
      rmSync(folder, { recursive: true });
    }
    const fine = newPlace();
    expect(await writeSomewhere(fine, adapter('1'))).toEqual({ folder: fine, failure: null });
  });

  it('throws when it can be written nowhere', async () => {
    const before = new Set([...readdirSync(process.cwd()), ...readdirSync(tmpdir())]);
    const error = await refusal(writeSomewhere(newPlace(), adapter('1'), fullAfter(5)));
    expect(error.message).toMatch(/Nor could it be written.*is lost/);
    const rescued = [...readdirSync(process.cwd()), ...readdirSync(tmpdir())].filter((name) =>
      name.includes('-rescued-'),
    );
    expect(rescued.filter((name) => !before.has(name))).toEqual([]);
  });
});
