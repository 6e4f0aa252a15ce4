// The ways to answer: prompts, passages in rows, tables, the verdict; and the command on a tiny model.
// Not here: cutting and searching documents (passages.test.ts), single checks.

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { diskFolder, openData } from '../src/cli/disk';
import type { Message } from '../src/contract';
import { PassageSearch } from '../src/data/passageSearch';
import { keyRule, readQuestions } from '../src/data/questions';
import { createRandom } from '../src/data/random';
import { defaultHyperparameters } from '../src/hyperparameters';
import { house } from '../src/launch/prerequisites.mjs';
import { passesRule } from '../src/metrics/checkRules';
import { waysTable } from '../src/metrics/waysTable';
import { waysVerdict } from '../src/metrics/waysVerdict';
import { Dataset } from '../src/session/dataset';
import { openModel } from '../src/session/model';
import { lookUp, rowsWithPassages, withSystem } from '../src/session/passages';
import { ExampleRows, promptOf, scoreRetrieval } from '../src/session/ways';
import { PROMPT_SETTINGS, possibleWays, readTask } from '../src/session/waysTask';
import { WAYS_CASES } from '../src/ui/decide/cases';
import { WAYS, type WayAnswer, type WayId, type WayQuestion, type WayRun, wayOf } from '../src/ways';

