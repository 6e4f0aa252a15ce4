// `export`: a model, with an adapter or without, written in a format of the list, read again and compared before it is handed over.
// Not here: the formats (../exportFormats.ts), making and comparing (../session/exports.ts), writing folders (output.ts), the run that a training project is made of (exportedRun.ts).

import { openAsBlob } from 'node:fs';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { disposeLearner, trainableParameters } from '../engine/model/adapters';
import type { KeepFile } from '../engine/model/weightFiles';
import { PlaygroundError } from '../errors';
import {
  EXPORT_FORMAT_NAMES,
  EXPORT_FORMATS,
  type ExportFormat,
  typeOf,
  type WeightType,
} from '../exportFormats';
import { proofSentence } from '../metrics/exportClaims';
import { exportBytes, makeExport } from '../session/exports';
import type { Command } from './command';
import { assertRunOptions, RUN_OPTIONS, readExportedRun } from './exportedRun';
import { assertOutput, assertRoom, writeOutput } from './output';
import { ADAPTER_OPTION, adapterOf, MODEL_OPTION, openWorkbench } from './workbench';

const TYPES = [...new Set(EXPORT_FORMAT_NAMES.flatMap((name) => EXPORT_FORMATS[name].types))];

/** Files on the disk of the output, until they are moved into it: a large model is never in memory whole. */
async function keepBeside(out: string): Promise<{ keep: KeepFile; remove: () => Promise<void> }> {
  const parent = path.dirname(path.resolve(out));
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(path.join(parent, '.export-'));
  const keep: KeepFile = async (name, _size, pieces) => {
    const file = path.join(folder, name.replaceAll('/', '_'));
    const handle = await open(file, 'wx');
    try {
      for await (const piece of pieces) await handle.writeFile(piece);
    } finally {
      await handle.close();
    }
    return openAsBlob(file);
  };
  return { keep, remove: () => rm(folder, { recursive: true, force: true }) };
}

const formatHelp = EXPORT_FORMAT_NAMES.map(
  (name) => `${name}: ${EXPORT_FORMATS[name].what} Opens in ${EXPORT_FORMATS[name].opensIn}.`,
).join(' ');

/** @throws PlaygroundError `bad_usage` where the format does not store weights as this type */
function assertType(format: ExportFormat, type: WeightType | null): void {
  const { types } = EXPORT_FORMATS[format];
  if (type === null || types.includes(type)) return;
  throw new PlaygroundError({
    code: 'bad_usage',
    message: `--format ${format} has no --dtype ${type}.`,
    fix: types.length === 0 ? 'Leave --dtype out.' : `It has ${types.join(', ')}.`,
    where: 'dtype',
  });
}

export const exportModel: Command = {
  name: 'export',
  summary:
    'Writes a model, with an adapter or without, for other programs. Reads what was written again and compares it with the model here; refuses what differs.',
  example: 'export --model models/pebble --adapter my-adapter --format merged --out my-model',
  options: [
    MODEL_OPTION,
    ADAPTER_OPTION,
    {
      name: 'format',
      value: 'NAME',
      kind: 'text',
      choices: EXPORT_FORMAT_NAMES,
      default: 'merged',
      help: formatHelp,
    },
    { name: 'out', value: 'DIR', kind: 'text', required: true, help: 'Folder for the result.' },
    {
      name: 'dtype',
      value: 'TYPE',
      kind: 'text',
      choices: TYPES,
      help: `How the weights are stored; the first is the default. ${EXPORT_FORMAT_NAMES.filter(
        (name) => EXPORT_FORMATS[name].types.length > 0,
      )
        .map((name) => `${name}: ${EXPORT_FORMATS[name].types.join(', ')}`)
        .join('; ')}.`,
    },
    {
      name: 'include_base_model',
      kind: 'switch',
      help: 'Put the base model beside an adapter, as a small one always is.',
    },
    { name: 'overwrite', kind: 'switch', help: 'Write into a folder that is not empty.' },
    ...RUN_OPTIONS,
  ],
  settings: [],

  async run(args, { say, platform, onStop }) {
    const out = args.text('out') as string;
    const format = args.text('format') as ExportFormat;
    const asked = args.text('dtype') as WeightType | null;
    assertType(format, asked);
    assertRunOptions(args, format);
    const dtype = typeOf(format, asked ?? undefined);
    const inputs = [args.text('model'), args.text('adapter') ?? args.text('run')].filter(
      (folder) => folder !== null,
    );
    const kind = EXPORT_FORMATS[format].from === 'adapter' ? 'adapter' : 'model';
    await assertOutput(out, { overwrite: args.has('overwrite'), kind, inputs, say });
    let cancelled = false;
    onStop(() => {
      cancelled = true;
    });
    const workbench = await openWorkbench(args.text('model') as string, 'wasm', platform, say);
    const learner = await adapterOf(args, workbench, say);
    const includeBase = args.has('include_base_model');
    const exported =
      EXPORT_FORMATS[format].from === 'run' ? await readExportedRun(args, workbench, say, platform) : null;
    const source = { base: workbench, learner, run: null, dataset: null, ...exported };
    // Once beside the output and once in it.
    const trainable = learner ? trainableParameters(learner) : 0;
    const about = exported && { config: exported.run.summary.config, dataset: exported.dataset };
    await assertRoom(out, 2 * exportBytes(workbench, trainable, { format, dtype, includeBase }, about));
    const { keep, remove } = await keepBeside(out);
    try {
      const { files, proof, notices } = await makeExport(
        source,
        { format, dtype, includeBase },
        keep,
        platform,
        { onProgress: () => {}, cancelled: () => cancelled },
      );
      await writeOutput(out, files);
      for (const notice of notices) say(notice);
      if (proof) say(proofSentence(proof));
      say(`Written to ${out}.`);
    } finally {
      if (learner) disposeLearner(learner);
      await remove();
    }
    return 0;
  },
};
