// TensorBoard event files: metric points as scalars, in the framing and the protocol buffer that TensorBoard and W&B read.
// Not here: the tags (logNames.ts), appending while a run goes on (cli/eventLog.ts).
//
// How it works: a file is a row of records (TFRecord): length as uint64, its checksum, the data, their checksum; all little-endian, checksums
// are CRC-32C, turned by 15 bits and shifted (`masked`). The data of a record are a message `Event` (tensorflow/core/util/event.proto):
//   wall_time = 1 (double), step = 2 (int64), file_version = 3 (string), summary = 5 (Summary: value = 1 (Value: tag = 1, simple_value = 2)).
// The first record has the version alone. One pass; memory for the bytes.

import type { MetricPoint, RunConfig } from '../contract';
import { tagOf } from './logNames';

/** Ends the names of the files that this program writes. */
export const EVENT_FILE_SUFFIX = '.finetune-playground';

/** The name of a run's event file: TensorBoard finds it by `tfevents`, and reads the files of a folder in the order of their names. */
export function eventFileName({ startedAt, runId }: Pick<RunConfig, 'startedAt' | 'runId'>): string {
  const seconds = String(Math.floor(Date.parse(startedAt) / 1000)).padStart(10, '0');
  return `events.out.tfevents.${seconds}.${runId.slice(0, 8)}${EVENT_FILE_SUFFIX}`;
}

/** The first record of a file. */
export function eventFileHead({ startedAt }: Pick<RunConfig, 'startedAt'>): Uint8Array<ArrayBuffer> {
  return record(joined([doubleField(1, Date.parse(startedAt) / 1000), bytesField(3, utf8('brain.Event:2'))]));
}

/** Records of these points, to stand behind the head and those before. Their wall time is the run's start plus what has elapsed of it. */
export function eventRecords(
  { startedAt }: Pick<RunConfig, 'startedAt'>,
  points: readonly MetricPoint[],
): Uint8Array<ArrayBuffer> {
  const start = Date.parse(startedAt);
  return joined(
    points.map(({ name, step, elapsedMs, value }) => {
      const scalar = joined([bytesField(1, utf8(tagOf(name))), floatField(2, value)]);
      const event = [
        doubleField(1, (start + elapsedMs) / 1000),
        varintField(2, step),
        bytesField(5, bytesField(1, scalar)),
      ];
      return record(joined(event));
    }),
  );
}

/** A whole file. */
export function eventFile(config: RunConfig, points: readonly MetricPoint[]): Uint8Array<ArrayBuffer> {
  return joined([eventFileHead(config), eventRecords(config, points)]);
}

const utf8 = (text: string) => new TextEncoder().encode(text);

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

// ───────────────────────────── protocol buffers ─────────────────────────────

/** Wire types. */
const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/** @param value a whole number from 0 to 2⁵³ */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.from([...bytes, rest]);
}

const key = (field: number, wireType: number) => varint(field * 8 + wireType);

const varintField = (field: number, value: number) => joined([key(field, VARINT), varint(value)]);

const bytesField = (field: number, bytes: Uint8Array) =>
  joined([key(field, LENGTH), varint(bytes.length), bytes]);

function doubleField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return joined([key(field, FIXED64), bytes]);
}

function floatField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return joined([key(field, FIXED32), bytes]);
}

// ───────────────────────────── records ─────────────────────────────

function record(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + data.length + 4);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return bytes;
}

/** CRC-32C (Castagnoli), reflected polynomial 0x82f63b78, by byte. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** ((crc >> 15) | (crc << 17)) + 0xa282ead8, modulo 2³² (tensorflow/core/lib/hash/crc32c.h). */
function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
