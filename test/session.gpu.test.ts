// The session on WebGPU when the device fails it: gone in the middle of a run, out of memory in the heaviest batch.
// Not here: the session where all is well (session.test.ts), starting a device (device.gpu.test.ts).

import { expose, proxy, type Remote, wrap } from 'comlink';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { RunConfig, RunEvent, RunSummary, Session } from '../src/contract';
import { trimPool, webgpuBackend } from '../src/engine/kernels/webgpu/program';
import type { ErrorDetails } from '../src/errors';
import type { ExportCalls } from '../src/exportContract';
import { defaultHyperparameters, type Hyperparameters } from '../src/hyperparameters';
import { EngineSession } from '../src/worker/session';
import { carryErrors } from '../src/worker/wire';
import { limitMemory } from './webgpu';

const inNode = typeof window === 'undefined';
const wasmPath = inNode ? (await import('./setup-node-webgpu')).nodeWasmPath : '/wasm/';
const FILES = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
];

async function fixtureFile(name: string): Promise<Blob> {
  const path = `test/fixtures/engine/chat/${name}`;
  if (!inNode) return (await fetch(`/${path}`)).blob();
  return new Blob([(await import('node:fs')).readFileSync(path)]);
}

let session: Remote<Session & ExportCalls>;
let channel: MessageChannel;
const lost: ErrorDetails[] = [];

/** A model, and rows of about 40 tokens each. */
async function prepare(backend: 'webgpu' | 'wasm', h: Hyperparameters): Promise<void> {
  await session.start({ backend, wasmPath });
  const files = await Promise.all(
    FILES.map(async (name) => ({ path: `chat/${name}`, file: await fixtureFile(name) })),
  );
  await session.loadModel(
    { kind: 'files', id: 'chat', files },
    proxy(() => {}),
  );
  const rows = (await (await fixtureFile('rows.jsonl')).text()).trim().split('\n');
  const long = rows.map((row) => row.replace(/What/, 'What, oh what, '.repeat(2)));
  await session.readData({ kind: 'text', name: 'rows.jsonl', text: long.join('\n') }, h);
}

interface Told {
  summary: Promise<RunSummary>;
  configs: RunConfig[];
}

function train(h: Hyperparameters, onStep: (step: number) => void = () => {}): Told {
  const configs: RunConfig[] = [];
  const summary = session.train(
    h,
    proxy((e: RunEvent) => {
      onStep(e.progress.step);
    }),
    proxy((c: RunConfig) => {
      configs.push(c);
    }),
  );
  return { summary, configs };
}

const settings: Hyperparameters = {
  ...defaultHyperparameters(),
  max_length: 64,
  eval_per_epoch: 1,
  num_train_epochs: 1,
};

/** Milliseconds for what compiles a whole step, which takes a software adapter on a busy machine more than a minute. */
const SLOW = 400_000;

// One device for all tests; the last one destroys it.
beforeAll(async () => {
  carryErrors();
  channel = new MessageChannel();
  expose(new EngineSession((error) => lost.push(error)), channel.port1);
  session = wrap<Session & ExportCalls>(channel.port2);
  await prepare('webgpu', settings);
}, SLOW);
afterAll(() => {
  channel.port1.close();
  channel.port2.close();
});

