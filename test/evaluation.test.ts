// An evaluation of answers: base and tuned on held-out, test and training rows; what is asked again, what is counted, what it comes to.
// Not here: the checks (checks.test.ts), the panel (e2e/evaluate.spec.ts).
// Run: npx vitest run --project node test/evaluation.test.ts

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import type { CheckRule } from '../src/answerChecks';
import { LikeRows } from '../src/data/likeRows';
import { createRandom } from '../src/data/random';
import type { AnswerEvaluation, EvaluatedRow, EvaluationRequest } from '../src/evaluationContract';
import { defaultGeneration } from '../src/generation';
import { defaultHyperparameters } from '../src/hyperparameters';
import { answerScores } from '../src/metrics/answerScores';
import { answerVerdict } from '../src/metrics/answerVerdict';
import { readRule } from '../src/metrics/checkRules';
import { csvCell } from '../src/metrics/csvCell';
import { evaluationCsv } from '../src/metrics/evaluationCsv';
import { provesRight } from '../src/metrics/ruleText';
import { KnownAnswers } from '../src/session/evaluation';
import type { Records } from '../src/session/platform';
import { countTestLook } from '../src/session/testLooks';
import { EngineSession } from '../src/worker/session';

const folder = fileURLToPath(new URL('./fixtures/engine/chat', import.meta.url));
const settings = {
  ...defaultHyperparameters(),
  ...{ num_train_epochs: 6, batch_size: 4, learning_rate: 0.01, seed: 7, eval_per_epoch: 1 },
  test_fraction: 0.2,
};
const request: EvaluationRequest = {
  split: 'validation',
  maxRows: null,
  checks: [readRule({ check: 'exact' })],
  settings: { ...defaultGeneration(), max_new_tokens: 8 },
  trainRows: false,
};
const nothing = () => {};

