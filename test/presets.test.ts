// Presets cause what they promise, on the smallest shipped model; and an address gives back the demo that it was made of.
// Not here: the form that takes them (e2e/), the verdicts themselves (metrics.test.ts).

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { checkHyperparameters } from '../src/hyperparameterChecks';
import { defaultHyperparameters, HYPERPARAMETER_NAMES } from '../src/hyperparameters';
import { house } from '../src/launch/prerequisites.mjs';
import { PRESETS } from '../src/presets';
import { demoAddress, readDemo } from '../src/ui/state/address';

const scratch = mkdtempSync(path.join(tmpdir(), 'playground-presets-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('presets', () => {
  const rows = readFileSync(path.join(house, 'public/datasets/sentiment-label.jsonl'), 'utf8')
    .split('\n')
    .slice(0, 40);
  const data = path.join(scratch, 'rows.jsonl');
  writeFileSync(data, rows.join('\n'));

  test.each([
    ['overfit', 0, /^Overfitting since step/m],
    ['diverge', 1, /error: (Training loss has climbed|The loss stopped being a number)/],
    ['underfit', 0, /^Underfitting: /m],
  ])('%s does what it says', { timeout: 120_000 }, (id, code, sentence) => {
    const preset = PRESETS.find((p) => p.id === id);
    const defaults = defaultHyperparameters();
    const settings = preset?.settings(1.4e6) ?? defaults;
    const options = HYPERPARAMETER_NAMES.filter((name) => settings[name] !== defaults[name]).flatMap(
      (name) => [`--${name}`, String(settings[name])],
    );
    const out = path.join(scratch, id);
    const run = spawnSync(
      process.execPath,
      [
        path.join(house, 'src/cli/cli.mjs'),
        'train',
        '--model',
        path.join(house, 'models/pebble-1m'),
        '--data',
        data,
        '--out',
        out,
        ...options,
      ],
      { encoding: 'utf8' },
    );
    expect(run.stderr).toMatch(sentence);
    expect(run.status).toBe(code);
  });

  test('are all valid, for a model of any size, and the last one is the form as it begins', () => {
    for (const { settings, id } of PRESETS) {
      for (const parameters of [null, 1e6, 5e8]) {
        const errors = checkHyperparameters(settings(parameters)).filter((p) => p.severity === 'error');
        expect(errors, id).toEqual([]);
      }
    }
    expect(PRESETS.at(-1)?.settings(null)).toEqual(defaultHyperparameters());
  });
});

describe('a demo in the address', () => {
  test('is read back as it was written', () => {
    const settings = {
      ...defaultHyperparameters(),
      learning_rate: 0.02,
      use_dora: true,
      rank_pattern: 'mlp=16, layers.0=4',
      num_train_epochs: 7,
    };
    const address = demoAddress(settings, defaultHyperparameters(), {
      sample: 'twelve-rows',
      model: 'pebble-3m',
    });
    const demo = readDemo(address);
    expect(demo).toEqual({
      sample: 'twelve-rows',
      model: 'pebble-3m',
      preset: null,
      settings: {
        learning_rate: 0.02,
        use_dora: true,
        rank_pattern: 'mlp=16, layers.0=4',
        num_train_epochs: 7,
      },
      problems: [],
    });
    expect(
      demoAddress(defaultHyperparameters(), defaultHyperparameters(), { sample: null, model: null }),
    ).toBe('');
  });

  test.each([
    ['', null],
    ['?backend=wasm', null],
  ])('%s asks for nothing', (search, expected) => {
    expect(readDemo(search)).toEqual(expected);
  });

  test.each([
    ['?preset=chaos', /no preset “chaos”/],
    ['?learning_rate=fast', /Learning rate/],
    ['?learning_rate=', /no value/],
    ['?num_train_epochs=2.5', /Epochs/],
    ['?method=magic', /Method/],
    ['?use_dora=yes', /true or false, not “yes”/],
    ['?constructor=1', /“constructor” in the address is no setting/],
    [`?${'x'.repeat(5000)}=1`, /“x{40}…” in the address/],
  ])('%s is said and has no effect', (search, sentence) => {
    const demo = readDemo(search);
    expect(demo?.settings).toEqual({});
    expect(demo?.preset).toBeNull();
    expect(demo?.problems).toEqual([expect.stringMatching(sentence)]);
  });
});
