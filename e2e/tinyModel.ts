// A Llama of test size in a Hugging Face folder: random weights from a seed, the shipped model's tokenizer and template.
// Not here: reading such folders (src/formats/), which is what the tests try.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createRandom } from '../src/data/random';

const hidden = 32;
const intermediate = 64;
const layers = 2;
const heads = 2;

/**
 * Writes the folder; the same bytes every time.
 * @param folder where to; made when it is not there
 * @param shipped folder of a shipped model, whose tokenizer is used
 */
export function writeTinyModel(folder: string, shipped: string): void {
  mkdirSync(folder, { recursive: true });
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    cpSync(path.join(shipped, file), path.join(folder, file));
  }
  const config = {
    ...JSON.parse(readFileSync(path.join(shipped, 'config.json'), 'utf8')),
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    head_dim: hidden / heads,
    max_position_embeddings: 256,
    tie_word_embeddings: true,
    torch_dtype: 'float32',
  };
  writeFileSync(path.join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);

  const shapes: [name: string, shape: number[]][] = [
    ['model.embed_tokens.weight', [config.vocab_size, hidden]],
  ];
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    shapes.push(
      [`${at}.input_layernorm.weight`, [hidden]],
      [`${at}.post_attention_layernorm.weight`, [hidden]],
    );
    for (const name of ['q_proj', 'k_proj', 'v_proj', 'o_proj']) {
      shapes.push([`${at}.self_attn.${name}.weight`, [hidden, hidden]]);
    }
    shapes.push([`${at}.mlp.gate_proj.weight`, [intermediate, hidden]]);
    shapes.push([`${at}.mlp.up_proj.weight`, [intermediate, hidden]]);
    shapes.push([`${at}.mlp.down_proj.weight`, [hidden, intermediate]]);
  }
  shapes.push(['model.norm.weight', [hidden]]);

  const random = createRandom(7);
  // Twelve uniform numbers add up to a bell curve of deviation 1.
  const normal = () => Array.from({ length: 12 }, random).reduce((sum, x) => sum + x, -6);
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  const parts: Buffer[] = [];
  let offset = 0;
  for (const [name, shape] of shapes) {
    const size = shape.reduce((product, n) => product * n, 1);
    const values = Float32Array.from({ length: size }, () => (shape.length === 1 ? 1 : normal() * 0.05));
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + values.byteLength] };
    offset += values.byteLength;
    parts.push(Buffer.from(values.buffer));
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  writeFileSync(path.join(folder, 'model.safetensors'), Buffer.concat([length, padded, ...parts]));
}