const tiny = fileURLToPath(new URL('./fixtures/engine/chat', import.meta.url));
const scratch = mkdtempSync(path.join(tmpdir(), 'playground-ways-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const place = (name: string, text: string) => {
  const file = path.join(scratch, name);
  writeFileSync(file, text);
  return file;
};

const passage = (id: string, text: string) => ({ id, text, file: 'shop.csv', line: 2 });
const SHOP = [
  passage('a', 'Oak box: 12 pounds.'),
  passage('b', 'Tin lamp: 30 pounds.'),
  passage('c', 'Elm lamp: 31 pounds.'),
];
const exactSearch = new PassageSearch(SHOP, { fuzzy: 0, prefix: false });
const user = (content: string): Message => ({ role: 'user', content });
const question = (id: string, text: string, more: Partial<WayQuestion> = {}): WayQuestion => ({
  id,
  kind: 'price',
  messages: [{ role: 'system', content: 'You sell.' }, user(text)],
  expected: null,
  facts: keyRule('12 pounds'),
  passages: null,
  ...more,
});

describe('passages in prompts and rows', () => {
  test('stand at the end of the system message, which is made where there is none', () => {
    expect(withSystem([user('Hi')], 'Be short.')).toEqual([
      { role: 'system', content: 'Be short.' },
      user('Hi'),
    ]);
    expect(lookUp(question('1', 'What is the oak box?').messages, exactSearch, 2).messages[0]?.content).toBe(
      'You sell. Oak box: 12 pounds.',
    );
    expect(lookUp([user('Hello')], exactSearch, 2)).toEqual({ messages: [user('Hello')], found: [] });
  });

  test('a row gets what its own question finds, in the form in which it is asked; name and hash say so', async () => {
    const jsonl = ['oak box', 'tin lamp', 'elm lamp', 'piano']
      .map((thing) =>
        JSON.stringify({
          messages: [user(`What is the ${thing}?`), { role: 'assistant', content: 'It is fine.' }],
        }),
      )
      .join('\n');
    const plain = await Dataset.read('rows.jsonl', jsonl);
    const grounded = await rowsWithPassages(plain, exactSearch, 1);
    const { chat, files } = await openModel(diskFolder(tiny));
    const h = { ...defaultHyperparameters(), validation_fraction: 0.25 };
    const before = plain.encode(chat, files.architecture, h);
    const after = grounded.encode(chat, files.architecture, h);
    expect(after.hash).not.toBe(before.hash);
    expect(after.name).toBe('rows.jsonl with up to 1 passage of shop.csv');
    const systems = [...grounded.rows('all')].map(({ example }) =>
      example.messages.filter((m) => m.role === 'system'),
    );
    expect(systems.map(([message]) => message?.content)).toEqual([
      'Oak box: 12 pounds.',
      'Tin lamp: 30 pounds.',
      'Elm lamp: 31 pounds.',
      undefined,
    ]);
    // The rows it was made of stay as they were.
    expect(plain.rows('all').every(({ example }) => example.messages[0]?.role === 'user')).toBe(true);
    const two = await rowsWithPassages(plain, exactSearch, 2);
    expect(two.encode(chat, files.architecture, h).hash).not.toBe(after.hash);
  });

  test('plain text has no questions to search with', async () => {
    const text = await Dataset.read('story.txt', 'Once there was a hill.\n\nIt was green.');
    await expect(rowsWithPassages(text, exactSearch, 1)).rejects.toMatchObject({
      code: 'passages_need_questions',
    });
  });
});

describe('prompts', () => {
  const examples = new ExampleRows([
    { question: 'How much is the red boat?', answer: 'Nine.' },
    { question: 'When do you open?', answer: 'At eight.' },
    { question: 'How much is the blue boat?', answer: 'Ten.' },
  ]);
  const asked = question('1', 'How much is the oak box?');
  const prompt = async (way: WayId, settings = {}) => {
    const { chat, files } = await openModel(diskFolder(tiny));
    const model = { architecture: files.architecture } as never;
    const all = { ...PROMPT_SETTINGS, instruction: 'Be kind.', maxNewTokens: 4, ...settings };
    return promptOf(wayOf(way), asked, { chat, model }, { settings: all, search: exactSearch, examples });
  };

  test('each way has what the list says of it, and nothing else', async () => {
    for (const way of WAYS) {
      const { messages, sources } = await prompt(way.id);
      const system = messages.find(({ role }) => role === 'system')?.content ?? '';
      expect(system.includes('Be kind.'), way.id).toBe(way.instruction);
      expect(system.includes('12 pounds'), way.id).toBe(way.retrieval);
      expect(sources.length > 0, way.id).toBe(way.retrieval);
      expect(messages.filter(({ role }) => role === 'assistant').length, way.id).toBe(way.examples ? 2 : 0);
      expect(messages.at(-1)).toEqual(user('How much is the oak box?'));
    }
  });

  test('examples are those most like the question, the most like last; those picked by hand come first', async () => {
    const { messages } = await prompt('examples', { examples: 1 });
    expect(messages.filter(({ role }) => role === 'user')[0]?.content).toMatch(/boat/);
    const picked = await prompt('examples', { picked: [{ question: 'A?', answer: 'B.' }] });
    expect(picked.messages.slice(1, 3).map(({ content }) => content)).toEqual(['A?', 'B.']);
  });

  test('passages that do not fit the context are left out and counted', async () => {
    const { chat, files } = await openModel(diskFolder(tiny));
    const roomy = await prompt('retrieval', { passages: 3 });
    expect(roomy.leftOut).toBe(0);
    const model = { architecture: { ...files.architecture, contextLength: 60 } } as never;
    const settings = { ...PROMPT_SETTINGS, instruction: '', passages: 3, maxNewTokens: 40 };
    const lamps = question('1', 'What is a lamp and an oak box?');
    const tight = promptOf(
      wayOf('retrieval'),
      lamps,
      { chat, model },
      { settings, search: exactSearch, examples: null },
    );
    expect(tight.leftOut).toBeGreaterThan(0);
    expect(tight.sources.length + tight.leftOut).toBe(3);
  });

  test('a way that searches without documents says so', async () => {
    const { chat, files } = await openModel(diskFolder(tiny));
    const model = { architecture: files.architecture } as never;
    expect(() =>
      promptOf(
        wayOf('retrieval'),
        asked,
        { chat, model },
        { settings: PROMPT_SETTINGS, search: null, examples: null },
      ),
    ).toThrow(expect.objectContaining({ code: 'no_documents' }));
  });
});

describe('questions', () => {
  const options = { system: 'S.', alsoRight: [['is ', 'costs ']] as const };
  test('a key stands as whole words, also in the other words; without a key the whole answer counts', () => {
    const [priced, exact] = readQuestions(
      'q.jsonl',
      '{"question":"A?","key":"is 6 pounds","product":"P1","also":["P2"],"nextWeek":{"key":"is 7 pounds"}}\n\n{"id":"x","question":"B?","answer":"Yes."}\n',
      options,
    ) as [WayQuestion, WayQuestion];
    const says = (rule: WayQuestion['facts'], text: string, expected: string | null = null) =>
      passesRule(rule, { text, stoppedBy: 'end_token' }, expected).passed;
    expect(says(priced.facts, 'The mug is 6 pounds.')).toBe(true);
    expect(says(priced.facts, 'The mug costs 6 pounds.')).toBe(true);
    expect(says(priced.facts, 'The mug is 6 poundsign.')).toBe(false);
    expect(says(priced.facts, 'This 6 pounds.')).toBe(false);
    expect(says(priced.changed?.facts as WayQuestion['facts'], 'It is 7 pounds.')).toBe(true);
    expect(priced.passages).toEqual(['P1', 'P2']);
    expect(priced.messages[0]).toEqual({ role: 'system', content: 'S.' });
    expect([says(exact.facts, 'Yes.', exact.expected), says(exact.facts, 'Yes', exact.expected)]).toEqual([
      true,
      false,
    ]);
  });

  test.each([
    ['{"question":"A?"}', 'neither answer nor key'],
    ['{"answer":"A"}', 'has no question'],
    ['{"question":', 'no JSON'],
    ['[1]', 'no JSON object'],
    ['{"question":"A?","key":{}}', 'that is no text'],
  ])('%s is refused with its line', (line, reason) => {
    expect(() => readQuestions('q.jsonl', `\n${line}`, options)).toThrow(
      expect.objectContaining({
        code: 'bad_questions',
        message: expect.stringMatching(`Line 2 .*${reason}`),
      }),
    );
  });
});

test('retrieval is scored apart: first, among the k, and what was missed', () => {
  const questions = [
    question('1', 'The oak box?', { passages: ['a'] }),
    question('2', 'A lamp of elm?', { passages: ['b'] }),
    question('3', 'A piano?', { passages: ['c'] }),
    question('4', 'Hello?'),
  ];
  const one = scoreRetrieval(questions, exactSearch, 1);
  expect([one.of, one.first, one.found]).toEqual([3, 1, 1]);
  const two = scoreRetrieval(questions, exactSearch, 2);
  expect([two.first, two.found]).toEqual([1, 2]);
  expect(two.misses).toEqual([{ question: '3', text: 'A piano?', wanted: ['c'], found: [] }]);
});

// ───────────────────────────── tables and verdict ─────────────────────────────

const given = (
  id: string,
  facts: boolean,
  form: boolean | null,
  more: Partial<WayAnswer> = {},
): WayAnswer => ({
  question: id,
  text: '',
  messages: [],
  sources: [],
  leftOut: 0,
  facts,
  factsDetail: '',
  form,
  stoppedBy: 'end_token',
  promptTokens: 10,
  tokens: 4,
  ms: 20,
  ...more,
});
const IDS = Array.from({ length: 40 }, (_, i) => `Q${i}`);
const QUESTIONS = IDS.map((id, i) =>
  question(
    id,
    'x',
    i < 30
      ? { passages: ['a'], ...(i < 10 && { changed: { expected: null, facts: keyRule('y') } }) }
      : { kind: 'rule' },
  ),
);
const runOf = (way: WayId, right: number, more: Partial<WayRun> & { form?: boolean } = {}): WayRun => ({
  way,
  seed: 1,
  facts: 'now',
  answers: IDS.map((id, i) => given(id, i < right, more.form ?? true)),
  ...more,
});
const verdictOf = (runs: WayRun[], control: Parameters<typeof waysVerdict>[3] = null) =>
  waysVerdict(QUESTIONS, runs, waysTable(QUESTIONS, runs, []), control, createRandom(1));

describe('the table', () => {
  test('counts facts of the questions about the documents, and form and end of all; changed facts apart', () => {
    const runs: WayRun[] = [
      {
        ...runOf('tuned', 35),
        answers: IDS.map((id, i) =>
          given(id, i < 35, i % 2 === 0, { stoppedBy: i === 0 ? 'limit' : 'end_token' }),
        ),
      },
      runOf('tuned', 5, { facts: 'changed' }),
    ];
    const training = {
      tuning: 'rows',
      seed: 1,
      steps: 90,
      ms: 4000,
      peakBytes: 3e6,
      rows: 300,
      hyperparameters: {},
    } as never;
    const [row] = waysTable(QUESTIONS, runs, [training]);
    expect(row).toMatchObject({
      facts: { right: 30, of: 30 },
      form: { right: 20, of: 40 },
      ended: { right: 39, of: 40 },
      // Every second one up to 35, but for the one that did not end.
      right: { right: 17, of: 40 },
      changed: { right: 5, of: 30 },
      changedOnly: { right: 5, of: 10 },
      promptTokens: 10,
      tokens: 4,
      ms: 20,
      steps: 90,
      trainingMs: 4000,
      trainingBytes: 3e6,
    });
    expect(row?.kinds).toEqual([
      { kind: 'price', facts: { right: 30, of: 30 }, form: { right: 15, of: 30 } },
      { kind: 'rule', facts: { right: 5, of: 10 }, form: { right: 5, of: 10 } },
    ]);
  });

  test('adds seeds up', () => {
    const [row] = waysTable(QUESTIONS, [runOf('tuned', 10), { ...runOf('tuned', 20), seed: 2 }], []);
    expect([row?.seeds, row?.facts]).toEqual([[1, 2], { right: 30, of: 60 }]);
  });
});

describe('the verdict', () => {
  test('says do not tune where nothing beats the way without it, and takes the one with the least work', () => {
    const verdict = verdictOf([runOf('prompt', 36), runOf('retrieval', 37), runOf('tuned_on_passages', 38)]);
    expect(verdict?.take).toBe('prompt');
    expect(verdict?.sentence).toMatch(
      /^Do not tune: take “Prompt only”\. It is right in 90 % .* with tuning in 95 %.*may be chance/,
    );
  });

  test('says tune where that is right more often than chance explains', () => {
    const verdict = verdictOf([runOf('prompt', 5), runOf('retrieval', 20), runOf('tuned_on_passages', 38)]);
    expect(verdict?.take).toBe('tuned_on_passages');
    expect(verdict?.sentence).toMatch(
      /^Tune: .* 95 % of the answers, the best way without tuning in 50 % \((\d+) to (\d+) points/,
    );
    const pair = verdict?.comparisons.find(({ than }) => than === 'retrieval');
    expect(pair?.mean).toBeCloseTo(0.45);
    expect(pair?.low).toBeGreaterThan(0.25);
  });

  test('what changes counts: a way that is right this week only is not taken', () => {
    const both = (way: WayId, now: number, later: number) => [
      runOf(way, now),
      runOf(way, later, { facts: 'changed' }),
    ];
    const verdict = verdictOf([...both('tuned', 40, 5), ...both('tuned_on_passages', 38, 38)]);
    expect(verdict?.take).toBe('tuned_on_passages');
    expect(verdict?.notes.join(' ')).toContain('without retrieval has 5 of 10 changed facts right');
  });

  test('none is good enough', () => {
    expect(verdictOf([runOf('prompt', 2), runOf('tuned', 8)])).toMatchObject({
      take: null,
      sentence: expect.stringContaining('None of these ways is good enough'),
    });
  });

  test('says that the model follows no prompt, with the evidence: an instruction that it knows', () => {
    const runs = [runOf('prompt', 0, { form: false }), runOf('tuned', 38)];
    const notes = (right: number) =>
      verdictOf(runs, {
        instruction: 'Say thanks.',
        form: { right, of: 40 },
        without: { right: 0, of: 40 },
      })?.notes.join(' ');
    expect(notes(40)).toMatch(
      /0 of 40 answers have the form.*at most 9 %.*does follow.*Say thanks.*40 of 40; 0 of 40 without/,
    );
    expect(notes(0)).toContain('too small to follow a prompt at all');
    expect(verdictOf([runOf('prompt', 30), runOf('tuned', 38)])?.notes).toEqual([]);
  });

  test('says that a model tuned without passages stopped reading them', () => {
    const notes = verdictOf([
      runOf('retrieval', 28),
      runOf('tuned_retrieval_later', 8),
      runOf('tuned_on_passages', 30),
    ])?.notes;
    expect(notes?.[0]).toMatch(
      /stopped reading them: 8 of 30 facts right, where the base model has 28 of 30.*has 30 of 30/,
    );
  });

  test('a way that was stopped in its middle is compared with nobody', () => {
    const half = { ...runOf('tuned', 40), answers: runOf('tuned', 40).answers.slice(0, 20) };
    expect(verdictOf([runOf('prompt', 20), half])?.take).toBe('prompt');
  });
});

test('the task of Harbor & Pine can be read, and names files that are there', async () => {
  const folder = path.join(house, 'public/datasets/harbor-and-pine');
  const task = await readTask(readFileSync(path.join(folder, 'task.json'), 'utf8'), (name) =>
    openData(path.join(folder, name)),
  );
  expect([task.questions.length, task.passages.length, task.changedPassages?.length]).toEqual([60, 520, 520]);
  expect(task.hyperparameters('rows', 3, 1e6)).toMatchObject({
    method: 'lora',
    num_train_epochs: 6,
    seed: 3,
  });
  // 97 % of the questions about a product that they name.
  const named = task.questions.filter(({ kind }) => kind !== 'compare');
  const { found, of } = scoreRetrieval(named, new PassageSearch(task.passages), task.settings.passages);
  expect(found / of).toBeGreaterThanOrEqual(0.97);
  await expect(readTask('{"name":"x"}', openData)).rejects.toMatchObject({ code: 'bad_task' });
});

test('the small cases can be read; what changes, and which ways there are, is as the page says', async () => {
  const seen = [];
  for (const { id, task: file, change } of WAYS_CASES) {
    const place = path.join(house, 'public/datasets', file);
    const task = await readTask(readFileSync(place, 'utf8'), (name) =>
      openData(path.join(path.dirname(place), name)),
    );
    expect(change === null, id).toBe(task.changedPassages === null);
    const changed = task.questions.filter((question) => question.changed).length;
    seen.push([id, task.questions.length, changed, possibleWays(task).length]);
    if (task.passages.length > 0) {
      const named = task.questions.filter(({ passages }) => passages !== null);
      const { found, of } = scoreRetrieval(named, new PassageSearch(task.passages), 1);
      expect(found / of, id).toBeGreaterThan(0.9);
    }
    // Nothing that is asked is taught in the same words.
    const { rows } = JSON.parse(readFileSync(place, 'utf8')) as { rows: string };
    const taught = new Set(
      readFileSync(path.join(path.dirname(place), rows), 'utf8')
        .trimEnd()
        .split('\n')
        .flatMap((line) =>
          (JSON.parse(line) as { messages: Message[] }).messages.map(({ content }) => content),
        ),
    );
    expect(
      task.questions.filter(({ messages }) => taught.has(messages.at(-1)?.content ?? '')).length,
      id,
    ).toBe(0);
  }
  expect(seen).toEqual([
    ['harbor-and-pine', 60, 18, 6],
    ['sixteen-products', 64, 24, 6],
    ['guest-book', 40, 0, 3],
    ['things-for-hire', 40, 40, 6],
    ['four-desks', 48, 0, 3],
  ]);
});

// ───────────────────────────── the command ─────────────────────────────

const cli = (args: string[]) =>
  new Promise<{ code: number; out: string; err: string }>((resolve) => {
    execFile(
      process.execPath,
      [path.join(house, 'src/cli/cli.mjs'), ...args],
      { cwd: scratch },
      (error, out, err) => resolve({ code: error ? Number(error.code) : 0, out, err }),
    );
  });

describe('the command', () => {
  const rows = path.join(tiny, 'rows.jsonl');
  const documents = place('things.csv', 'id,thing,colour\n1,sky,blue\n2,grass,green\n');
  const questions = place('q.jsonl', '{"question":"What colour is the sky?","key":"blue","passage":"1"}\n');

  test('prints the table and keeps every answer, every source and the weights', async () => {
    const out = path.join(scratch, 'ways.json');
    const {
      code,
      out: printed,
      err,
    } = await cli([
      'ways',
      '--model',
      tiny,
      '--data',
      rows,
      '--questions',
      questions,
      '--documents',
      documents,
      '--num_train_epochs',
      '1',
      '--max_new_tokens',
      '4',
      '--out',
      out,
      '--weights_out',
      path.join(scratch, 'weights'),
    ]);
    expect(err).not.toContain('error');
    expect(code).toBe(0);
    for (const way of WAYS) expect(printed).toContain(`| ${way.label} `);
    const report = JSON.parse(readFileSync(out, 'utf8'));
    expect(report.runs.map((run: WayRun) => run.way)).toEqual(WAYS.map(({ id }) => id));
    expect(report.runs[2].answers[0].sources[0]).toMatchObject({ id: '1', file: 'things.csv', line: 2 });
    expect(report.trainings.map(({ tuning }: { tuning: string }) => tuning)).toEqual([
      'rows',
      'rows_with_passages',
    ]);
    // At least the weights and their gradients were held.
    for (const { peakBytes } of report.trainings) expect(peakBytes).toBeGreaterThan(report.parameters * 4);
    expect(printed).toMatch(/\d+ steps, [\d.]+ s, \d+ MB/);
    expect(report.clock).toBe('processor');
    expect(existsSync(path.join(scratch, 'weights/rows_with_passages-seed1/adapter_model.safetensors'))).toBe(
      true,
    );
  }, 60_000);

  test('the held-out rows are asked where there are no questions; wrong calls are refused', async () => {
    const held = await cli([
      'ways',
      '--model',
      tiny,
      '--data',
      rows,
      '--ways',
      'prompt',
      '--max_new_tokens',
      '2',
    ]);
    expect([held.code, held.err]).toEqual([0, expect.stringContaining('Prompt only: asking')]);
    const [nothing, unknown] = await Promise.all([
      cli(['ways', '--model', tiny]),
      cli(['ways', '--model', tiny, '--data', rows, '--ways', 'magic']),
    ]);
    expect([nothing.code, nothing.err]).toEqual([2, expect.stringContaining('There is nothing to ask.')]);
    expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining('There is no way “magic”')]);
  }, 60_000);

  test('train puts passages into the rows, and its record says so', async () => {
    const out = path.join(scratch, 'grounded');
    const { code, err } = await cli([
      'train',
      '--model',
      tiny,
      '--data',
      rows,
      '--out',
      out,
      '--documents',
      documents,
      '--template',
      'The {thing} is {colour}.',
      '--num_train_epochs',
      '1',
    ]);
    expect([code, err]).toEqual([0, expect.stringContaining('2 passages to search; each row has up to 1.')]);
    expect(JSON.parse(readFileSync(path.join(out, 'run.json'), 'utf8')).config.datasetName).toBe(
      'rows.jsonl with up to 1 passage of things.csv',
    );
  }, 60_000);
});
