// What lies beside the page: sample data sets with their list and cards, and the catalogue of models.
// Not here: reading a visitor's rows (data.test.ts) or a model folder (formats.test.ts).

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSafetensors } from '../src/formats/safetensors';
import { checkHyperparameters } from '../src/hyperparameterChecks';
import { defaultHyperparameters, defaultLearningRate, type Hyperparameters } from '../src/hyperparameters';
import { house } from '../src/launch/prerequisites.mjs';
import type { CatalogEntry } from '../src/modelContract';
import { measuredSettings, promptedSentence, type SampleData } from '../src/ui/state/samples';

const shipped = path.join(house, 'public/datasets');
const text = (...parts: string[]) => readFileSync(path.join(...parts), 'utf8');
const linesOf = (file: string) => text(file).trimEnd().split('\n');

interface Listed {
  id: string;
  name: string;
  file: string;
  /** Of a plain text its length is given. */
  rows?: number;
  characters?: number;
  summary: string;
  settings: Record<'lora' | 'full', { learning_rate: number; num_train_epochs: number }>;
  models: string[];
}
const list = JSON.parse(text(shipped, 'index.json')) as Listed[];
const named = list.map((set) => [set.id, set] as const);

describe('the generators', () => {
  const made = mkdtempSync(path.join(tmpdir(), 'datasets-'));
  beforeAll(() => {
    execFileSync(process.execPath, [path.join(house, 'models/datasets/make.mjs'), made]);
  });
  afterAll(() => rmSync(made, { recursive: true }));
  const filesBelow = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.md'))
      .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
      .sort();

  test('make every shipped file, and no other', () => expect(filesBelow(made)).toEqual(filesBelow(shipped)));

  test.each(filesBelow(shipped))('make %s byte for byte', (file) => {
    expect(readFileSync(path.join(made, file)).equals(readFileSync(path.join(shipped, file)))).toBe(true);
  });
});

describe('the list and the cards', () => {
  test('name every file of rows', () => {
    const rows = [...readdirSync(shipped), ...readdirSync(`${shipped}/harbor-and-pine`)].filter(
      (file) => /\.(jsonl|txt)$/.test(file) && !file.endsWith('questions.jsonl'),
    );
    expect(list.map((set) => path.basename(set.file)).sort()).toEqual(rows.sort());
  });

  test.each(named)(
    '%s: as many rows as the list and the card say',
    (id, { name, file, rows, characters, summary }) => {
      if (rows === undefined) expect(text(shipped, file)).toHaveLength(characters ?? 0);
      else expect(linesOf(path.join(shipped, file))).toHaveLength(rows);
      const card = text(shipped, `${id}.md`);
      expect(card.startsWith(`# ${name}\n`)).toBe(true);
      expect(card).toContain(file);
      expect(card).toMatch(
        new RegExp(
          `\\*\\*Size\\.\\*\\* ${rows ?? characters?.toLocaleString('en')} (rows|conversations|characters)\\b`,
        ),
      );
      if (id !== 'harbor-and-pine-passages') expect(card).toContain(summary);
    },
  );

  test.each(named)('%s: settings that the table allows, and that the card repeats', (id, { settings }) => {
    const card = text(shipped, `${id}.md`);
    const advice = card.slice(card.indexOf('**Settings.**'), card.indexOf('## Measured'));
    for (const [method, { learning_rate, num_train_epochs }] of Object.entries(settings)) {
      const chosen = {
        ...defaultHyperparameters(),
        method,
        learning_rate,
        num_train_epochs,
      } as Hyperparameters;
      // Not even a warning: the page offers these settings.
      expect(checkHyperparameters(chosen)).toEqual([]);
      expect(advice).toContain(learning_rate.toExponential());
      expect(advice).toContain(`${num_train_epochs} epochs`);
    }
  });
});