describe('evaluated answers', { timeout: 120_000 }, () => {
  const session = new EngineSession(() => {});
  /** Forgets what has been asked. */
  const load = async () => {
    const files = readdirSync(folder).map((name) => ({
      path: `chat/${name}`,
      file: new Blob([readFileSync(path.join(folder, name))]),
    }));
    await session.loadModel({ kind: 'files', id: 'chat', files }, () => {});
  };
  const read = async () => {
    const text = readFileSync(path.join(folder, 'rows.jsonl'), 'utf8').replace(
      /It is (\w+)\./g,
      (_, colour: string) => `${colour.toUpperCase()}!`,
    );
    await session.readData({ kind: 'text', name: 'rows.jsonl', text }, settings);
  };
  beforeAll(async () => {
    const wasmPath = `${path.resolve('node_modules/@tensorflow/tfjs-backend-wasm/dist')}/`;
    await session.start({ backend: 'wasm', wasmPath });
    await load();
    await read();
  });

  const generated = async (which: 'base' | 'tuned', rows: readonly EvaluatedRow[]) => {
    const texts: string[] = [];
    for (const { prompt } of rows) {
      texts.push(
        (await session.generate({ which, messages: prompt, settings: request.settings }, nothing)).text,
      );
    }
    return texts;
  };
  let before: EvaluatedRow[] = [];

  test('before a run the base model alone is asked', async () => {
    const { rows, scores, weights, seen } = await session.evaluateAnswers(request, nothing);
    expect(rows.length).toBeGreaterThan(1);
    expect(rows.every(({ tuned, split }) => tuned === null && split === 'validation')).toBe(true);
    expect([weights, seen, scores.heldOut.tuned, scores.heldOut.compared]).toEqual([null, null, null, null]);
    expect(scores.sentence).toMatch(/^The base model is right on \d+ of \d+/);
    before = rows;
  });

  test('after a run base is the base: the answers and losses of before it, bit by bit, and not those of the tuned model', async () => {
    await load();
    await read();
    const summary = await session.train(settings, nothing, nothing);
    expect(summary.state).toBe('finished');
    const { rows, scores, weights, seen } = await session.evaluateAnswers(request, nothing);
    expect(weights).toMatchObject({ runId: summary.config.runId });
    expect(seen).toBeNull();
    expect(rows.map(({ base }) => base)).toEqual(before.map(({ base }) => base));
    const losses = await session.sideLosses('validation', nothing);
    expect(rows.map(({ base, targets }) => base.lossSum / targets)).toEqual(losses.map(({ base }) => base));
    expect(rows.map(({ tuned, targets }) => (tuned?.lossSum as number) / targets)).toEqual(
      losses.map(({ tuned }) => tuned),
    );
    expect(rows.map(({ tuned }) => tuned?.text)).toEqual(await generated('tuned', rows));
    expect(rows.some(({ base, tuned }) => base.text !== tuned?.text)).toBe(true);
    expect(scores.heldOut.tuned?.loss).toBeLessThan(scores.heldOut.base.loss as number);
    expect(rows.map(({ expected }) => expected)).toEqual(
      rows.map(({ expected }) => expect.stringMatching(/^[A-Z]+!$/) && expected),
    );
  });

  test('other checks ask nothing again; other settings do', async () => {
    const asking = vi.spyOn(KnownAnswers.prototype, 'answer');
    const asks = async (change: Partial<EvaluationRequest>) => {
      const before = (asking.mock.contexts[0] as KnownAnswers | undefined)?.asked;
      const { rows } = await session.evaluateAnswers({ ...request, ...change }, nothing);
      const { asked } = asking.mock.contexts[0] as KnownAnswers;
      return { rows, count: before === undefined ? null : asked - before };
    };
    const first = await asks({});
    const again = await asks({ checks: [readRule({ check: 'word_limit', parameters: { max: 1 } })] });
    const longer = await asks({ settings: { ...request.settings, max_new_tokens: 9 } });
    asking.mockRestore();
    expect(again.rows.map(({ tuned }) => tuned?.text)).toEqual(first.rows.map(({ tuned }) => tuned?.text));
    expect([again.count, longer.count]).toEqual([0, 2 * longer.rows.length]);
  });

  test('test rows alone are asked; where no file lasts, looks cannot be counted, and that is said', async () => {
    const looks: (number | null | undefined)[] = [];
    for (let i = 0; i < 2; i++) {
      const { test: counted, rows } = await session.evaluateAnswers({ ...request, split: 'test' }, nothing);
      looks.push(counted?.looks);
      expect(rows.every(({ split }) => split === 'test')).toBe(true);
    }
    expect(looks).toEqual([null, null]);
  });

  test('training rows are asked beside, as many; and what is told of both', async () => {
    const { rows, scores } = await session.evaluateAnswers({ ...request, trainRows: true }, nothing);
    const sides = rows.map(({ split }) => split);
    expect(sides.filter((side) => side === 'train')).toHaveLength(
      sides.filter((side) => side === 'validation').length,
    );
    expect(scores.train?.rows).toBe(scores.heldOut.rows);
    expect(scores.memorised).toMatch(/^Training rows: right on/);
  });

  test('rows come one by one and can be cancelled', async () => {
    const seen: number[] = [];
    const work = session.evaluateAnswers(
      { ...request, settings: { ...request.settings, max_new_tokens: 30 } },
      (_row, done, of) => {
        seen.push(done / of);
        if (done === 1) void session.cancelMeasuring();
      },
    );
    await expect(work).rejects.toMatchObject({ code: 'measuring_cancelled' });
    expect(seen).toHaveLength(1);
    await session.evaluateAnswers(request, nothing);
  });

  test.each([
    [{ checks: [] }, 'no_checks'],
    [{ maxRows: 0 }, 'bad_row_count'],
    [{ checks: [{ check: 'regex', parameters: { pattern: '(' } } as never] }, 'bad_check'],
    [{ settings: { ...request.settings, max_new_tokens: 0 } }, 'bad_generation'],
  ] as const)('a request like %j is refused', async (change, code) => {
    await expect(
      session.evaluateAnswers({ ...request, ...change } as EvaluationRequest, nothing),
    ).rejects.toMatchObject({ code });
  });

  test('the training rows most like a prompt come with their place', async () => {
    const [row] = (await session.evaluateAnswers(request, nothing)).rows as [EvaluatedRow];
    const found = await session.likeRows(row.prompt, 3);
    expect(found).toHaveLength(3);
    const [first] = found as [(typeof found)[number]];
    const [preview] = await session.previewRows({ split: 'train', offset: first.index, count: 1 });
    expect(preview?.line).toBe(first.line);
    expect(preview?.messages.some(({ content }) => content === first.answer)).toBe(true);
  });

  test('a row that is mended where it stands is learned from, leaves its side, and takes its prompt out of the test', async () => {
    const { rows } = await session.evaluateAnswers({ ...request, split: 'test' }, nothing);
    const [row] = rows as [EvaluatedRow];
    const change = await session.taughtAnswer(row, 'MENDED!');
    expect(change.line).toBe(row.line);
    const { text, line } = await session.changeRow(change);
    const report = await session.readData({ kind: 'text', name: 'rows-edited.jsonl', text }, settings);
    expect(report.badRows).toBe(0);
    const previews = await session.previewRows({ split: 'train', offset: 0, count: report.trainRows });
    const mended = previews.find((preview) => preview.line === line);
    expect(mended?.messages.at(-1)?.content).toBe('MENDED!');
    const question = (messages: readonly { content: string }[]) => messages.map(({ content }) => content)[0];
    const after = (await session.evaluateAnswers({ ...request, split: 'validation' }, nothing)).rows;
    expect(after.map(({ prompt }) => question(prompt))).not.toContain(question(row.prompt));
    await read();
    await expect(session.taughtAnswer({ split: 'test', index: 0, prompt: [] }, 'x')).rejects.toMatchObject({
      code: 'row_not_found',
    });
    const never = [{ role: 'user' as const, content: 'never asked' }];
    await expect(session.taughtAnswer({ split: 'test', index: 0, prompt: never }, 'x')).rejects.toMatchObject(
      {
        code: 'row_not_found',
      },
    );
  });

  test('data that changed since the run are said not to be unseen', async () => {
    const { text } = await session.changeRow({
      line: null,
      text: '{"messages":[{"role":"user","content":"What colour is tar?"},{"role":"assistant","content":"BLACK!"}]}',
    });
    await session.readData({ kind: 'text', name: 'rows-edited.jsonl', text }, settings);
    const { seen } = await session.evaluateAnswers(request, nothing);
    expect(seen).toMatch(/have changed since this run/);
  });

  test('plain text asks nothing, and that is said', async () => {
    await session.readData({ kind: 'text', name: 'a.txt', text: 'The blue boat. '.repeat(200) }, settings);
    await expect(session.evaluateAnswers(request, nothing)).rejects.toMatchObject({ code: 'no_rows_to_ask' });
  });
});

