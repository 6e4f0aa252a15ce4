// @genai-fi/nanogpt: its own model (NanoGPT v2: RMSNorm, RoPE, QK norm, ReLU² MLP, tied) and its own trainer's step, in f32.
// Not here: any of our engine. Its package holds its own tfjs, whose engine it leaves in a global.

import { TeachableLLM } from 'peer:nanogpt';
import BasicTrainer from 'peer:nanogpt-trainer';
import { batchOf, SETTINGS } from '../shapes';
import type { Job, RunningEngine } from './engine';

interface OwnTfjs {
  makeTensor(values: Int32Array, shape: number[], type: 'int32'): { dispose(): void };
  registeredVariables: Record<string, { shape: number[]; size: number }>;
}

export async function start(job: Job): Promise<RunningEngine> {
  if (job.method !== 'full') throw new Error('Only its full training is compared.');
  const { batch, time, heads, hidden, layers, vocab } = job.shape;
  await TeachableLLM.selectBackend('webgpu');
  const llm = TeachableLLM.create('char', {
    modelType: 'GenAI_NanoGPT_v2',
    vocabSize: vocab,
    blockSize: time,
    nLayer: layers,
    nHead: heads,
    nEmbed: hidden,
    mlpFactor: 4,
  });
  await new Promise<void>((done) => llm.on('loaded', done));
  const rates = {
    learningRate: SETTINGS.learningRate,
    minLearningRate: SETTINGS.learningRate,
    warmupSteps: 0,
  };
  const trainer = new BasicTrainer(llm.model, llm.tokeniser, {
    ...rates,
    beta1: SETTINGS.beta1,
    beta2: SETTINGS.beta2,
    epsilon: SETTINGS.epsilon,
    weightDecay: SETTINGS.weightDecay,
    clipNorm: SETTINGS.clip,
  });
  const options = {
    method: { type: 'pretraining' },
    batchSize: batch,
    mixedPrecision: false,
    gradientCheckpointing: false,
    dropout: 0,
    learningRate: SETTINGS.learningRate,
  };
  trainer.configure(options);
  trainer.prepareToTrain(options);
  const tfjs = (globalThis as unknown as { _tfengine: OwnTfjs })._tfengine;
  const variables = Object.values(tfjs.registeredVariables);
  const parameters = variables.reduce((sum, v) => sum + v.size, 0);
  const productWeights = variables.reduce((sum, v) => sum + (v.shape.length > 1 ? v.size : 0), 0);
  let last: { data(): Promise<Float32Array>; dispose(): void } | null = null;
  return {
    version: '@genai-fi/nanogpt 1.3.0',
    model: 'NanoGPT v2, f32, own start weights',
    parameters,
    productWeights,
    step: async (index) => {
      last?.dispose();
      const { ids, targets } = batchOf(job.shape, index);
      const xs = tfjs.makeTensor(ids, [batch, time], 'int32');
      const ys = tfjs.makeTensor(targets, [batch, time], 'int32');
      last = trainer.trainStep({}, { xs, ys });
      xs.dispose();
      ys.dispose();
    },
    loss: async () => (await (last as NonNullable<typeof last>).data())[0] as number,
  };
}
