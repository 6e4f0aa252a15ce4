// How many dispatches a replayed training step takes, a layer and outside of the layers: the reach of this engine, for every family.
// Not here: that the step is right (engine.gpu.test.ts, stepGraph.gpu.test.ts), memory and times (bench/).

import { describe, expect, it } from 'vitest';
import { storageBufferLimit } from '../src/engine/kernels/webgpu/program';
import { countWork, type WorkCount } from '../src/engine/kernels/webgpu/workCount';
import { createLearner, disposeLearner } from '../src/engine/model/adapters';
import { Model } from '../src/engine/model/model';
import { CapturedStepper } from '../src/engine/training/capturedStep';
import { folderFromUrl } from '../src/formats/huggingface';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { batchOf, FAMILIES, type Fixture, modelOf, readFixture } from './engineFixtures';
import { useWebGpu } from './webgpu';

const inNode = typeof window === 'undefined';

useWebGpu();

/** Wanted of a device that binds this many buffers at a time; with fewer, sums of products are cut and AdamW takes fewer tensors. */
const ENOUGH_BUFFERS = 16;
const MOST = { perLayer: 26, outside: 12 };
const MAX_WITH_FEW_BUFFERS = { perLayer: 30, outside: 14 };

/** The first layers of a model. */
function shallow({ architecture, weights }: Model, layers: number): Model {
  const layerOf = (name: string) => Number(/\.(\d+)\./.exec(name)?.[1] ?? -1);
  const slidingWindows = architecture.slidingWindows.slice(0, layers);
  return new Model(
    { ...architecture, layers, slidingWindows },
    new Map([...weights].filter(([name]) => layerOf(name) < layers)),
  );
}

/** The third update of one shape, whose graphs are replayed. */
async function replayed(
  model: Model,
  fixture: Fixture,
  method: Hyperparameters['method'],
): Promise<WorkCount> {
  const h: Hyperparameters = { ...defaultHyperparameters(), method, lora_r: 4 };
  const learner = createLearner(model.architecture, model.weights, h);
  const stepper = new CapturedStepper(model, learner, h);
  const work = countWork();
  for (let i = 0; i < 3; i++) {
    work.reset();
    const request = { batches: [batchOf(fixture, 0)], weightSum: 10, noiseKeys: [i], learningRate: 1e-3 };
    const updating = stepper.update(request);
    let next = await updating.next();
    while (!next.done) next = await updating.next();
    await next.value.result;
  }
  const counts = work.read();
  work.stop();
  stepper.dispose();
  disposeLearner(learner);
  return counts;
}

const METHODS = ['full', 'lora'] as const;

describe('a replayed step', () => {
  it('takes few dispatches, and creates nothing', async () => {
    const few = storageBufferLimit() < ENOUGH_BUFFERS;
    const most = few ? MAX_WITH_FEW_BUFFERS : MOST;
    // SwiftShader, which binds few, compiles for minutes: there one family shows that it does little harm.
    for (const family of few ? (['llama-tied'] as const) : FAMILIES) {
      const folder = inNode
        ? (await import('./nodeFolders')).fixtureFolder(family)
        : folderFromUrl(`/test/fixtures/engine/${family}/`);
      const fixture = await readFixture(family, folder);
      const model = await modelOf(fixture);
      for (const method of few ? (['full'] as const) : METHODS) {
        const counted: WorkCount[] = [];
        for (const layers of [1, 2]) {
          const part = shallow(model, layers);
          counted.push(await replayed(part, fixture, method));
          part.disposeConstants();
        }
        const [one, two] = counted as [WorkCount, WorkCount];
        const perLayer = two.dispatches - one.dispatches;
        const name = `${family}, ${method}`;
        expect(perLayer, name).toBeLessThanOrEqual(most.perLayer);
        expect(one.dispatches - perLayer, name).toBeLessThanOrEqual(most.outside);
        const { submits, buffers, bindGroups } = two;
        expect({ buffers, bindGroups }, name).toEqual({ buffers: 0, bindGroups: 0 });
        expect(submits, name).toBeLessThanOrEqual(3);
      }
      model.dispose();
    }
  }, 600_000);
});
