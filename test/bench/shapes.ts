// What is measured: model shapes, the settings every engine shares, the rows they all read, and the arithmetic of a step.
// Not here: how an engine runs them (engines/), timing (measure.ts).

import { createRandom } from '../../src/data/random';
import { architectureFromConfig, expectedTensors } from '../../src/formats/architecture';
import type { RawConfig } from '../../src/formats/families/config';
import type { Architecture } from '../../src/modelArchitecture';

/** A Llama-type decoder with tied head, and a batch for it. */
export interface Shape {
  name: string;
  vocab: number;
  layers: number;
  hidden: number;
  heads: number;
  kvHeads: number;
  intermediate: number;
  time: number;
  batch: number;
}

/** Every engine's settings: AdamW, constant rate, clipping by global norm, no dropout. */
export const SETTINGS = {
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.01,
  clip: 1,
} as const;

type Sizes = Omit<Shape, 'name' | 'kvHeads'> & { kvHeads?: number };

const sizes: Record<string, Sizes> = {
  tiny: { vocab: 256, layers: 2, hidden: 64, heads: 2, intermediate: 160, time: 64, batch: 2 },
  a: { vocab: 512, layers: 4, hidden: 256, heads: 8, intermediate: 672, time: 128, batch: 16 },
  b: { vocab: 512, layers: 6, hidden: 384, heads: 6, intermediate: 1024, time: 256, batch: 8 },
  c: { vocab: 50257, layers: 6, hidden: 768, heads: 12, intermediate: 2048, time: 512, batch: 1 },
  'pebble-1m': { vocab: 4096, layers: 4, hidden: 128, heads: 4, intermediate: 384, time: 128, batch: 8 },
  'pebble-3m': { vocab: 4096, layers: 6, hidden: 192, heads: 6, intermediate: 512, time: 256, batch: 8 },
  'pebble-15m': { vocab: 4096, layers: 8, hidden: 384, heads: 6, intermediate: 1024, time: 256, batch: 8 },
  'pebble-135m': {
    vocab: 49152,
    layers: 30,
    hidden: 576,
    heads: 9,
    kvHeads: 3,
    intermediate: 1536,
    time: 512,
    batch: 2,
  },
};

/** The MLPs of a, b and c have 8/3 of the width, so three matrices hold what the two of a GPT-2 MLP of four times the width hold. */
export const SHAPES: Record<string, Shape> = Object.fromEntries(
  Object.entries(sizes).map(([name, s]) => [name, { name, kvHeads: s.heads, ...s }]),
);

export function llamaOf(shape: Shape): Architecture {
  return architectureFromConfig({
    model_type: 'llama',
    vocab_size: shape.vocab,
    hidden_size: shape.hidden,
    intermediate_size: shape.intermediate,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    max_position_embeddings: shape.time,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
  } satisfies RawConfig);
}

export interface NamedArray {
  name: string;
  shape: number[];
  data: Float32Array;
}

const WEIGHT_DEVIATION = 0.02;

/** Seeded start weights under their Hugging Face names: gains one, biases zero, the rest normal. The same in every process. */
export function* startWeights(architecture: Architecture): Generator<NamedArray> {
  const random = createRandom(1);
  for (const { name, shape } of expectedTensors(architecture)) {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    if (shape.length > 1) {
      // Box–Muller, both of the pair.
      for (let i = 0; i < data.length; i += 2) {
        const radius = WEIGHT_DEVIATION * Math.sqrt(-2 * Math.log(1 - random()));
        const angle = 2 * Math.PI * random();
        data[i] = radius * Math.cos(angle);
        if (i + 1 < data.length) data[i + 1] = radius * Math.sin(angle);
      }
    } else if (name.endsWith('.weight')) {
      data.fill(architecture.normAddsOne ? 0 : 1);
    }
    yield { name, shape, data };
  }
}

/** Different batches that come round; few, so that the loss falls within a few steps. */
export const BATCHES = 4;

/**
 * Batch `index` (they come round): rows of `time` + 1 tokens, half of them skewed draws, half the fixed successor of the token before.
 * [batch, time + 1]
 */
export function rowsOf(shape: Shape, index: number): Int32Array[] {
  const { vocab, time, batch } = shape;
  const random = createRandom(1000 + (index % BATCHES));
  return Array.from({ length: batch }, () => {
    const row = new Int32Array(time + 1);
    for (let t = 0; t <= time; t++) {
      const before = row[t - 1] ?? 0;
      row[t] =
        t > 0 && random() < 0.5 ? (before * 31 + 17) % vocab : Math.min(vocab - 1, vocab * random() ** 3);
    }
    return row;
  });
}

/** A batch as the engines that take plain arrays read it: the last position of a row has no target, as in ours. */
export function batchOf(shape: Shape, index: number) {
  const { time, batch } = shape;
  const ids = new Int32Array(batch * time); // [batch, time]
  const targets = new Int32Array(batch * time); // [batch, time]
  const weights = new Float32Array(batch * time); // [batch, time]
  for (const [r, row] of rowsOf(shape, index).entries()) {
    ids.set(row.subarray(0, time), r * time);
    targets.set(row.subarray(1), r * time);
    weights.fill(1, r * time, r * time + time - 1);
  }
  return { ids, targets, weights };
}

/**
 * Arithmetic of one step as the model asks for it, not as an engine does it: 6 × (weights in products, the head among them) × tokens
 * + 6 × layers × width × time × tokens for causal attention (half of the full square), forward and backward.
 */
export function stepFlops(shape: Shape, productWeights: number): number {
  const tokens = shape.batch * shape.time;
  return 6 * productWeights * tokens + 6 * shape.layers * shape.hidden * shape.time * tokens;
}
