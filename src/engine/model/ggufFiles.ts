// A tuned model as one GGUF file, and an adapter as a GGUF LoRA, written tensor by tensor.
// Not here: the format (formats/gguf/), what is merged into a tensor (adapters.ts).

import { PlaygroundError } from '../../errors';
import { layoutGguf, type Metadata, type MetadataValue, type TensorPlan } from '../../formats/gguf/container';
import { modelMetadata, ROPE_FACTORS } from '../../formats/gguf/ggufModel';
import {
  GGUF_ARCHITECTURES,
  ggufModule,
  ggufProblem,
  ggufTensors,
  reorderRows,
  toGguf,
} from '../../formats/gguf/names';
import { bytesOfRow, quantize, type WrittenType } from '../../formats/gguf/quants';
import type { Architecture } from '../../modelArchitecture';
import {
  type AdapterOptions,
  hasOwnHead,
  type Learner,
  scalingOf,
  type TunedTensor,
  tunedTensors,
} from './adapters';
import type { LoadedModel } from './artifacts';
import { ropeFrequencies } from './model';
import {
  assertFitsF16,
  type KeepFile,
  keepInMemory,
  type OutFile,
  readNumbers,
  readTuned,
  type WritingHooks,
} from './weightFiles';

export const MODEL_GGUF = 'model.gguf';
export const ADAPTER_GGUF = 'adapter.gguf';

interface Planned extends TensorPlan {
  type: WrittenType;
  /** Numbers as GGUF has them, in F32. */
  read(): Promise<Float32Array>;
}

const unsupported = (reason: string) =>
  new PlaygroundError({
    code: 'unsupported_in_gguf',
    message: `This cannot be written as GGUF: ${reason}.`,
    fix: 'Export the merged model as a Hugging Face folder instead.',
  });

/** Memory: the largest tensor, and what `keep` holds. */
async function writeGguf(
  path: string,
  metadata: Metadata,
  tensors: readonly Planned[],
  keep: KeepFile,
  { onProgress = () => {}, check = () => {} }: WritingHooks,
): Promise<OutFile> {
  const { start, paddedBytes, size } = layoutGguf(metadata, tensors);
  async function* pieces() {
    yield start;
    let done = start.length;
    for (const [i, { name, type, read }] of tensors.entries()) {
      check();
      const data = await read();
      if (type === 'F16') assertFitsF16(name, data);
      const bytes = quantize(type, data);
      const padded = paddedBytes[i] as number;
      yield bytes;
      if (padded > bytes.length) yield new Uint8Array(padded - bytes.length);
      done += padded;
      onProgress(done / size);
    }
  }
  return { path, bytes: await keep(path, size, pieces()) };
}

/** Factors by which llama.cpp divides each frequency; null where RoPE is not scaled by them. */
function ropeFactors(a: Architecture): Float32Array | null {
  if (a.ropeScaling?.type !== 'llama3') return null;
  const scaled = ropeFrequencies(a, false);
  const plain = ropeFrequencies({ ...a, ropeScaling: null }, false);
  return Float32Array.from(scaled, (f, i) => (plain[i] as number) / f);
}

/** Architecture as the file will have it: with a head of its own where the learner has one, or llama.cpp asks for one. */
const written = (a: Architecture, learner: Learner | null): Architecture =>
  a.tiedHead && ((learner && hasOwnHead(a, learner)) || a.family === 'gpt_neox')
    ? { ...a, tiedHead: false }
    : a;

/**
 * The whole model, merged, with tokenizer, chat template and end tokens.
 * @throws PlaygroundError `unsupported_in_gguf` where llama.cpp would compute something else; `non_finite`, `too_large_for_f16`
 */
