// A GGUF LoRA adapter, read: its tensors under the names and in the order of the Hugging Face model.
// Not here: writing one (engine/model/ggufFiles.ts), PEFT adapters (../peft.ts).

import type { Architecture } from '../../modelArchitecture';
import { linearModules } from '../architecture';
import type { AdapterScaling, AdapterTensor } from '../peft';
import { badAdapter } from '../peftConfig';
import { readGguf } from './container';
import { GGUF_ARCHITECTURES, ggufModule, reorderRows } from './names';
import { dequantize } from './quants';

const FIX = 'Use the adapter with the base model that it was made for.';

/**
 * @returns scaling and tensors, named `<module path>.lora_A` [r, in] and `.lora_B` [out, r]
 * @throws PlaygroundError `bad_gguf`, `bad_adapter` for an adapter of another model
 */
export async function readGgufAdapter(
  blob: Blob,
  name: string,
  a: Architecture,
): Promise<{ adapters: AdapterScaling; tensors: AdapterTensor[] }> {
  const file = await readGguf(blob, name);
  const { metadata } = file;
  const arch = metadata.get('general.architecture');
  const kind = metadata.get('adapter.type');
  if (metadata.get('general.type') !== 'adapter' || kind !== 'lora')
    throw badAdapter(`${name} holds no LoRA adapter (adapter.type is ${String(kind)}).`, FIX);
  if (arch !== GGUF_ARCHITECTURES[a.family])
    throw badAdapter(
      `${name} is an adapter of ${String(arch)}, and the base model is ${GGUF_ARCHITECTURES[a.family]}.`,
      FIX,
    );
  const alpha = metadata.get('adapter.lora.alpha');
  if (typeof alpha !== 'number') throw badAdapter(`${name} has no adapter.lora.alpha.`, FIX);
  const layers = new Map(
    linearModules(a).map((linear) => {
      const { name: inFile, rows } = ggufModule(a, linear.module);
      return [inFile, { ...linear, rows }] as const;
    }),
  );
  const tensors: AdapterTensor[] = [];
  for (const { name: stored, shape, type } of file.entries) {
    const match = /^(.*)\.weight\.lora_([ab])$/.exec(stored);
    const layer = match && layers.get(match[1] as string);
    if (!match || !layer) throw badAdapter(`The base model has no layer for “${stored}”.`, FIX, stored);
    const isA = match[2] === 'a';
    const [size, wanted] = isA ? [shape[1], layer.inFeatures] : [shape[0], layer.outFeatures];
    if (size !== wanted)
      throw badAdapter(
        `“${stored}” is [${shape.join(', ')}], and this layer has ${wanted} and not ${size}.`,
        FIX,
        stored,
      );
    const data = dequantize(type, await file.readRaw(stored));
    tensors.push({
      name: `${layer.module}.lora_${isA ? 'A' : 'B'}`,
      shape,
      data: !isA && layer.rows ? reorderRows(data, layer.rows, true) : data,
    });
  }
  return { adapters: { alpha, rslora: false, dropout: 0, dora: false }, tensors };
}