describe('a device that refuses memory', () => {
  let unlimited: () => void = () => {};
  let off = 0;
  let on = 0;

  beforeAll(async () => {
    // Without the general rows that forgetting is measured on: in a model of two layers their evaluation takes as much memory as an update, and it
    // is the update that is refused here.
    const real = globalThis.fetch;
    vi.spyOn(globalThis, 'fetch').mockImplementation((input, init) =>
      String(input instanceof Request ? input.url : input).includes('general/')
        ? Promise.resolve(new Response(null, { status: 404 }))
        : real(input, init),
    );
    await train(settings).summary; // what is made once and kept
    off = await peakOf('off');
    on = await peakOf('on');
    expect(on).toBeLessThan(off * 0.9);
  }, SLOW);
  afterEach(() => {
    unlimited();
    unlimited = () => {};
  });
  afterAll(() => vi.restoreAllMocks());

  /** Device bytes that a run takes at its peak, beside what is there. */
  async function peakOf(gradient_checkpointing: 'on' | 'off'): Promise<number> {
    trimPool();
    const limit = limitMemory(Number.POSITIVE_INFINITY);
    const { error } = await train({ ...settings, gradient_checkpointing }).summary;
    limit.end();
    expect(error).toBeUndefined();
    return limit.peakBytes();
  }

  it.each(['typed', 'thrown', 'too large'] as const)(
    'goes on with checkpointing, and says so (%s)',
    async (kind) => {
      trimPool();
      const limit = limitMemory((on + off) / 2, kind);
      unlimited = limit.end;
      const { summary, configs } = train(settings);
      const { error, state, config } = await summary;
      expect(error).toBeUndefined();
      expect(state).toBe('finished');
      expect(limit.refusals()).toBeGreaterThan(0);
      expect(config.checkpointing.on).toBe(true);
      expect(config.checkpointing.because).toMatch(/device refused the memory for the heaviest batch/);
      expect(config.hyperparameters.gradient_checkpointing).toBe('auto');
      expect(configs.map((c) => [c.runId === config.runId, c.checkpointing.on])).toEqual([
        [true, false],
        [true, true],
      ]);
    },
  );

  it('is refused with ways out where that does not help, leaves nothing, and the next run is sound', async () => {
    trimPool();
    const limit = limitMemory(on / 2);
    unlimited = limit.end;
    const held: { tensors: number; deviceBytes: number | null }[] = [];
    for (let i = 0; i < 2; i++) {
      const { error, step } = await train(settings).summary;
      expect(step).toBe(0);
      expect(error?.code).toBe('out_of_memory');
      expect(error?.message).toMatch(/with gradient checkpointing too, and does not fit/);
      expect(error?.fix).toMatch(/batch size 4 with accumulation 2 \(\d+ MB\)/);
      const { tensors, deviceBytes } = await session.memory();
      held.push({ tensors, deviceBytes });
    }
    expect(held[1]).toEqual(held[0]);
    limit.end();
    const again = await train(settings).summary;
    expect(again.error).toBeUndefined();
    expect(again.best?.loss).toBeGreaterThan(0);
  });

  it('in the middle of a run ends it with ways to need less, and the weights learned before can be exported', async () => {
    let refused = false;
    const { summary } = train({ ...settings, num_train_epochs: 200 }, (step) => {
      if (step < 2 || refused) return;
      refused = true;
      const { device } = webgpuBackend();
      const error = new GPUOutOfMemoryError('vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY');
      device.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error }));
    });
    const { state, error, step } = await summary;
    expect(state).toBe('failed');
    expect(error?.code).toBe('out_of_memory');
    expect(error?.message).toMatch(new RegExp(`memory ran out after step ${step},`));
    expect(
      (
        await session.exportWeights(
          { of: 'answering' },
          { format: 'adapter' },
          proxy(() => {}),
        )
      ).file.size,
    ).toBeGreaterThan(1000);
  });
});

describe('a device that is lost in a run', () => {
  it(
    'ends the run with its error, is reported once, and another device can be started',
    async () => {
      let destroyed = false;
      const { summary } = train({ ...settings, num_train_epochs: 200 }, (step) => {
        if (step < 2 || destroyed) return;
        destroyed = true;
        webgpuBackend().device.destroy();
      });
      const { state, error, step } = await summary;
      expect(destroyed).toBe(true);
      expect(state).toBe('failed');
      expect(step).toBeGreaterThan(0);
      expect(error).toMatchObject({ code: 'gpu_lost' });
      expect(error?.message).toContain('took the graphics card away');
      expect(error?.fix).toContain('Start the engine again');
      expect(lost).toEqual([error]);

      // Nothing that is asked of it afterwards hangs.
      const request = { which: 'base' as const, messages: [{ role: 'user' as const, content: 'Hi' }] };
      const sampling = { do_sample: false, temperature: 1, top_k: 0, top_p: 1, seed: 1, max_new_tokens: 4 };
      await expect(
        session.generate(
          { ...request, settings: sampling },
          proxy(() => {}),
        ),
      ).rejects.toMatchObject({ code: 'gpu_lost' });

      await prepare('wasm', settings);
      const again = await train(settings).summary;
      expect(again.error).toBeUndefined();
      expect(again).toMatchObject({ state: 'finished', config: { backend: 'wasm' } });
    },
    SLOW,
  );
});
