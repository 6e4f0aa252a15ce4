// The rules of the house as a function: source files in, broken rules out. The table is the one of src/README.md.
// Not here: reading the tree, or planting violations (architecture.test.ts).

import path from 'node:path';
import ts from 'typescript';
import { HYPERPARAMETER_NAMES } from '../src/hyperparameters';

export interface SourceFile {
  /** From the repository's root, with `/`: `src/engine/model/model.ts`. */
  path: string;
  text: string;
}

export interface Violation {
  rule: string;
  path: string;
  line: number;
  message: string;
}

interface Layer {
  /** What lives here, for the table of src/README.md. */
  files: string;
  /** Other layers of ours. */
  ours: readonly string[];
  /** Packages, by name; `name/*` takes every package of a scope. */
  packages: readonly string[];
}

const pure = [
  'fflate',
  'papaparse',
  'valibot',
  '@huggingface/tokenizers',
  '@huggingface/jinja',
  'minisearch',
];
const tfjs = ['@tensorflow/*'];
const charts = ['chart.js', 'chartjs-plugin-annotation', 'chartjs-plugin-zoom'];
const chartFiles =
  /^src\/ui\/train\/(LossChart\.svelte|chartDatasets\.ts|chartAnnotations\.ts|chartScales\.ts)$/;

/** Who may import whom, beside itself. Type-only imports count: a type is knowledge too. */
export const layers: Record<string, Layer> = {
  base: {
    files:
      'acceptedFiles, answerChecks, contract, dataContract, dataReport, epochSteps, errors, evaluationContract, exportContract, exportFormats, generalContract, generation, hyperparameterChecks, hyperparameters, measuringContract, modelArchitecture, modelContract, modelFamilies, presets, rankPattern, settingText, stepContract, stepsContract, storedRuns, sweepContract, sweeps, ways, waysContract, weightContract, wording',
    ours: [],
    packages: [],
  },
  data: { files: 'data/', ours: ['base'], packages: pure },
  formats: { files: 'formats/', ours: ['base'], packages: [...pure, '@huggingface/hub'] },
  metrics: { files: 'metrics/', ours: ['base'], packages: ['re2js', '@cfworker/json-schema'] },
  lessons: { files: 'lessons/', ours: ['base'], packages: [] },
  kernels: { files: 'engine/kernels/', ours: [], packages: tfjs },
  engine: { files: 'engine/', ours: ['base', 'data', 'formats', 'kernels'], packages: tfjs },
  session: {
    files: 'session/',
    ours: ['base', 'data', 'formats', 'metrics', 'engine'],
    packages: pure,
  },
  wire: { files: 'worker/wire.ts', ours: ['base'], packages: ['comlink'] },
  client: { files: 'worker/client.ts', ours: ['base', 'wire'], packages: ['comlink'] },
  worker: {
    files: 'worker/',
    ours: ['base', 'data', 'formats', 'metrics', 'engine', 'session', 'wire'],
    packages: [...pure, 'comlink', 'hash-wasm', '@huggingface/hub'],
  },
  // Node and npm alone: it runs before packages are installed; serving loads vite when it is there.
  launch: { files: 'launch/', ours: [], packages: ['node:*', 'vite'] },
  cli: {
    files: 'cli/',
    ours: ['base', 'data', 'formats', 'metrics', 'engine', 'session', 'launch'],
    packages: [...pure, 'node:*', 'vite', 'webgpu'],
  },
  ui: {
    files: 'ui/',
    ours: ['base', 'metrics', 'lessons', 'client'],
    packages: ['svelte', 'idb', 'valibot', ...charts],
  },
  // The page's entry composes: it hands the worker's client to the workspace.
  main: { files: 'main.ts', ours: ['ui', 'client'], packages: ['svelte'] },
};

/** The table of src/README.md, written from `layers`. */
export function layerTable(): string {
  const rows = Object.entries(layers).map(([name, { files, ours, packages }]) => {
    const list = (items: readonly string[]) => (items.length > 0 ? items.join(', ') : '–');
    return `| ${name} | ${files} | ${list(ours)} | ${list(packages)} |`;
  });
  return ['| layer | files | may import of ours | and packages |', '| --- | --- | --- | --- |', ...rows].join(
    '\n',
  );
}

/**
 * Above engine/kernels/ nobody knows which version of an op runs, but for these: they start a backend, measure on it, or capture its
 * dispatches. All others import kernels/index.ts and the plain references.
 */
export const knowsVersions = [
  'src/engine/device/device.ts',
  'src/engine/device/kernelChecks.ts',
  'src/engine/device/tuning.ts',
  'src/engine/training/capturedStep.ts',
  'src/engine/generation/decode.ts',
];
const isVersion = (target: string) =>
  /^src\/engine\/kernels\/(webgpu|wasm)\//.test(target) || /\.(wgsl|wasm)(\.ts)?$/.test(target);

