// The floor: the same model in plain tfjs ops on the stock webgpu backend, with tf.variableGrads and tf.train.adam. What one gets without trying.
// Not here: any of our kernels, any tuning.

import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import { batchOf, llamaOf, SETTINGS, startWeights } from '../shapes';
import type { Job, RunningEngine } from './engine';
import { rotation } from './rotation';

const EPSILON = 1e-5;

export async function start(job: Job): Promise<RunningEngine> {
  if (job.method !== 'full') throw new Error('The floor trains all weights only.');
  if (!(await tf.setBackend('webgpu'))) throw new Error('Stock tfjs does not start its webgpu backend here.');
  await tf.ready();
  const { batch: b, time: t, heads, hidden: d, layers, vocab } = job.shape;
  const headDim = d / heads;
  const w = new Map<string, tf.Variable>();
  let parameters = 0;
  for (const { name, shape, data } of startWeights(llamaOf(job.shape))) {
    w.set(name, tf.variable(tf.tensor(data, shape), true, name));
    parameters += data.length;
  }
  const weight = (name: string) => w.get(name) as tf.Tensor;
  const table = rotation(t, headDim);
  const cos = tf.tensor2d(table.cos, [t, headDim]);
  const sin = tf.tensor2d(table.sin, [t, headDim]);
  const future = tf.tensor2d(
    Float32Array.from({ length: t * t }, (_, i) => (i % t > Math.floor(i / t) ? -1e9 : 0)),
    [t, t],
  );

  const norm = (x: tf.Tensor, name: string) =>
    x.mul(x.square().mean(-1, true).add(EPSILON).rsqrt()).mul(weight(name));
  const linear = (x: tf.Tensor, name: string) => tf.matMul(x, weight(name), false, true); // [b·t, out]
  const toHeads = (x: tf.Tensor) => x.reshape([b, t, heads, headDim]).transpose([0, 2, 1, 3]); // [b, heads, t, headDim]
  const rotate = (x: tf.Tensor) => {
    const [left, right] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
    return x.mul(cos).add(tf.concat([right.neg(), left], -1).mul(sin));
  };
  const attention = (x: tf.Tensor, layer: string) => {
    const q = rotate(toHeads(linear(x, `${layer}.q_proj.weight`)));
    const k = rotate(toHeads(linear(x, `${layer}.k_proj.weight`)));
    const v = toHeads(linear(x, `${layer}.v_proj.weight`));
    const scores = tf
      .matMul(q, k, false, true)
      .mul(headDim ** -0.5)
      .add(future); // [b, heads, t, t]
    const mixed = tf
      .matMul(tf.softmax(scores), v)
      .transpose([0, 2, 1, 3])
      .reshape([b * t, d]);
    return linear(mixed, `${layer}.o_proj.weight`);
  };
  const mlp = (x: tf.Tensor, layer: string) => {
    const gate = linear(x, `${layer}.gate_proj.weight`);
    return linear(
      gate.mul(gate.sigmoid()).mul(linear(x, `${layer}.up_proj.weight`)),
      `${layer}.down_proj.weight`,
    );
  };
  const lossOf = (ids: tf.Tensor1D, targets: tf.Tensor1D, rows: tf.Tensor1D) => {
    let x: tf.Tensor = tf.gather(weight('model.embed_tokens.weight'), ids); // [b·t, d]
    for (let i = 0; i < layers; i++) {
      const layer = `model.layers.${i}`;
      x = x.add(attention(norm(x, `${layer}.input_layernorm.weight`), `${layer}.self_attn`));
      x = x.add(mlp(norm(x, `${layer}.post_attention_layernorm.weight`), `${layer}.mlp`));
    }
    const logits = tf.matMul(norm(x, 'model.norm.weight'), weight('model.embed_tokens.weight'), false, true);
    const picked = tf.logSoftmax(logits).mul(tf.oneHot(targets, vocab)).sum(-1);
    return picked.mul(rows).sum().div(rows.sum()).neg() as tf.Scalar;
  };

  const { learningRate, beta1, beta2, epsilon, clip } = SETTINGS;
  const optimizer = tf.train.adam(learningRate, beta1, beta2, epsilon);
  let last: tf.Scalar | null = null;
  return {
    version: `floor: stock tfjs ${tf.version.tfjs}`,
    model: 'Llama type, Adam without decay',
    parameters,
    productWeights: parameters - (2 * layers + 1) * d,
    step: async (index) => {
      last?.dispose();
      const { ids, targets, weights } = batchOf(job.shape, index);
      last = tf.tidy(() => {
        const inputs = [
          tf.tensor1d(ids, 'int32'),
          tf.tensor1d(targets, 'int32'),
          tf.tensor1d(weights),
        ] as const;
        const { value, grads } = tf.variableGrads(() => lossOf(...inputs), [...w.values()]);
        // tfjs's addN binds all its inputs at once, which few devices allow.
        const squares = Object.values(grads).map((g) => g.square().sum());
        const total = squares.reduce((sum, one) => sum.add(one)).sqrt();
        const scale = tf.minimum(1, tf.div(clip, total.add(1e-6)));
        optimizer.applyGradients(
          Object.fromEntries(Object.entries(grads).map(([name, g]) => [name, g.mul(scale)])),
        );
        return value;
      });
    },
    loss: async () => (await (last as tf.Scalar).data())[0] as number,
  };
}