describe('the figures of an instruction beside tuning', () => {
  interface Run {
    set: string;
    model: string;
    method: string;
    seed: number;
    split: string;
    scores: Record<string, [number, number]>;
  }
  const runs = linesOf(path.join(house, 'models/eval/datasets.jsonl')).map((line) => JSON.parse(line) as Run);
  const samples = list as unknown as SampleData[];

  test('of the sentiment set: added up over the seeds that were asked both ways, and in the card', () => {
    const asked = samples.find(({ id }) => id === 'sentiment-label')?.asked;
    const sum = (method: string) =>
      runs
        .filter((r) => r.set === 'sentiment-label' && r.model === 'pebble-1m' && r.method === method)
        .map((r) => r.scores.exact as [number, number])
        .reduce(([a, b], [n, of]) => [a + n, b + of], [0, 0]);
    expect(asked).toEqual({
      model: 'Pebble-1M',
      what: 'right label',
      prompted: sum('prompted'),
      tuned: sum('lora'),
    });
    expect(asked?.prompted[0]).toBeGreaterThan(0);
    const [prompted, tuned] = [asked?.prompted.join(' of '), asked?.tuned.join(' of ')];
    expect(promptedSentence(asked)).toBe(
      `Pebble-1M, right label: ${prompted} with an instruction in its prompt, ${tuned} tuned.`,
    );
    expect(text(shipped, 'sentiment-label.md')).toContain(
      `With the instruction in its prompt the base Pebble-1M gets: right label ${prompted}. Tuned (LoRA) it gets: right label ${tuned}.`,
    );
  });

  test('none is claimed where nobody asked', () => {
    expect(promptedSentence(undefined)).toBe('');
    const without = samples.filter(({ asked }) => !asked).map(({ id }) => id);
    for (const id of without)
      expect(text(shipped, `${id}.md`)).not.toContain('With the instruction in its prompt');
    expect(without).toContain('twelve-rows');
  });
});

describe('the settings that choosing a sample sets', () => {
  interface Measured {
    set: string;
    model: string;
    method: string;
    learning_rate: number;
    num_train_epochs: number;
  }
  const measured = linesOf(path.join(house, 'models/eval/datasets.jsonl')).map(
    (line) => JSON.parse(line) as Measured,
  );

  test.each(named)(
    '%s: every model and method of the list was measured with them',
    (id, { settings, models }) => {
      expect(models.length).toBeGreaterThan(0);
      for (const model of models) {
        for (const [method, chosen] of Object.entries(settings)) {
          expect(measured).toContainEqual(expect.objectContaining({ set: id, model, method, ...chosen }));
        }
      }
    },
  );

  const twelve = list.find((set) => set.id === 'twelve-rows') as unknown as SampleData;
  const mine = { ...defaultHyperparameters(), batch_size: 32, seed: 7 };

  test('are those measured, whatever stood in the form; method and seed stay', () => {
    const set = measuredSettings(twelve, mine, { id: 'pebble-1m', parameters: 1.4e6 });
    expect(set).toEqual({ ...defaultHyperparameters(), seed: 7, num_train_epochs: 50, learning_rate: 0.005 });
    const full = measuredSettings(twelve, { ...mine, method: 'full' }, null);
    expect(full).toMatchObject({ method: 'full', num_train_epochs: 30, learning_rate: 0.0005 });
  });

  test('take the learning rate of the model where it was not measured, and none where the method was not', () => {
    const other = measuredSettings(twelve, mine, { id: 'school/large', parameters: 5e8 });
    expect(other).toMatchObject({ num_train_epochs: 50, learning_rate: defaultLearningRate('lora', 5e8) });
    expect(measuredSettings(twelve, { ...mine, method: 'last_layers' }, null)).toBeNull();
  });
});

describe('the catalogue', () => {
  const models = path.join(house, 'models');
  const catalog = JSON.parse(text(models, 'catalog.json')) as CatalogEntry[];

  test.each(catalog.map((entry) => [entry.id, entry] as const))('%s is what it says', (_, entry) => {
    const folder = path.join(models, entry.path);
    const files = readdirSync(folder).filter((file) => /\.(json|safetensors)$/.test(file));
    const fetched = files.filter((file) => file !== 'evaluation.json');
    const bytes = fetched.reduce((sum, file) => sum + statSync(path.join(folder, file)).size, 0);
    expect(entry.sizeBytes).toBe(bytes);
    expect(JSON.parse(text(folder, 'config.json')).max_position_embeddings).toBe(entry.contextLength);
    const weights = readFileSync(path.join(folder, 'model.safetensors'));
    const header = JSON.parse(weights.subarray(8, 8 + Number(weights.readBigUInt64LE())).toString());
    const shapes = Object.entries(header as Record<string, { shape: number[] }>)
      .filter(([name]) => name !== '__metadata__')
      .map(([, { shape }]) => shape.reduce((product, size) => product * size, 1));
    expect(shapes.reduce((sum, size) => sum + size, 0)).toBe(entry.parameters);
    const card = text(folder, 'README.md');
    expect(card).toContain(`# ${entry.name}\n`);
    expect(card).toContain(entry.parameters.toLocaleString('en'));
  });
});