test('looks at test rows are counted by their hash', async () => {
  const kept = new Map<string, unknown>();
  const records: Records = {
    notLasting: async () => null,
    read: async (name) => kept.get(name) ?? null,
    write: async (name, value) => void kept.set(name, JSON.parse(JSON.stringify(value))),
  };
  const looks: (number | null)[] = [];
  for (const hash of ['a', 'a', 'b', 'a']) looks.push(await countTestLook(records, hash));
  expect(looks).toEqual([1, 2, 1, 3]);
  const broken = { ...records, read: async () => Promise.reject(new Error('no files')) };
  expect(await countTestLook(broken, 'a')).toBeNull();
});

describe('what the answers add to the verdict', () => {
  const evaluated = (passed: number, of: number, step: number) =>
    ({
      weights: { runId: 'a', which: 'last', step },
      request: { split: 'validation', checks: request.checks },
      scores: { heldOut: { base: { right: { passed: 3 } }, tuned: { right: { passed, of } } } },
    }) as unknown as AnswerEvaluation;
  const verdict = { state: 'overfitting' as const, best: { step: 40, loss: 0.025 } };

  test('a form or likeness that passes is not called right', () => {
    const evaluation = evaluated(48, 48, 120);
    const likeness = {
      ...evaluation,
      request: { ...evaluation.request, checks: [{ check: 'chrf', parameters: {} }] },
    } as unknown as AnswerEvaluation;
    expect(answerVerdict(verdict, [likeness])).toEqual({
      word: null,
      sentence: 'The answers at step 120 pass their checks on 48 of 48 held-out rows, the base model’s on 3.',
    });
  });

  test('a rising loss is not called overfitting where nearly all answers are right', () => {
    expect(answerVerdict(verdict, [evaluated(46, 48, 120)])).toEqual({
      word: 'Loss rises, answers right',
      sentence:
        'The answers at step 120 are right on 46 of 48 held-out rows, the base model’s on 3. So the rising loss hardly shows in the answers: the model is surer of its mistakes, but makes few.',
    });
  });

  test('it stays so called where answers are wrong, where rows are few, and where the answers are those of the best step', () => {
    for (const evaluation of [evaluated(30, 48, 120), evaluated(4, 4, 120), evaluated(48, 48, 40)]) {
      const said = answerVerdict(verdict, [evaluation]);
      expect([said?.word, said?.sentence.includes('rising loss')]).toEqual([null, false]);
    }
    expect(answerVerdict(verdict, [])).toBeNull();
  });

  test('a fallen loss with wrong answers is told, by the newest evaluation', () => {
    const learning = { state: 'learning' as const, best: { step: 120, loss: 1 } };
    expect(answerVerdict(learning, [evaluated(5, 48, 120), evaluated(48, 48, 60)])?.sentence).toContain(
      'has not made most of them right',
    );
  });
});

