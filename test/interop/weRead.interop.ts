// Adapters that PEFT made, of every kind it knows, read by us: the loss is the one that PEFT computes, or the adapter is refused by name.
// Not here: our own adapters in PEFT (peftReads.interop.ts).

import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { EncodedExample } from '../../src/contract';
import { startDevice } from '../../src/engine/device/device';
import { disposeLearner } from '../../src/engine/model/adapters';
import { evaluate, measureWith } from '../../src/engine/training/evaluate';
import { PlaygroundError } from '../../src/errors';
import { type BaseModel, loadWeights, openAdapter, openModel } from '../../src/session/model';
import { evaluation } from '../engineSuite';
import { diskFolder, fixtureFolder } from '../nodeFolders';
import { nodeWasmPath } from '../setup-node-webgpu';
import { jsonLines, python, scratchFolder, script } from './python';

/** What make_adapters.py says of a case. */
interface Case {
  name: string;
  loss: number | null;
  refusal: string | null;
  error: string | null;
}

const place = scratchFolder();
const model = 'test/fixtures/engine/chat';

describe('adapters that PEFT made', () => {
  let base: BaseModel;
  let cases: Case[] = [];
  let rows: EncodedExample[] = [];

  beforeAll(async () => {
    const fail = (error: Error) => {
      throw error;
    };
    await startDevice({ requested: 'wasm', wasmPath: nodeWasmPath, onLost: fail, onError: () => {} });
    base = await loadWeights(await openModel(fixtureFolder('chat')), { id: 'chat' });
    // All tokens are targets: the model knows the answers by heart, and their loss alone would show little.
    rows = (
      JSON.parse(readFileSync(`${model}/expected.json`, 'utf8')) as { rows: { ids: number[] }[] }
    ).rows.map(({ ids }, i) => ({
      line: i + 1,
      ids: Int32Array.from(ids),
      mask: new Uint8Array(ids.length).fill(1, 1),
      fullLength: ids.length,
    }));
    const plain = rows.map(({ ids, mask }) => ({ ids: [...ids], mask: [...mask] }));
    writeFileSync(place('rows.json'), JSON.stringify(plain));
    const { out } = await python([script('make_adapters.py'), model, place('rows.json'), place('adapters')]);
    cases = jsonLines<Case>(out);
  }, 600_000);

  /** Our loss with the adapter of that name and what was said about it, or the refusal. */
  async function read(name: string): Promise<{ loss: number; notices: string[] } | PlaygroundError> {
    try {
      const { learner, notices } = await openAdapter(diskFolder(place('adapters', name)), base);
      const found = await evaluation(evaluate(base.model, measureWith(base.model, learner), rows, 4));
      disposeLearner(learner);
      return { loss: found.loss, notices };
    } catch (thrown) {
      if (thrown instanceof PlaygroundError && thrown.code === 'bad_adapter') return thrown;
      throw thrown;
    }
  }

  it('are computed as PEFT computes them, or refused by name', async () => {
    expect(cases.length).toBeGreaterThan(60);
    const wrong: unknown[] = [];
    const lines: string[] = [];
    for (const { name, loss, refusal, error } of cases) {
      const found = await read(name);
      const ours = found instanceof PlaygroundError ? found.message : found.loss;
      const right =
        refusal === null
          ? typeof ours === 'number' && loss !== null && Math.abs(ours / loss - 1) < 1e-5
          : typeof ours === 'string' && ours.includes(refusal);
      if (!right) wrong.push({ name, peft: loss ?? error, ours, refusal });
      lines.push(`${name.padEnd(24)} PEFT ${loss?.toFixed(6) ?? 'refuses '}  ${ours}\n`);
    }
    process.stdout.write(lines.join(''));
    expect(wrong).toEqual([]);
  });

  it('are said to change nothing where lora_B is zero, and only there', async () => {
    const silent = await Promise.all(
      ['no_lora_B', 'plain', 'dora'].map(async (name) => {
        const found = await read(name);
        return found instanceof PlaygroundError ? found.message : found.notices.join(' ');
      }),
    );
    expect(silent).toEqual([expect.stringContaining('changes nothing'), '', '']);
  });
});