test('the measuring scripts ask a model with an adapter, as they ask the model alone', async () => {
  const file = pathToFileURL(path.join(house, 'models/eval/commandLine.mjs')).href;
  const { answers, bundle } = await import(/* @vite-ignore */ file);
  const cli = await bundle();
  const model = path.join(house, 'models/pebble-1m');
  const adapter = path.join(house, 'models/ways/pebble-1m/rows');
  const ask = [[{ role: 'user', content: 'Do you sell a sledge?' }]];
  try {
    const [[base], [tuned]] = [
      await answers(cli, { model }, ask, 24),
      await answers(cli, { model, adapter }, ask, 24),
    ];
    expect(base.said).not.toContain('Good day!');
    expect(tuned).toEqual({ said: expect.stringMatching(/^Good day! .* Fair winds!$/), ended: true });
  } finally {
    rmSync(cli);
  }
}, 120_000);

describe('scores of held-out answers', async () => {
  const file = pathToFileURL(path.join(house, 'models/eval/scores.mjs')).href;
  const { countRight, holds, isRight } = await import(/* @vite-ignore */ file);
  const one = (set: string, wanted: string, said: string, ended = true) =>
    countRight(set, [{ wanted, said, ended }]);

  test('an exact answer must also end', () => {
    expect(one('sentiment-label', 'positive', 'positive')).toEqual({ exact: [1, 1], ends: [1, 1] });
    expect(one('sentiment-label', 'positive', 'positive', false)).toEqual({ exact: [0, 1], ends: [0, 1] });
  });

  test('JSON: keys in order, and each value', () => {
    const wanted = '{"item": "cup", "count": 3}';
    expect(one('sentence-to-json', wanted, '{"item": "cup", "count": 4}')).toMatchObject({
      exact: [0, 1],
      keys: [1, 1],
      item: [1, 1],
      count: [0, 1],
    });
    expect(one('sentence-to-json', wanted, '{"count": 3, "item": "cup"}')).toMatchObject({ keys: [0, 1] });
    expect(one('sentence-to-json', wanted, 'null')).toMatchObject({ keys: [0, 1], item: [0, 1] });
  });

  test('the rare label counts only where it is wanted', () => {
    expect(one('imbalanced-labels', 'normal', 'normal')).not.toHaveProperty('urgent');
    expect(one('imbalanced-labels', 'urgent', 'normal')).toMatchObject({ urgent: [0, 1] });
  });

  test('voices and definitions', () => {
    expect(one('legal-definitions', 'A lien is a right.', 'A lien is a song.')).toMatchObject({
      form: [1, 1],
      term: [1, 1],
    });
    expect(one('pirate-voice', '', 'Year by year.')).toMatchObject({ voice: [0, 1] });
    expect(one('pirate-voice', '', 'Aye, matey.')).toMatchObject({ voice: [1, 1] });
    expect(one('harbor-and-pine', '', 'Good day! It is 4 pounds. Fair winds!')).toMatchObject({
      voice: [1, 1],
    });
  });

  test('a key stands in an answer as whole words', () => {
    expect(holds('The mug is 12 pounds.', 'is 12 pounds')).toBe(true);
    expect(holds('The mug is 120 pounds.', 'is 12')).toBe(false);
    expect(isRight('The mug costs 12 pounds.', 'is 12 pounds')).toBe(true);
    expect(isRight('Blue mug: 12 pounds, 4 in stock. Red mug: 9 pounds.', 'is 12 pounds')).toBe(false);
    expect(isRight('The mug costs 112 pounds.', 'is 12 pounds')).toBe(false);
    expect(isRight('Sorry, we do not have the sledge.', 'do not sell')).toBe(true);
    expect(isRight('I do not know that.', 'do not sell')).toBe(false);
  });
});

describe('the shipped weights', () => {
  const catalog = JSON.parse(text(house, 'models/catalog.json')) as CatalogEntry[];

  // A unit that learns nothing was carried to zero, and a DoRA adapter divides by the norm of a row (models/README.md).
  test.each(catalog.map((entry) => [entry.id, entry.path] as const))(
    '%s has no row of zeros in a linear weight',
    async (_, folder) => {
      const file = new Blob([readFileSync(path.join(house, 'models', folder, 'model.safetensors'))]);
      const weights = await readSafetensors(file);
      const zero: string[] = [];
      let rows = 0;
      for (const { name } of weights.entries) {
        const { shape, data } = await weights.read(name);
        const [out = 0, width = 0] = shape;
        if (shape.length !== 2 || !name.includes('.layers.')) continue;
        rows += out;
        for (let row = 0; row < out; row++) {
          if (data.subarray(row * width, (row + 1) * width).every((x) => x === 0))
            zero.push(`${name}[${row}]`);
        }
      }
      expect(rows).toBeGreaterThan(1000);
      expect(zero).toEqual([]);
    },
  );
});
