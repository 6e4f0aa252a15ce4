// The stages of one engine's process, in order: losses for the gate, warm-up, counts, times. Knows no engine.
// Not here: which gate a loss must pass, medians over processes, tables (compare.mjs).

import type { Job, StartEngine } from './engines/engine';
import {
  type AdapterName,
  adapterName,
  countsSince,
  gpuDone,
  readCounts,
  readPeakBytes,
  readWaitedMs,
  startCounting,
  stopCounting,
  type WorkCounts,
  watchWaiting,
} from './instruments';
import { stepFlops } from './shapes';

/** What one process found out. Times in ms. */
export interface Report {
  engine: string;
  version: string;
  model: string;
  shape: string;
  adapter: AdapterName | null;
  runtime: string;
  parameters: number;
  flops: number;
  tokens: number;
  /** Loss of each of the first updates. */
  losses: number[];
  /** Of one step in the steady state; null without a GPU. */
  counts: WorkCounts | null;
  /** False when the counted steps were not all alike. */
  steady: boolean;
  peakBytes: number | null;
  /** Each step waited for: loss read and GPU done. */
  waitedMs: number[];
  /** Ten steps in a row, then waited: a tenth of each block. */
  blockMs: number[];
  /** JavaScript's own share of a waited step. */
  scriptMs: number[];
  /** Time of all of the process's processor threads in a waited step; null in a browser. */
  processorMs: number[] | null;
}

const BLOCK = 10;

/** Runs the job to its end. In a browser the processor's time is not to be had. */
export async function measure(job: Job, start: StartEngine, usesGpu: boolean): Promise<Report> {
  const adapter = usesGpu ? await adapterName() : null;
  if (usesGpu) {
    watchWaiting();
    startCounting();
  }
  const engine = await start(job);
  let done = 0;
  const losses: number[] = [];
  for (; done < job.gateSteps; done++) {
    await engine.step(done);
    losses.push(await engine.loss());
  }
  for (let i = 0; i < job.warmUpSteps; i++) {
    await engine.step(done++);
    await engine.loss();
  }

  const counted: WorkCounts[] = [];
  for (let i = 0; i < job.countedSteps && usesGpu; i++) {
    const before = readCounts();
    await engine.step(done++);
    await engine.loss();
    counted.push(countsSince(before));
  }
  const peakBytes = usesGpu ? readPeakBytes() : null;
  stopCounting();

  const processor = globalThis.process?.cpuUsage;
  const waitedMs: number[] = [];
  const scriptMs: number[] = [];
  const processorMs: number[] = [];
  await gpuDone();
  for (let i = 0; i < job.timedSteps; i++) {
    const usage = processor?.();
    const waited = readWaitedMs();
    const start = performance.now();
    await engine.step(done++);
    await engine.loss();
    await gpuDone();
    const elapsedMs = performance.now() - start;
    waitedMs.push(elapsedMs);
    scriptMs.push(elapsedMs - (readWaitedMs() - waited));
    if (processor && usage) {
      const { user, system } = processor(usage);
      processorMs.push((user + system) / 1000);
    }
  }
  const blockMs: number[] = [];
  for (let i = 0; i + BLOCK <= job.timedSteps; i += BLOCK) {
    const start = performance.now();
    if (engine.ahead) await engine.ahead(BLOCK);
    else {
      for (let k = 0; k < BLOCK; k++) await engine.step(done++);
      await engine.loss();
    }
    await gpuDone();
    blockMs.push((performance.now() - start) / BLOCK);
  }

  return {
    engine: job.engine,
    version: engine.version,
    model: engine.model,
    shape: job.shape.name,
    adapter,
    runtime: globalThis.process?.version ? `Node ${process.version}` : navigator.userAgent,
    parameters: engine.parameters,
    flops: stepFlops(job.shape, engine.productWeights),
    tokens: job.shape.batch * job.shape.time,
    losses,
    counts: counted.at(-1) ?? null,
    steady: new Set(counted.map((c) => `${c.dispatches} ${c.buffers} ${c.bindGroups}`)).size <= 1,
    peakBytes,
    waitedMs,
    blockMs,
    scriptMs,
    processorMs: processorMs.length > 0 ? processorMs : null,
  };
}
