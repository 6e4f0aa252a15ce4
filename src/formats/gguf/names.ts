// Model families as llama.cpp has them: architecture names, tensor names, and how a tensor lies there; and what llama.cpp cannot compute.
// Not here: metadata (ggufModel.ts), the container (container.ts).

import type { Architecture } from '../../modelArchitecture';
import type { FamilyId } from '../../modelFamilies';
import { expectedTensors, tensorNames } from '../architecture';
import type { LayerNames } from '../families/family';

/** `general.architecture` by family. */
export const GGUF_ARCHITECTURES: Readonly<Record<FamilyId, string>> = {
  llama: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  gpt2: 'gpt2',
  gpt_neox: 'gptneox',
  gemma3_text: 'gemma3',
};

/** How a tensor of a Hugging Face file lies in a GGUF file. */
export interface GgufTensor {
  /** In the GGUF file. */
  name: string;
  /** In the Hugging Face file. */
  from: string;
  /** In the GGUF file, as PyTorch writes shapes. */
  shape: number[];
  /** Row of the Hugging Face tensor by row of the GGUF tensor; null where they are the same. */
  rows: Int32Array | null;
  /** GPT-2's linear weights are [in, out] there and [out, in] here. */
  transposed: boolean;
  /** What is added: Gemma's norms multiply by (1 + weight) there and by the stored number here. */
  added: number;
  /** Must stay in 32 bits. */
  exact: boolean;
}

const LAYER_NAMES: Readonly<Record<keyof LayerNames, string>> = {
  inputNorm: 'attn_norm',
  q: 'attn_q',
  k: 'attn_k',
  v: 'attn_v',
  qkv: 'attn_qkv',
  output: 'attn_output',
  qNorm: 'attn_q_norm',
  kNorm: 'attn_k_norm',
  mlpNorm: 'ffn_norm',
  postAttentionNorm: 'post_attention_norm',
  postMlpNorm: 'post_ffw_norm',
  gate: 'ffn_gate',
  up: 'ffn_up',
  down: 'ffn_down',
};

/** Llama's RoPE turns neighbours in GGUF, and the two halves of a head in Hugging Face's files. */
function neighbours(heads: number, headDim: number): Int32Array {
  const half = headDim / 2;
  return Int32Array.from({ length: heads * headDim }, (_, row) => {
    const [head, within] = [Math.floor(row / headDim), row % headDim];
    return head * headDim + (within % 2) * half + Math.floor(within / 2);
  });
}

/** GPT-NeoX stores q, k and v head by head; in GGUF all q come first. */
function partsFirst(heads: number, headDim: number): Int32Array {
  return Int32Array.from({ length: 3 * heads * headDim }, (_, row) => {
    const [part, rest] = [Math.floor(row / (heads * headDim)), row % (heads * headDim)];
    const [head, within] = [Math.floor(rest / headDim), rest % headDim];
    return (head * 3 + part) * headDim + within;
  });
}

/** GGUF names of modules, and the row order of those that have another one there. */
function modules(a: Architecture): Map<string, { name: string; rows: Int32Array | null }> {
  const names = tensorNames(a);
  const found = new Map<string, { name: string; rows: Int32Array | null }>();
  found.set(names.finalNorm, { name: 'output_norm', rows: null });
  for (let layer = 0; layer < a.layers; layer++) {
    const roles = names.layer(layer);
    for (const role of Object.keys(LAYER_NAMES) as (keyof LayerNames)[]) {
      if (roles[role] === '') continue;
      const rows =
        a.family === 'llama' && (role === 'q' || role === 'k')
          ? neighbours(role === 'q' ? a.heads : a.kvHeads, a.headDim)
          : a.qkvLayout === 'gpt_neox' && role === 'qkv'
            ? partsFirst(a.heads, a.headDim)
            : null;
      found.set(roles[role], { name: `blk.${layer}.${LAYER_NAMES[role]}`, rows });
    }
  }
  return found;
}

/** The GGUF name of a linear layer, and the order of its outputs. */
export function ggufModule(a: Architecture, module: string): { name: string; rows: Int32Array | null } {
  const found = modules(a).get(module);
  if (!found) throw new Error(`${module} has no name in GGUF`);
  return found;
}

