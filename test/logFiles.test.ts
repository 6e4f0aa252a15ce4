// Files of a run for other tools, read back: TensorBoard event files by a decoder written here, trainer_state.json.
// Not here: that a run leaves them (cli.test.ts), that TensorBoard and transformers read them (interop/logFiles.interop.ts).

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openEventLog } from '../src/cli/eventLog';
import type { MetricPoint, RunConfig } from '../src/contract';
import { defaultHyperparameters } from '../src/hyperparameters';
import { eventFile, eventFileName } from '../src/metrics/eventFile';
import { trainerState } from '../src/metrics/trainerState';

const config = {
  runId: 'a1b2c3d4-0000',
  startedAt: '2026-01-02T03:04:05.000Z',
  hyperparameters: { ...defaultHyperparameters(), num_train_epochs: 3, batch_size: 4 },
  totalSteps: 300,
  evaluation: { evaluations: 4 },
} as RunConfig;

const point = (name: MetricPoint['name'], step: number, value: number): MetricPoint => ({
  ...{ name, step, value },
  ...{ epoch: step / 100, tokens: 10 * step, elapsedMs: 500 * step },
});

const points = [
  point('valid_loss', 0, 2.5),
  point('train_loss', 1, 2.25),
  point('learning_rate', 1, 0.001),
  point('grad_norm', 1, Number.NaN),
  point('train_loss', 300, 1),
  point('valid_loss', 300, 0.5),
  point('full_valid_loss', 300, 0.625),
];

/** CRC-32C bit by bit, unlike the table of the encoder. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0x82f63b78 & -(crc & 1));
  }
  return ~crc >>> 0;
}

const masked = (bytes: Uint8Array) => {
  const crc = BigInt(crc32c(bytes));
  return Number((((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn);
};

/** The records of a file; a checksum that is wrong fails the test. */
function recordsOf(file: Uint8Array): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let at = 0; at < file.length; ) {
    const view = new DataView(file.buffer, file.byteOffset + at);
    const length = Number(view.getBigUint64(0, true));
    expect(view.getUint32(8, true)).toBe(masked(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(view.getUint32(12 + length, true)).toBe(masked(data));
    records.push(data);
    at += 16 + length;
  }
  return records;
}

/** The fields of a message by their number. */
function fieldsOf(message: Uint8Array): Map<number, number | Uint8Array> {
  const fields = new Map<number, number | Uint8Array>();
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = message[at++] as number;
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const [field, type] = [key >> 3, key & 7];
    if (type === 0) fields.set(field, varint());
    else if (type === 2) {
      const length = varint();
      fields.set(field, message.subarray(at, at + length));
      at += length;
    } else {
      fields.set(field, type === 1 ? view.getFloat64(at, true) : view.getFloat32(at, true));
      at += type === 1 ? 8 : 4;
    }
  }
  return fields;
}

const textOf = (bytes: number | Uint8Array | undefined) => new TextDecoder().decode(bytes as Uint8Array);

describe('a TensorBoard event file', () => {
  it('has the checksum of the standard', () => {
    // RFC 3720, B.4: 32 bytes of zeros.
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  });

  it('reads back as the points that were written', () => {
    const [head = new Uint8Array(), ...records] = recordsOf(eventFile(config, points)).map(fieldsOf);
    expect(textOf((head as Map<number, Uint8Array>).get(3))).toBe('brain.Event:2');
    const read = (records as Map<number, number | Uint8Array>[]).map((event) => {
      const value = fieldsOf(fieldsOf(event.get(5) as Uint8Array).get(1) as Uint8Array);
      return [textOf(value.get(1)), event.get(2), value.get(2), event.get(1)];
    });
    const start = Date.parse(config.startedAt) / 1000;
    expect(read).toEqual([
      ['eval/loss', 0, 2.5, start],
      ['train/loss', 1, 2.25, start + 0.5],
      ['train/learning_rate', 1, Math.fround(0.001), start + 0.5],
      ['train/grad_norm', 1, Number.NaN, start + 0.5],
      ['train/loss', 300, 1, start + 150],
      ['eval/loss', 300, 0.5, start + 150],
      ['eval/full_loss', 300, 0.625, start + 150],
    ]);
  });

  it('has a name that TensorBoard looks for', () => {
    expect(eventFileName(config)).toBe('events.out.tfevents.1767323045.a1b2c3d4.finetune-playground');
  });
});

describe('the event file of a run that goes on', () => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'playground-events-'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  it('is whole after every report, and goes on from the points of a resumed run', () => {
    const folder = path.join(scratch, 'new', 'run');
    const said: string[] = [];
    const say = (line: string) => said.push(line);
    const file = path.join(folder, eventFileName(config));
    const written = () => new Uint8Array(readFileSync(file));
    const log = openEventLog(folder, config, [], say);
    expect(written()).toEqual(eventFile(config, []));
    log.append(points.slice(0, 3));
    expect(written()).toEqual(eventFile(config, points.slice(0, 3)));
    log.append([]);
    log.append(points.slice(3));
    expect(written()).toEqual(eventFile(config, points));
    openEventLog(folder, config, points.slice(0, 2), say).append(points.slice(2));
    expect(written()).toEqual(eventFile(config, points));
    expect(said).toEqual([]);
  });

  it('replaces those of runs without a result, and no others', () => {
    const folder = path.join(scratch, 'before');
    mkdirSync(folder);
    const ended = eventFileName({ ...config, runId: 'ended' });
    const recorded = eventFileName({ ...config, runId: 'recorded' });
    const foreign = 'events.out.tfevents.1700000000.host';
    for (const name of [ended, recorded, foreign]) writeFileSync(path.join(folder, name), '');
    writeFileSync(path.join(folder, 'run.json'), JSON.stringify({ files: [recorded] }));
    openEventLog(folder, config, [], () => {});
    expect(readdirSync(folder).sort()).toEqual([eventFileName(config), recorded, foreign, 'run.json'].sort());
  });

  it('that cannot be written is said once', () => {
    const folder = path.join(scratch, 'file');
    writeFileSync(folder, '');
    const said: string[] = [];
    const log = openEventLog(folder, config, [], (line) => said.push(line));
    log.append(points);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/TensorBoard cannot follow this run, events.* cannot be written: /);
  });
});

describe('trainer_state.json', () => {
  const state = JSON.parse(trainerState(config, points, null));

  it('has one entry a step and one an evaluation, under the names of transformers', () => {
    expect(state.log_history).toEqual([
      { epoch: 0, step: 0, eval_loss: 2.5 },
      { epoch: 0.01, step: 1, loss: 2.25, learning_rate: 0.001, grad_norm: null },
      { epoch: 3, step: 300, loss: 1 },
      { epoch: 3, step: 300, eval_loss: 0.5, eval_full_loss: 0.625 },
    ]);
  });

  it('says what ran and which step was best', () => {
    expect(state).toMatchObject({
      ...{ global_step: 300, max_steps: 300, epoch: 3, num_train_epochs: 3, train_batch_size: 4 },
      ...{ eval_steps: 100, num_input_tokens_seen: 3000, best_global_step: 300, best_metric: 0.5 },
    });
    const kept = JSON.parse(trainerState(config, points, { step: 200, loss: 0.25 }));
    expect(kept).toMatchObject({ best_global_step: 200, best_metric: 0.25 });
  });
});
