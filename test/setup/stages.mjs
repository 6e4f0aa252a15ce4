// Runs every check, shows what each prints, and ends with one line: how many passed and failed, and how long each stage took.
// Not here: the checks themselves. A set-up step that fails ends the run; a stage that fails does not.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ensureDependencies, house, SetupError } from '../../src/launch/prerequisites.mjs';
import { ensureBrowser } from './browser.mjs';

/** @typedef {{ passed: number, failed: number, skipped: number, failures: string[] }} Counts failures: what failed, by name */
/** @typedef {{ args: string[], report?: string, environment?: Record<string, string> }} Part what one process does */
/**
 * Its parts run at the same time; with `beside` the stage starts together with the one before it, for checks that use one core each.
 * @typedef {{ title: string, name: string, beside?: boolean, script: string, minutes: number, parts: Part[], count?: (report: any) => Counts }} Stage `name` is for the closing line
 */

const reports = path.join(house, 'node_modules', '.cache', 'test-reports');
/** @param {string} name */
const report = (name) => path.join(reports, `${name}.json`);
/** @param {string} place */
const tool = (place) => path.join(house, 'node_modules', place);

/** @param {string} project @param {string} [name] of its report @param {string[]} [more] @returns {Part} */
const vitest = (project, name = project, more = []) => ({
  args: [
    'run',
    `--project=${project}`,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report(name)}`,
    ...more,
  ],
  report: name,
});

/**
 * Files that start devices of their own. They run in one browser, the others in a second one, which so keeps its device and its compiled
 * programs from the first file to the last; compiling is most of what the software adapter does.
 */
const startsDevices = ['device', 'session', 'memory'].map((name) => `test/${name}.gpu.test.ts`);

/** Each browser bundles dependencies in a folder of its own. @param {string} name @param {string[]} files @returns {Part} */
const gpu = (name, files) => ({ ...vitest('gpu', `gpu-${name}`, files), environment: { TEST_SHARD: name } });

/** @param {any} json what vitest's JSON reporter wrote @returns {Counts} */
const countVitest = (json) => ({
  passed: json.numPassedTests,
  failed: json.numFailedTests,
  skipped: json.numPendingTests + json.numTodoTests,
  failures: json.testResults.flatMap((/** @type {any} */ file) => {
    const name = path.relative(house, file.name);
    const failed = file.assertionResults.filter((/** @type {any} */ test) => test.status === 'failed');
    // A file that could not be loaded has no test to blame.
    if (failed.length === 0) return file.status === 'failed' ? [name] : [];
    return failed.map((/** @type {any} */ test) => `${name}: ${test.fullName}`);
  }),
});

/** @param {any} json what Playwright's JSON reporter wrote @returns {Counts} */
const countPlaywright = ({ stats, suites, errors }) => ({
  passed: stats.expected + stats.flaky,
  failed: stats.unexpected,
  skipped: stats.skipped,
  failures: [
    ...errors.map((/** @type {any} */ error) => error.message.split('\n')[0]),
    ...suites.flatMap(failedSpecs),
  ],
});

/** @param {any} suite of Playwright's report @returns {string[]} */
const failedSpecs = (suite) => [
  ...suite.specs
    .filter((/** @type {any} */ spec) => !spec.ok)
    .map((/** @type {any} */ spec) => `e2e/${spec.file}: ${spec.title}`),
  ...(suite.suites ?? []).flatMap(failedSpecs),
];

/**
 * In order. The limits only end what hangs: on two quiet cores all stages together take well under half of them.
 * @type {Stage[]}
 */
const stages = [
  {
    title: 'Types: TypeScript',
    name: 'types',
    script: tool('typescript/bin/tsc'),
    minutes: 3,
    parts: [{ args: ['--noEmit'] }],
  },
  {
    title: 'Types: Svelte',
    name: 'Svelte',
    beside: true,
    script: tool('svelte-check/bin/svelte-check'),
    minutes: 3,
    parts: [{ args: ['--tsconfig', './tsconfig.json', '--fail-on-warnings'] }],
  },
  {
    title: 'Lint and format',
    name: 'lint',
    beside: true,
    script: tool('@biomejs/biome/bin/biome'),
    minutes: 2,
    parts: [{ args: ['check', '.'] }],
  },
  {
    title: 'Unit tests, in Node',
    name: 'unit',
    script: tool('vitest/vitest.mjs'),
    minutes: 15,
    parts: [vitest('node')],
    count: countVitest,
  },
  {
    title: 'GPU tests, in Chromium',
    name: 'GPU',
    script: tool('vitest/vitest.mjs'),
    minutes: 18,
    parts: [
      gpu('starts', startsDevices),
      gpu(
        'others',
        startsDevices.map((file) => `--exclude=${file}`),
      ),
    ],
    count: countVitest,
  },
  {
    title: 'End-to-end tests, in Chromium',
    name: 'end-to-end',
    script: tool('@playwright/test/cli.js'),
    minutes: 20,
    parts: [{ args: ['test', '-c', 'e2e/playwright.config.ts', '--reporter=list,json'], report: 'e2e' }],
    count: countPlaywright,
  },
];

/** Stages that start together: each with those marked `beside` after it. @param {Stage[]} list @returns {Stage[][]} */
function grouped(list) {
  /** @type {Stage[][]} */
  const groups = [];
  for (const stage of list) {
    if (stage.beside) groups.at(-1)?.push(stage);
    else groups.push([stage]);
  }
  return groups;
}

/**
 * @param {Stage} stage
 * @param {Part} part
 * @param {Record<string, string | undefined>} environment
 * @param {boolean} alone whether its output may be shown as it comes; else it is shown in one piece at the end
 * @returns {Promise<number | string>} exit code, or why there is none
 */
function runPart(stage, part, environment, alone) {
  return new Promise((resolve) => {
    // Its own process group, so that the browsers and servers it started can be ended with it.
    const inGroup = process.platform !== 'win32';
    const child = spawn(process.execPath, [stage.script, ...part.args], {
      cwd: house,
      env: { ...environment, ...part.environment },
      stdio: alone ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
      detached: inGroup,
    });
    /** @type {Buffer[]} */
    const output = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (piece) => output.push(piece));
    const end = () => {
      if (child.pid === undefined || child.exitCode !== null) return;
      if (inGroup) process.kill(-child.pid, 'SIGKILL');
      else child.kill('SIGKILL');
    };
    const interrupted = () => {
      end();
      process.exit(130);
    };
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      end();
    }, stage.minutes * 60_000);
    process.once('SIGINT', interrupted);
    process.once('SIGTERM', interrupted);
    const done = (/** @type {number | string} */ result) => {
      clearTimeout(timer);
      process.off('SIGINT', interrupted);
      process.off('SIGTERM', interrupted);
      if (!alone) process.stdout.write(`\n── ${stage.title} ──\n${Buffer.concat(output)}`);
      resolve(late ? `it took longer than ${stage.minutes} minutes and was ended` : result);
    };
    child.on('error', (error) => done(error.message));
    child.on('close', (code, signal) => done(code ?? `it was ended by ${signal}`));
  });
}

/**
 * @param {Stage} stage
 * @param {Part} part
 * @param {number | string} result
 * @returns {Counts}
 */
function countPart(stage, part, result) {
  const ok = result === 0;
  if (!ok && typeof result === 'string') console.error(`✗ ${stage.title}: ${result}.`);
  if (stage.count === undefined || part.report === undefined) {
    return { passed: 0, failed: ok ? 0 : 1, skipped: 0, failures: [] };
  }
  const file = report(part.report);
  if (!existsSync(file)) {
    if (typeof result === 'number') {
      console.error(`✗ ${stage.title}: the stage ended with exit code ${result} and without a report.`);
    }
    return { passed: 0, failed: 1, skipped: 0, failures: [] };
  }
  const counts = stage.count(JSON.parse(readFileSync(file, 'utf8')));
  if (counts.passed + counts.failed === 0) {
    console.error(`✗ ${stage.title}: no test ran.`);
    return { ...counts, failed: 1 };
  }
  // A file that could not be loaded has no failed test to its name, only an exit code.
  return ok ? counts : { ...counts, failed: Math.max(1, counts.failed) };
}

/**
 * What else can be checked, where this machine has what it takes. A stage that cannot run is no test and counts as none, so it is named
 * at the beginning and at the end instead.
 * @type {{ stage: Stage, runs: boolean, needs: string }[]}
 */
const optionalStages = [
  {
    stage: {
      title: 'Interop tests, with PEFT in Python',
      name: 'interop',
      script: tool('vitest/vitest.mjs'),
      minutes: 15,
      parts: [vitest('interop')],
      count: countVitest,
    },
    runs: Boolean(process.env.PYTHON),
    needs:
      'set PYTHON to a Python that has torch, transformers, peft, trl, accelerate, datasets and tensorboard',
  },
];

/** @param {number} since of `performance.now()` */
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(0)} s`;

async function main() {
  const notRun = optionalStages
    .filter(({ runs }) => !runs)
    .map(({ stage, needs }) => `! Not run: ${stage.title}. To run them, ${needs}.`);
  for (const line of notRun) console.log(line);
  await ensureDependencies(console.log);
  const browser = await ensureBrowser(console.log);
  console.log(`Browser for the tests: ${browser}`);
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });
  const environment = { ...process.env, CHROME_PATH: browser, PLAYWRIGHT_JSON_OUTPUT_FILE: report('e2e') };

  const total = { passed: 0, failed: 0, skipped: 0 };
  /** @type {string[]} */
  const broken = [];
  /** @type {string[]} */
  const times = [];
  const all = [...stages, ...optionalStages.filter(({ runs }) => runs).map(({ stage }) => stage)];
  const startedAll = performance.now();
  /** @param {Stage} stage @param {boolean} alone */
  const runStage = async (stage, alone) => {
    if (alone) console.log(`\n── ${stage.title} ──`);
    const started = performance.now();
    const counts = { passed: 0, failed: 0, skipped: 0 };
    /** @type {string[]} */
    const failures = [];
    await Promise.all(
      stage.parts.map(async (part) => {
        const own = countPart(stage, part, await runPart(stage, part, environment, alone));
        counts.passed += own.passed;
        counts.failed += own.failed;
        counts.skipped += own.skipped;
        failures.push(...own.failures);
      }),
    );
    const took = seconds(started);
    const words = stage.count === undefined ? '' : `${counts.passed} passed, ${counts.failed} failed, `;
    console.log(`${counts.failed === 0 ? '✓' : '✗'} ${stage.title}: ${words}${took}`);
    times.push(`${stage.name} ${took}`);
    if (counts.failed > 0) broken.push([stage.title, ...failures.map((name) => `  ${name}`)].join('\n'));
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
  };
  for (const group of grouped(all))
    await Promise.all(group.map((stage) => runStage(stage, group.length === 1)));

  // Once more by name: what they printed is far above by now.
  if (broken.length > 0) console.log(`\nFailed:\n${broken.join('\n')}`);
  if (notRun.length > 0) console.log(`\n${notRun.join('\n')}`);
  const skipped = total.skipped === 0 ? '' : `, ${total.skipped} skipped`;
  console.log(
    `\n${total.passed} passed, ${total.failed} failed${skipped} in ${seconds(startedAll)} (${times.join(', ')})`,
  );
  process.exitCode = total.failed === 0 ? 0 : 1;
}

main().catch((error) => {
  console.error(`\n${error instanceof SetupError ? error.message : (error.stack ?? error)}`);
  console.error('\n0 passed, 1 failed');
  process.exitCode = 1;
});
