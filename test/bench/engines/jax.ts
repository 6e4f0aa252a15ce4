// @jax-js/jax: the same Llama written with its numpy, the whole update in one jit, as its authors advise.
// Not here: any of our engine.

import {
  type Arr,
  blockUntilReady,
  defaultDevice,
  init,
  jit,
  nn,
  numpy as np,
  type Tree,
  tree,
  valueAndGrad,
} from 'peer:jax';
import { batchOf, llamaOf, SETTINGS, startWeights } from '../shapes';
import type { Job, RunningEngine } from './engine';
import { rotation } from './rotation';

const EPSILON = 1e-5;

export async function start(job: Job): Promise<RunningEngine> {
  if (job.method !== 'full') throw new Error('jax-js has no LoRA of its own.');
  const devices = await init('webgpu');
  if (!devices.includes('webgpu')) throw new Error('jax-js does not start WebGPU here.');
  defaultDevice('webgpu');
  const { batch: b, time: t, heads, hidden: d, layers } = job.shape;
  const headDim = d / heads;
  let params: Tree = {};
  let m: Tree = {};
  let v: Tree = {};
  const decays: Record<string, boolean> = {};
  let parameters = 0;
  for (const { name, shape, data } of startWeights(llamaOf(job.shape))) {
    params[name] = np.array(data, { shape });
    m[name] = np.array(new Float32Array(data.length), { shape });
    v[name] = np.array(new Float32Array(data.length), { shape });
    decays[name] = shape.length > 1;
    parameters += data.length;
  }
  const table = rotation(t, headDim);
  const tables = [table.cos, table.sin].map((data) => np.array(data, { shape: [t, 1, headDim] })) as [
    Arr,
    Arr,
  ];

  const lossOf = (p: Tree, ids: Arr, targets: Arr, rows: Arr, cos: Arr, sin: Arr): Arr => {
    const weight = (name: string) => (p[name] as Arr).ref;
    const norm = (x: Arr, name: string) => {
      const mean = np.square(x.ref).mean(-1, { keepdims: true });
      return x.div(np.sqrt(mean.add(EPSILON))).mul(weight(name));
    };
    const linear = (x: Arr, name: string) => np.matmul(x, weight(name).transpose());
    const toHeads = (x: Arr) => x.reshape([b, t, heads, headDim]);
    const rotate = (x: Arr) => {
      const left = x.ref.slice([], [], [], [0, headDim / 2]);
      const right = x.ref.slice([], [], [], [headDim / 2, headDim]);
      return x.mul(cos.ref).add(np.concatenate([right.neg(), left], -1).mul(sin.ref));
    };
    const attention = (x: Arr, layer: string) => {
      const q = rotate(toHeads(linear(x.ref, `${layer}.q_proj.weight`)));
      const k = rotate(toHeads(linear(x.ref, `${layer}.k_proj.weight`)));
      const value = toHeads(linear(x, `${layer}.v_proj.weight`));
      const mixed = nn.dotProductAttention(q, k, value, { isCausal: true }).reshape([b * t, d]);
      return linear(mixed, `${layer}.o_proj.weight`);
    };
    const mlp = (x: Arr, layer: string) => {
      const gate = nn.silu(linear(x.ref, `${layer}.gate_proj.weight`));
      return linear(gate.mul(linear(x, `${layer}.up_proj.weight`)), `${layer}.down_proj.weight`);
    };
    let x = weight('model.embed_tokens.weight').slice(ids); // [b·t, d]
    for (let i = 0; i < layers; i++) {
      const layer = `model.layers.${i}`;
      x = x.ref.add(attention(norm(x, `${layer}.input_layernorm.weight`), `${layer}.self_attn`));
      x = x.ref.add(mlp(norm(x, `${layer}.post_attention_layernorm.weight`), `${layer}.mlp`));
    }
    const logits = linear(norm(x, 'model.norm.weight'), 'model.embed_tokens.weight');
    // Its takeAlongAxis has no gradient inside jit.
    const picked = nn.logSoftmax(logits).mul(nn.oneHot(targets, job.shape.vocab)).sum(-1);
    const loss = picked.mul(rows.ref).sum().div(rows.sum()).neg();
    tree.dispose([p, cos, sin]);
    return loss;
  };

  const { learningRate, beta1, beta2, epsilon, weightDecay, clip } = SETTINGS;
  // The two bias corrections come in as arrays, so that one compiled step serves all.
  const update = jit(
    (
      p: Tree,
      m0: Tree,
      v0: Tree,
      c1: Arr,
      c2: Arr,
      ids: Arr,
      targets: Arr,
      rows: Arr,
      cos: Arr,
      sin: Arr,
    ) => {
      const [loss, gradients] = valueAndGrad(lossOf)(tree.ref(p), ids, targets, rows, cos, sin);
      const squares = Object.values(gradients).map((g) => np.square(g.ref).sum());
      const total = np.sqrt(squares.reduce((sum, one) => sum.add(one)));
      const scale = np.minimum(np.array(clip).div(total.add(1e-6)), 1);
      const after: [Tree, Tree, Tree] = [{}, {}, {}];
      for (const [name, w] of Object.entries(p)) {
        const g = (gradients[name] as Arr).mul(scale.ref);
        const mean = (m0[name] as Arr).mul(beta1).add(g.ref.mul(1 - beta1));
        const square = (v0[name] as Arr).mul(beta2).add(np.square(g).mul(1 - beta2));
        const change = mean.ref.mul(c1.ref).div(np.sqrt(square.ref.mul(c2.ref)).add(epsilon));
        const kept = decays[name] ? w.mul(1 - learningRate * weightDecay) : w;
        after[0][name] = kept.sub(change.mul(learningRate));
        after[1][name] = mean;
        after[2][name] = square;
      }
      tree.dispose([scale, c1, c2]);
      return [loss, ...after] as [Arr, Tree, Tree, Tree];
    },
  );

  let updates = 0;
  let last: Arr | null = null;
  return {
    version: 'jax-js 0.1.25',
    model: 'Llama type, whole update in one jit',
    parameters,
    productWeights: parameters - (2 * layers + 1) * d,
    step: async (index) => {
      last?.dispose();
      updates++;
      const { ids, targets, weights } = batchOf(job.shape, index);
      const corrections = [1 / (1 - beta1 ** updates), 1 / (1 - beta2 ** updates)].map((c) => np.array(c));
      [last, params, m, v] = update(
        params,
        m,
        v,
        ...(corrections as [Arr, Arr]),
        np.array(ids, { dtype: np.int32 }),
        np.array(targets, { dtype: np.int32 }),
        np.array(weights),
        tables[0].ref,
        tables[1].ref,
      );
      // Steps that run ahead are slower there (its issue 151).
      await blockUntilReady(last);
    },
    loss: async () => (await (last as Arr).ref.data())[0] as number,
  };
}