describe('rows like a prompt', () => {
  const rows = new LikeRows([
    'What is the price of the Oak Lamp?',
    'Is the Oak Lamp in stock?',
    'Tell me a joke',
    ...['Pine Table', 'Elm Chair', 'Ash Bench', 'Fir Shelf'].map(
      (name) => `What is the price of the ${name}?`,
    ),
  ]);

  test('rare words count more than the wording that all share', () => {
    // Counted by words alone, any price would be nearer than the stock of the same lamp.
    expect(rows.nearest('What is the weight of the Oak Lamp?', 2).map(({ index }) => index)).toEqual([0, 1]);
    expect(rows.nearest('zebra', 3)).toEqual([]);
  });

  test('the same prompt has similarity 1, and is near; digits and case make no difference', () => {
    const [same] = rows.nearest('what is the price of the oak lamp', 1);
    expect(same).toMatchObject({ index: 0, near: true });
    expect(same?.similarity).toBeCloseTo(1, 12);
    expect(rows.nearest('Is it in stock?', 1)[0]?.near).toBe(false);
  });
});

describe('scores', () => {
  const rowOf = (split: EvaluatedRow['split'], base: boolean, tuned: boolean, near = false): EvaluatedRow => {
    const answer = (right: boolean) => ({
      ...{ text: '', stoppedBy: 'end_token' as const, tokens: 1, lossSum: 1, correct: 1 },
      ...{ outcomes: [{ passed: right, detail: '' }], right },
    });
    const like = { index: 0, line: 1, prompt: '', answer: '', similarity: 1, near: true };
    const place = { split, index: 0, line: 1, prompt: [], expected: '', targets: 2 };
    return { ...place, base: answer(base), tuned: answer(tuned), near: near ? like : null };
  };
  const many = (count: number, row: EvaluatedRow) => Array.from({ length: count }, () => row);
  const scoresOf = (...rows: EvaluatedRow[]) => answerScores(rows, request.checks, () => createRandom(1));

  test('46 of 48 against 3 of 48 cannot be chance', () => {
    const { sentence, heldOut } = scoresOf(
      ...many(3, rowOf('validation', true, true)),
      ...many(43, rowOf('validation', false, true)),
      ...many(2, rowOf('validation', false, false)),
    );
    expect(sentence).toBe(
      'Right on 46 of 48 (86 to 99 %), the base model on 3 of 48. The difference cannot be chance (sign test, p < 0.001).',
    );
    expect(heldOut.compared).toMatchObject({ wins: 43, losses: 0, ties: 5 });
    expect(heldOut.base.loss).toBeCloseTo(0.5, 12);
    expect(heldOut.base.perplexity).toBeCloseTo(Math.exp(0.5), 12);
    expect(heldOut.base.tokenAccuracy).toBeCloseTo(0.5, 12);
  });

  test('rows that pass a likeness are not called right', () => {
    const rows = many(12, rowOf('validation', false, true));
    const { sentence } = answerScores(rows, [{ check: 'chrf', parameters: {} } as CheckRule], () =>
      createRandom(1),
    );
    expect(sentence).toBe(
      'Passed on 12 of 12 (76 to 100 %), the base model on 0 of 12. The difference cannot be chance (sign test, p < 0.001). Passing “Similar (chrF)” does not make an answer right: read some.',
    );
    const rule = (...checks: string[]) => checks.map((check) => ({ check, parameters: {} }) as CheckRule);
    expect([
      provesRight({ all: rule('chrf', 'exact') }),
      provesRight({ any: rule('chrf', 'exact') }),
      provesRight({ not: rule('exact')[0] as CheckRule }),
    ]).toEqual([true, false, false]);
  });

  test('are written as CSV: a line for each row, texts in quotation marks where they need them', () => {
    const row = {
      ...rowOf('validation', false, true),
      expected: 'a "b", c',
      prompt: [{ role: 'user' as const, content: 'x\ny' }],
    };
    const csv = evaluationCsv({ rows: [row], request } as unknown as AnswerEvaluation);
    expect(csv.split('\r\n')).toEqual([
      'split,line,prompt,expected,base_answer,base_right,base: Exact,base_stopped_by,base_loss,tuned_answer,tuned_right,tuned: Exact,tuned_stopped_by,tuned_loss,like_training_line',
      'validation,1,"user: x\ny","a ""b"", c",,false,false,end_token,0.5,,true,true,end_token,0.5,',
      '',
    ]);
  });

  test('no text of the CSV is a formula for a spreadsheet; numbers stay numbers, and every text comes back', () => {
    const texts = ['=1+1', '+SUM(A1)', '-x', '@cmd', '\tq', "'=1", "'a'", '-3.5', '+7', '1e-3', 'a=b', ''];
    const cells = texts.map((text) => csvCell(text));
    expect(cells).toEqual([
      ...["'=1+1", "'+SUM(A1)", "'-x", "'@cmd", "'\tq", "''=1", "'a'"],
      ...['-3.5', '+7', '1e-3', 'a=b', ''],
    ]);
    expect(csvCell(-0.5)).toBe('-0.5');
    expect(cells.map((cell) => cell.replace(/^'(?='*[=+\-@\t\r])/, ''))).toEqual(texts);
    const row = { ...rowOf('validation', false, true), expected: '=HYPERLINK("x")' };
    const csv = evaluationCsv({ rows: [row], request } as unknown as AnswerEvaluation);
    expect(csv).toContain(`"'=HYPERLINK(""x"")"`);
  });

  test('few rows are said to be too few', () => {
    const { sentence } = scoresOf(
      ...many(3, rowOf('validation', false, true)),
      rowOf('validation', true, true),
    );
    expect(sentence).toContain('may be chance (sign test, p = 0.25). 4 rows are too few to tell');
  });

  test('worse is said to be worse', () => {
    expect(scoresOf(...many(9, rowOf('validation', true, false))).sentence).toContain(
      'It is worse, and that is hardly chance',
    );
  });

  test('memorised and learned are told apart, and near prompts are left out of the count', () => {
    const known = many(20, rowOf('train', false, true));
    const wrong = many(18, rowOf('validation', false, false));
    const memorised = scoresOf(...known, ...wrong, ...many(2, rowOf('validation', false, true, true)));
    expect(memorised.memorised).toBe(
      'Training rows: right on 20 of 20. Held-out rows: 2 of 20. What it knows of its training rows it cannot do on new ones: in part memorised. 2 held-out rows have nearly the prompt of a training row; without them 0 of 18.',
    );
    expect(memorised.withoutNear?.rows).toBe(18);
    expect(scoresOf(...known, ...many(20, rowOf('validation', false, true))).memorised).toContain(
      'learned, not memorised',
    );
    expect(scoresOf(...many(20, rowOf('train', false, false)), ...wrong).memorised).toContain(
      'Neither is learned yet',
    );
  });
});