/** Every tensor of a model. */
export function ggufTensors(a: Architecture): GgufTensor[] {
  const names = tensorNames(a);
  const byModule = modules(a);
  const whole = new Map([
    [names.embedding, 'token_embd.weight'],
    [names.positions, 'position_embd.weight'],
    [names.head, 'output.weight'],
  ]);
  return expectedTensors(a).map(({ name: from, shape }) => {
    const given = whole.get(from);
    const plain = { from, shape, rows: null, transposed: false, added: 0 };
    if (given) return { ...plain, name: given, exact: from === names.positions };
    const dot = from.lastIndexOf('.');
    const module = byModule.get(from.slice(0, dot)) as { name: string; rows: Int32Array | null };
    const transposed = a.conv1d && shape.length === 2;
    return {
      ...plain,
      name: `${module.name}${from.slice(dot)}`,
      shape: transposed ? [...shape].reverse() : shape,
      rows: module.rows,
      transposed,
      added: a.normAddsOne && /_norm\.weight$/.test(`${module.name}.weight`) ? 1 : 0,
      exact: shape.length === 1,
    };
  });
}

/** [rows, columns] → [columns, rows] */
function transpose(data: Float32Array, rows: number, columns: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) out[c * rows + r] = data[r * columns + c] as number;
  return out;
}

/** Rows of `width` numbers in another order. @param order source row by row of the result */
export function reorderRows(
  data: Float32Array,
  order: Int32Array,
  inverse = false,
): Float32Array<ArrayBuffer> {
  const width = data.length / order.length;
  const out = new Float32Array(data.length);
  for (let row = 0; row < order.length; row++) {
    const source = order[row] as number;
    const [to, from] = inverse ? [source, row] : [row, source];
    out.set(data.subarray(from * width, (from + 1) * width), to * width);
  }
  return out;
}

/** The numbers of a Hugging Face tensor as GGUF has them. */
export function toGguf({ rows, transposed, added, shape }: GgufTensor, data: Float32Array): Float32Array {
  if (transposed) return transpose(data, shape[1] as number, shape[0] as number);
  if (rows) return reorderRows(data, rows);
  return added === 0 ? data : data.map((x) => x + added);
}

/** The way back. */
export function fromGguf(
  { rows, transposed, added, shape }: GgufTensor,
  data: Float32Array<ArrayBuffer>,
): Float32Array<ArrayBuffer> {
  if (transposed) return transpose(data, shape[0] as number, shape[1] as number);
  if (rows) return reorderRows(data, rows, true);
  return added === 0 ? data : data.map((x) => x - added);
}

/** Every sixth layer of Gemma 3 has full attention in llama.cpp, whatever the file says. */
const GEMMA_PATTERN = 6;

/** What llama.cpp would compute differently, before “so …”; null where it computes the same. */
export function ggufProblem(a: Architecture): string | null {
  const activations: Record<FamilyId, readonly string[]> = {
    llama: ['silu'],
    qwen2: ['silu'],
    qwen3: ['silu'],
    gpt2: ['gelu_tanh'],
    gpt_neox: ['gelu', 'gelu_tanh'],
    gemma3_text: ['gelu_tanh'],
  };
  const name = GGUF_ARCHITECTURES[a.family];
  if (!activations[a.family].includes(a.activation))
    return `llama.cpp computes ${name} with ${activations[a.family][0]}, and this model has ${a.activation}`;
  if (Math.abs(a.attentionScale * Math.sqrt(a.headDim) - 1) > 1e-6)
    return `llama.cpp scales the attention of ${name} by 1/√${a.headDim}, and this model by ${a.attentionScale.toPrecision(4)}`;
  const windows = a.slidingWindows.map((window) => window !== null);
  const wanted = windows.map((_, i) => a.family === 'gemma3_text' && (i + 1) % GEMMA_PATTERN !== 0);
  const widths = new Set(a.slidingWindows.filter((window) => window !== null));
  if (windows.join() !== wanted.join() || widths.size > 1)
    return `llama.cpp has no such sliding windows for ${name}`;
  if (a.ropeScaling && a.family !== 'llama' && a.ropeScaling.type !== 'linear')
    return `llama.cpp has no RoPE scaling “${a.ropeScaling.type}” for ${name}`;
  if (a.family === 'qwen2' && a.outputBias) return `llama.cpp has no bias on the attention output of ${name}`;
  if ((a.family === 'qwen3' || a.family === 'gemma3_text') && a.qkvBias)
    return `llama.cpp has no attention bias for ${name}`;
  if (a.family === 'gpt_neox' && !a.qkvBias) return `llama.cpp needs an attention bias for ${name}`;
  return null;
}