export async function ggufFile(
  { id, model, files, chat }: LoadedModel,
  learner: Learner | null,
  stored: WrittenType,
  { keep = keepInMemory, ...hooks }: { keep?: KeepFile } & WritingHooks = {},
): Promise<{ file: OutFile; notices: string[] }> {
  const problem = ggufProblem(model.architecture);
  if (problem !== null) throw unsupported(problem);
  const a = written(model.architecture, learner);
  const tuned = new Map(tunedTensors(model.architecture, model.weights, learner).map((t) => [t.name, t]));
  const planned = ggufTensors(a).map((tensor): Planned => {
    const source = (tuned.get(tensor.from) ?? tuned.get(model.names.embedding)) as TunedTensor;
    const fits = bytesOfRow(stored, tensor.shape.at(-1) as number) !== null;
    const type = tensor.exact ? 'F32' : fits ? stored : 'F16';
    const { name, shape } = tensor;
    return { name, shape, type, read: async () => toGguf(tensor, await readTuned(source)) };
  });
  const factors = ropeFactors(a);
  if (factors)
    planned.push({ name: ROPE_FACTORS, shape: [factors.length], type: 'F32', read: async () => factors });
  const { tokenizer } = chat;
  const trained = chat.endOfTurn === '' ? undefined : tokenizer.tokenId(chat.endOfTurn);
  const stopIds = [...new Set([...(trained === undefined ? [] : [trained]), ...chat.stopIds])];
  const { metadata, notices } = modelMetadata({
    name: id,
    architecture: a,
    fileType: stored,
    tokenizerJson: files.tokenizerJson,
    template: chat.template,
    stopIds,
    bosTokenId: tokenizer.bosTokenId,
    padTokenId: tokenizer.padTokenId,
    addsBos: tokenizer.addsBos,
  });
  if (a.activation === 'gelu')
    notices.push('llama.cpp computes GELU by its tanh formula, so its logits differ a little from these.');
  return { file: await writeGguf(MODEL_GGUF, metadata, planned, keep, hooks), notices };
}

/**
 * An adapter for llama.cpp: `--lora adapter.gguf` beside the GGUF file of its base model. Its scale is one number for all layers, so that
 * what differs by layer (ranks, alphas, rsLoRA) is multiplied into lora_b.
 * @throws PlaygroundError `unsupported_in_gguf` for DoRA and for whole modules beside the adapter
 */
export async function ggufAdapter(
  { id, model }: LoadedModel,
  learner: Learner,
  { keep = keepInMemory, ...hooks }: { keep?: KeepFile } & WritingHooks = {},
): Promise<OutFile> {
  const a = model.architecture;
  const adapters = learner.adapters as AdapterOptions;
  const problem = ggufProblem(a);
  if (problem !== null) throw unsupported(problem);
  if (adapters.dora) throw unsupported('llama.cpp has no DoRA adapters; merge it into a model');
  const modules = new Set<string>();
  for (const name of learner.tensors.keys()) {
    const match = /^(.*)\.lora_[AB]$/.exec(name);
    if (!match)
      throw unsupported(`llama.cpp takes no whole module (${name}) beside an adapter; merge it into a model`);
    modules.add(match[1] as string);
  }
  const planned = [...modules].flatMap((module): Planned[] => {
    const { name, rows } = ggufModule(a, module);
    const [loraA, loraB] = ['lora_A', 'lora_B'].map((part) => {
      const tensor = learner.tensors.get(`${module}.${part}`);
      if (!tensor) throw unsupported(`${module} has no ${part}`);
      return { tensor, name: `${module}.${part}` };
    }) as [{ tensor: never; name: string }, { tensor: never; name: string }];
    const shapeA = (loraA.tensor as { shape: number[] }).shape;
    const shapeB = (loraB.tensor as { shape: number[] }).shape;
    const rank = shapeA[0] as number;
    // llama.cpp multiplies by alpha / rank.
    const factor = scalingOf(adapters, module, rank) / (adapters.alpha / rank);
    return [
      {
        name: `${name}.weight.lora_a`,
        shape: shapeA,
        type: 'F32',
        read: () => readNumbers(loraA.name, loraA.tensor),
      },
      {
        name: `${name}.weight.lora_b`,
        shape: shapeB,
        type: 'F32',
        read: async () => {
          const data = await readNumbers(loraB.name, loraB.tensor);
          const ordered = rows ? reorderRows(data, rows) : data;
          return factor === 1 ? ordered : ordered.map((x) => x * factor);
        },
      },
    ];
  });
  const metadata = new Map<string, MetadataValue>([
    ['general.architecture', { type: 'string', value: GGUF_ARCHITECTURES[a.family] }],
    ['general.type', { type: 'string', value: 'adapter' }],
    ['general.name', { type: 'string', value: id }],
    ['general.file_type', { type: 'uint32', value: 0 }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['adapter.lora.alpha', { type: 'float32', value: adapters.alpha }],
  ]);
  return writeGguf(ADAPTER_GGUF, metadata, planned, keep, hooks);
}
