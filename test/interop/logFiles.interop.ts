// Files of a run for other tools, read by those tools: the event file by TensorBoard, trainer_state.json by transformers.
// Not here: the bytes themselves (../logFiles.test.ts).

import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { MetricPoint, RunConfig } from '../../src/contract';
import { defaultHyperparameters } from '../../src/hyperparameters';
import { eventFile, eventFileName } from '../../src/metrics/eventFile';
import { trainerState } from '../../src/metrics/trainerState';
import { python, scratchFolder } from './python';

const place = scratchFolder();

const config = {
  runId: 'a1b2c3d4-0000',
  startedAt: '2026-01-02T03:04:05.000Z',
  hyperparameters: defaultHyperparameters(),
  totalSteps: 200,
  evaluation: { evaluations: 3 },
} as RunConfig;

const points = Array.from({ length: 200 }, (_, i): MetricPoint[] => {
  const step = i + 1;
  const at = { step, epoch: step / 100, tokens: 10 * step, elapsedMs: 500 * step };
  return [
    { name: 'train_loss', ...at, value: 1 / step },
    { name: 'learning_rate', ...at, value: 1e-3 },
    ...(step % 100 === 0 ? [{ name: 'valid_loss' as const, ...at, value: 2 / step }] : []),
  ];
}).flat();

it('TensorBoard reads the scalars of an event file', async () => {
  writeFileSync(place(eventFileName(config)), eventFile(config, points));
  const code = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
events.Reload()
read = {tag: [[e.step, e.wall_time, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
print(json.dumps(read))
`;
  const { out } = await python(['-c', code, place()]);
  const read = JSON.parse(out) as Record<string, [number, number, number][]>;
  expect(Object.keys(read).sort()).toEqual(['eval/loss', 'train/learning_rate', 'train/loss']);
  expect(read['train/loss']).toHaveLength(200);
  const start = Date.parse(config.startedAt) / 1000;
  expect(read['train/loss']?.[199]).toEqual([200, start + 100, Math.fround(1 / 200)]);
  expect(read['eval/loss']?.map(([step]) => step)).toEqual([100, 200]);
});

it('transformers reads trainer_state.json', async () => {
  writeFileSync(place('trainer_state.json'), trainerState(config, points, null));
  const code = `
import json, sys
from transformers import TrainerState
state = TrainerState.load_from_json(sys.argv[1])
print(json.dumps([state.global_step, state.best_metric, state.best_global_step, len(state.log_history), state.log_history[0]]))
`;
  const { out } = await python(['-c', code, place('trainer_state.json')]);
  expect(JSON.parse(out)).toEqual([
    ...[200, 0.01, 200, 202],
    { epoch: 0.01, step: 1, loss: 1, learning_rate: 0.001 },
  ]);
});