/** Lines of a function in src/, from its first to its last, inner functions included. */
const MAX_FUNCTION_LINES = 120;

/** Longer functions, each with the reason why it is not split. */
export const longFunctions: Record<string, string> = {
  'src/engine/kernels/wasm/assembly/attention.ts attentionBackward':
    'three nested loops over twenty pointers; split functions would pass all of them on every turn of the innermost loop',
};

/** Tests are few and long: one file a noun. */
const lineCeiling = (file: string) => (file.startsWith('test/') ? 1200 : 600);

/** The layer of a file below `src/`, or null when the house has no such room. */
export function layerOf(file: string): string | null {
  const inside = file.replace(/^src\//, '');
  const [room = '', second] = inside.split('/');
  if (second === undefined) {
    const file = room.replace(/\.ts$/, '');
    if (layers.base?.files.split(', ').includes(file)) return 'base';
    return file === 'main' ? 'main' : null;
  }
  if (room === 'engine' && second === 'kernels') return 'kernels';
  if (room === 'worker' && /^(client|wire)(\.ts)?$/.test(second)) return second.replace('.ts', '');
  return room in layers && room !== 'base' && room !== 'main' ? room : null;
}

/** What a program can be read from: the file itself, or the scripts of a component, on their own lines. */
function scriptOf({ path: file, text }: SourceFile): string | null {
  if (/\.(ts|mjs)$/.test(file)) return text;
  if (!file.endsWith('.svelte')) return null;
  const blank = (part: string) => part.replace(/[^\n]/g, ' ');
  let script = '';
  let end = 0;
  for (const match of text.matchAll(/(<script[^>]*>)([\s\S]*?)<\/script>/g)) {
    const start = match.index + (match[1] ?? '').length;
    script += blank(text.slice(end, start)) + (match[2] ?? '');
    end = start + (match[2] ?? '').length;
  }
  return script;
}

/** Everything the house forbids, found in these files. */
export function violations(files: readonly SourceFile[]): Violation[] {
  return files.flatMap((file) => {
    const found: Violation[] = [];
    const report = (rule: string, line: number, message: string) =>
      found.push({ rule, path: file.path, line, message });
    checkText(file, report);
    const script = scriptOf(file);
    if (script !== null) {
      const source = ts.createSourceFile(file.path, script, ts.ScriptTarget.Latest, true);
      checkProgram(file, source, report);
      if (file.path.startsWith('src/')) checkImports(file, script, report);
    }
    return found;
  });
}

type Report = (rule: string, line: number, message: string) => void;

function checkText({ path: file, text }: SourceFile, report: Report): void {
  const lines = text.split('\n');
  const ceiling = lineCeiling(file);
  if (lines.length - 1 > ceiling) report('length', ceiling + 1, `more than ${ceiling} lines: split it`);
  if (/(^|\/)(utils?|helpers?|common|misc)(\/|\.)/i.test(file) || /(Manager|Helper|Utils?)\./.test(file)) {
    report('names', 1, 'name it by the noun that flows through it');
  }
  const [first = '', second = ''] = lines[0]?.startsWith('#!') ? lines.slice(1) : lines;
  const opened =
    (first.startsWith('// ') && second.startsWith('//')) ||
    /^(<!--|\/\*\*?) \S/.test(first) ||
    /\.html$/.test(file);
  if (!opened) report('first lines', 1, 'the first line says what lives here, the second what does not');
  lines.forEach((line, i) => {
    if (/\b(TODO|FIXME|XXX|HACK)\b/.test(line)) report('unfinished', i + 1, 'do it, or open an issue');
    if (/\/(work|tmp|home|Users)\/\w|\.\.\/shared\//.test(line))
      report('machine path', i + 1, 'it exists on one machine');
    if (/\b(test|it|describe)\.(skip|only|todo|fixme|fails)\b/.test(line)) {
      report('skipped test', i + 1, 'a test runs, or it is not there');
    }
  });
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
}

function checkImports({ path: file }: SourceFile, script: string, report: Report): void {
  // Ambient declarations belong to the build, not to a room.
  if (file.endsWith('.d.ts')) return;
  const name = layerOf(file);
  const layer = name === null ? undefined : layers[name];
  if (name === null || layer === undefined) {
    report('rooms', 1, 'the house has no such room');
    return;
  }
  const lineAt = (position: number) => script.slice(0, position).split('\n').length;
  const seen = ts.preProcessFile(script, true, true).importedFiles;
  const workers = [...script.matchAll(/new URL\(\s*['"](\.[^'"]+)['"]\s*,\s*import\.meta\.url/g)].map(
    (match) => ({
      fileName: match[1] ?? '',
      pos: match.index,
    }),
  );
  for (const { fileName: specifier, pos } of [...seen, ...workers]) {
    const line = lineAt(pos);
    if (!specifier.startsWith('.')) {
      const wanted = packageOf(specifier);
      const allowed = layer.packages.some((entry) =>
        entry.endsWith('*') ? wanted.startsWith(entry.slice(0, -1)) : entry === wanted,
      );
      if (!allowed) report('imports', line, `${name} may not import the package ${wanted}`);
      if (charts.includes(wanted) && !chartFiles.test(file))
        report(
          'chart.js',
          line,
          'only the loss chart (ui/train/LossChart.svelte and its three files) draws with chart.js',
        );
      continue;
    }
    const target = path.posix.join(path.posix.dirname(file), specifier);
    // The client starts the worker by the address of its entry; that is no import of what is in it.
    if (file === 'src/worker/client.ts' && /^src\/worker\/main(\.ts)?$/.test(target)) continue;
    const other = target.startsWith('src/') ? layerOf(target) : null;
    if (other === null) report('imports', line, `${specifier} leads out of the rooms`);
    else if (other !== name && !layer.ours.includes(other)) {
      report('imports', line, `${name} may not import ${other} (${specifier})`);
    }
    if (isVersion(target) && name !== 'kernels' && other === 'kernels' && !knowsVersions.includes(file)) {
      report(
        'kernel versions',
        line,
        `only ${knowsVersions.join(', ')} may know which version of an op runs`,
      );
    }
    if (/^src\/(engine|data|formats|metrics|session|ui|worker|cli)$/.test(target)) {
      report('barrels', line, 'a folder is no module: import the file');
    }
  }
}

/**
 * Files that a header comment names and that do not exist. A name counts from the file's own folder, from a folder above it up to
 * `src/` (or `test/`, `e2e/`), or from the repository's root; a folder is named with a slash at its end.
 * @param exists every file of the repository, by its path from the root
 */
export function staleHeaders(files: readonly SourceFile[], exists: readonly string[]): Violation[] {
  const known = new Set(exists);
  const folders = new Set(exists.flatMap((file) => parentsOf(file)));
  return files.flatMap(({ path: file, text }): Violation[] => {
    const header = /^(?:#!.*\n)?((?:\/\/.*\n|<!--[\s\S]*?-->\n)+)/.exec(text)?.[1] ?? '';
    const names =
      header.match(
        /(?<![\w./*@-])(?:[\w-]+\/)*[\w-]+(?:\.[\w-]+)*\.(?:ts|mjs|svelte|py|css)(?!\w)|(?<![\w./*@-])(?:[\w-]+\/)+(?![\w*.])/g,
      ) ?? [];
    const found = (name: string) =>
      ['', ...parentsOf(file)].some((folder) => {
        const target = path.posix.join(folder, name);
        return name.endsWith('/') ? folders.has(target) : known.has(target);
      });
    return names
      .filter((name) => !found(name))
      .map((name) => ({ rule: 'header', path: file, line: 1, message: `there is no ${name}` }));
  });
}

/** `src/`, `src/engine/` … of a file. */
function parentsOf(file: string): string[] {
  const parts = file.split('/').slice(0, -1);
  return parts.map((_, i) => `${parts.slice(0, i + 1).join('/')}/`);
}

/** Relative imports of each source file, resolved to files of the tree. */
function importGraph(files: readonly SourceFile[]): Map<string, string[]> {
  const known = new Set(files.map(({ path: file }) => file));
  const graph = new Map<string, string[]>();
  for (const file of files) {
    const script = file.path.startsWith('src/') ? scriptOf(file) : null;
    if (script === null) continue;
    const targets = ts.preProcessFile(script, true, true).importedFiles.flatMap(({ fileName }) => {
      if (!fileName.startsWith('.')) return [];
      const target = path.posix.join(path.posix.dirname(file.path), fileName.split('?', 1)[0] ?? '');
      const found = ['', '.ts', '.mjs', '.svelte', '/index.ts']
        .map((end) => target + end)
        .find((f) => known.has(f));
      return found === undefined ? [] : [found];
    });
    graph.set(file.path, targets);
  }
  return graph;
}

/** Files that import each other in a circle, each circle once, as `a → b → a`. Type-only imports count. */
export function importCycles(files: readonly SourceFile[]): string[] {
  const graph = importGraph(files);
  const done = new Set<string>();
  const trail: string[] = [];
  const cycles = new Set<string>();
  const visit = (file: string): void => {
    const at = trail.indexOf(file);
    if (at >= 0) {
      const circle = trail.slice(at);
      const first = circle.indexOf([...circle].sort()[0] as string);
      const turned = [...circle.slice(first), ...circle.slice(0, first)];
      cycles.add([...turned, turned[0]].join(' → '));
      return;
    }
    if (done.has(file)) return;
    trail.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    trail.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return [...cycles].sort();
}

/** Names of the outer world that a room must not know. */
const forbiddenNames: Record<string, RegExp> = {
  engine: /^(document|window|indexedDB|localStorage|sessionStorage|File|FileReader|URL|Date)$/,
  kernels: /^(document|window|indexedDB|localStorage|sessionStorage|File|FileReader|URL|Date)$/,
  data: /^(document|window|indexedDB|localStorage|sessionStorage|fetch)$/,
  formats: /^(document|window|indexedDB|localStorage|sessionStorage)$/,
  metrics: /^(document|window|indexedDB|localStorage|sessionStorage|fetch)$/,
  lessons: /^(document|window|indexedDB|localStorage|sessionStorage|fetch)$/,
};

/** The engine's own worker, and the threads that only run kernels: the page's and Node's. */
const startsWorkers = ['src/worker/client.ts', 'src/worker/threads.ts', 'src/cli/threads.ts'];

const barrelsAllowed = ['src/engine/kernels/index.ts', 'src/lessons/index.ts'];

function checkProgram({ path: file }: SourceFile, source: ts.SourceFile, report: Report): void {
  const lineOf = (node: ts.Node) => source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
  const inSource = file.startsWith('src/');
  const layer = inSource ? layerOf(file) : null;
  const names = new Set<string>(HYPERPARAMETER_NAMES);

  if (inSource && !barrelsAllowed.includes(file)) {
    const statements = source.statements;
    const exportsOnly =
      statements.length > 0 &&
      statements.every((s) => ts.isExportDeclaration(s) || ts.isImportDeclaration(s));
    const forwards = statements.some((s) => ts.isExportDeclaration(s) && s.moduleSpecifier !== undefined);
    if ((exportsOnly && forwards) || /(^|\/)index\.ts$/.test(file)) {
      report('barrels', 1, 'import from the file that has it');
    }
  }
  if (
    [
      'src/contract.ts',
      'src/dataContract.ts',
      'src/dataReport.ts',
      'src/stepsContract.ts',
      'src/modelArchitecture.ts',
    ].includes(file)
  ) {
    for (const statement of source.statements) {
      const typesOnly =
        ts.isInterfaceDeclaration(statement) ||
        ts.isTypeAliasDeclaration(statement) ||
        (ts.isImportDeclaration(statement) &&
          statement.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
      if (!typesOnly) report('contract', lineOf(statement), 'types only: no function, class or value');
    }
  }

  // A sliding `window` of attention is no browser window.
  const declared = new Set<string>();
  const declare = (node: ts.Node): void => {
    const names = ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isBindingElement(node);
    if (names && ts.isIdentifier(node.name)) declared.add(node.name.text);
    ts.forEachChild(node, declare);
  };
  declare(source);

  const visit = (node: ts.Node): void => {
    if (inSource && ts.isFunctionLike(node) && 'body' in node && node.body) {
      const last = source.getLineAndCharacterOfPosition(node.end).line + 1;
      const name = node.name?.getText(source) ?? '';
      if (last - lineOf(node) >= MAX_FUNCTION_LINES && !(`${file} ${name}` in longFunctions))
        report('function length', lineOf(node), `more than ${MAX_FUNCTION_LINES} lines: split it`);
    }
    if (ts.isNewExpression(node) && /^(Worker|SharedWorker)$/.test(node.expression.getText(source))) {
      if (inSource && !startsWorkers.includes(file)) {
        report(
          'new Worker',
          lineOf(node),
          'only client.ts starts the engine, and threads.ts its kernel threads',
        );
      }
    }
    if (ts.isIdentifier(node) && inSource) {
      const isMember =
        (ts.isPropertyAccessExpression(node.parent) && node.parent.name === node) ||
        ((ts.isPropertyAssignment(node.parent) || ts.isPropertySignature(node.parent)) &&
          node.parent.name === node);
      if (!isMember) {
        if (node.text === 'self' && file !== 'src/worker/main.ts') {
          report('self', lineOf(node), 'only worker/main.ts says `self`');
        }
        if (layer !== null && forbiddenNames[layer]?.test(node.text) && !declared.has(node.text)) {
          report('outer world', lineOf(node), `${layer} may not know ${node.text}`);
        }
      }
    }
    if (inSource && file !== 'src/hyperparameters.ts') {
      if (ts.isArrayLiteralExpression(node)) {
        const count = node.elements.filter((e) => ts.isStringLiteral(e) && names.has(e.text)).length;
        if (count >= 6)
          report('one table', lineOf(node), `${count} setting names listed again: read the table`);
      }
      if (ts.isObjectLiteralExpression(node)) {
        const count = node.properties.filter(
          (p) => p.name !== undefined && names.has(p.name.getText(source)),
        ).length;
        if (count >= 8)
          report('one table', lineOf(node), `${count} settings described again: read the table`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
}
