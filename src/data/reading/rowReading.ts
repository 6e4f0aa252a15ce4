// What all readers of a row share: the messages on their way in, the problems found, the keys examined.
// Not here: what the keys mean (rowFormats.ts, turns.ts), whether the messages make sense together (rows.ts).

import type { Issue, Role, Severity, ToolCall } from '../../contract';
import type { ColumnChoice } from '../../dataReport';
import { quoted, shortened } from '../../wording';
import { Fields, type Json } from './fields';
import type { FileNotes, NoteCode } from './fileNotes';
import { type JsonMend, mendJson } from './jsonMend';
import { type JsonPath, parsed } from './jsonText';
import type { MendCode } from './mends';
import type { Patch } from './rowPatches';

/** Fills in line, column and excerpt of a place in the row. */
export type Locate = (path: JsonPath) => Pick<Issue, 'line' | 'column' | 'excerpt' | 'caret'>;

/** Where a row comes from. */
export interface RowSource {
  locate: Locate;
  /** The characters of a number, true or false, as the file has them: 1.50 and not 1.5. */
  literal?(path: JsonPath, value: number | boolean): string;
  /** What the visitor says which key is; rows without these keys are read by their format. */
  columns?: ColumnChoice;
  /** What a key is called in the file, where it was read under another name. */
  shown?: ReadonlyMap<string, string>;
  notes: FileNotes;
}

/** A message on its way in: what it holds and where each part stands. */
export interface Draft {
  /** Null where the role of the file is none that is known. */
  role: Role | null;
  /** The file's own word for the role; undefined where the role follows from the key. */
  roleWord?: unknown;
  /** Text, or something that is none: `checkMessage` tells what. */
  content: unknown;
  /** Whether the message is to be learned, where the file says so. */
  weight?: unknown;
  calls?: ToolCall[];
  callId?: string;
  /** Of the tool, in a tool's result. */
  name?: string;
  path: JsonPath;
  rolePath: JsonPath;
  contentPath: JsonPath;
}

/** A message whose role follows from the key it stood under. */
export function draft(role: Role, content: unknown, path: JsonPath): Draft {
  return { role, content, path, rolePath: path, contentPath: path };
}

/** A path as the sentences show it; never longer than a line. */
export function showPath(path: JsonPath): string {
  const steps = path.map((step, i) =>
    typeof step === 'number' ? `[${step}]` : `${i === 0 ? '' : '.'}${shortened(step, 40)}`,
  );
  return shortened(steps.join(''), 120);
}

export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string') return 'text';
  return typeof value === 'number' ? 'a number' : String(value);
}

/** The JSON list or object that a text holds, and what was mended in it; null where it holds none. */
function jsonWithin(text: string): { value: unknown; mends: readonly JsonMend[] } | null {
  const sound = parsed(text);
  if (sound) return { ...sound, mends: [] };
  const mended = mendJson(text);
  const [only] = mended?.values ?? [];
  if (!mended || !only || mended.values.length > 1) return null;
  return { value: JSON.parse(only.text) as unknown, mends: [...mended.mends] };
}

/** Problems told of one row; more of them help nobody. */
const MAX_ISSUES = 24;

export class Row {
  readonly issues: Issue[] = [];
  failed = false;
  #untold = 0;
  readonly #fields: Fields[] = [];
  /** Values that mends change, in the order in which they are read. */
  readonly patches: Patch[] = [];
  /** Mends that change more than a value: the row is written anew. */
  readonly rewritten = new Map<MendCode, boolean>();
  /** Its meaning does not follow from its keys: it is written anew. */
  anew = false;
  /** Texts of JSON by their path, and what they hold. */
  readonly #nested = new Map<
    string,
    { from: string; to: unknown; mends: readonly JsonMend[]; used?: boolean }
  >();
  /** Keys or role words of the file, by what they are read as. */
  readonly sources = new Map<Role | 'text', Set<string>>();
  readonly notes: FileNotes;

  /** @param given the row as it was parsed */
  constructor(
    private readonly source: RowSource,
    private readonly given: unknown,
  ) {
    this.notes = source.notes;
  }

  /** The keys of an object; what no reader uses of them is reported. */
  fields(value: Json, path: JsonPath): Fields {
    const fields = new Fields(value, path);
    this.#fields.push(fields);
    return fields;
  }

  leftOver() {
    return this.#fields.flatMap((fields) => fields.leftOver());
  }

  report(severity: Severity, code: string, path: JsonPath, message: string, fix: string): void {
    if (severity === 'error') this.failed = true;
    if (this.issues.length >= MAX_ISSUES && ++this.#untold > 0) return;
    const shown = path.length > 0 ? { path: showPath(path) } : {};
    this.issues.push({ code, severity, ...this.source.locate(path), ...shown, message, fix });
  }

  error(code: string, path: JsonPath, message: string, fix: string): void {
    this.report('error', code, path, message, fix);
  }

  warn(code: string, path: JsonPath, message: string, fix: string): void {
    this.report('warning', code, path, message, fix);
  }

  /** Says once for the file what was done with this row. */
  note(code: NoteCode, path: JsonPath, detail?: string): void {
    this.notes.add(code, detail, () => this.place(path));
  }

  place(path: JsonPath): Pick<Issue, 'excerpt' | 'caret'> {
    const { excerpt, caret } = this.source.locate(path);
    return { ...(excerpt === undefined ? {} : { excerpt }), ...(caret === undefined ? {} : { caret }) };
  }

  /** Something of the file became a message of this role. */
  became(role: Role | 'text', name: string): void {
    const source = this.source.shown?.get(name) ?? name;
    const known = this.sources.get(role);
    if (known) known.add(source);
    else this.sources.set(role, new Set([source]));
  }

  /**
   * A mend that the row needs.
   * @param change what stands at the path, and what it becomes (undefined: it is taken away); left out where the row is written anew
   * @returns whether it is to be done; the caller tells what is wrong where it is not
   */
  mend(code: MendCode, path: JsonPath, detail?: string, change?: { from: unknown; to: unknown }): boolean {
    const done = this.notes.mend(code, detail, () => this.place(path));
    if (change && Object.is(this.valueAt(path), change.from)) {
      this.patches.push({ code, done, path, value: change.to });
    } else this.rewritten.set(code, done);
    return done;
  }

  /** What stands at a path of the row; undefined where nothing does. */
  valueAt(path: JsonPath): unknown {
    let value: unknown = this.given;
    // What was a text of JSON is looked into as it was read.
    const read = (depth: number) => {
      if (depth === path.length) return;
      const nested = this.#nested.get(JSON.stringify(path.slice(0, depth)));
      if (nested?.used) value = nested.to;
    };
    read(0);
    for (const [depth, step] of path.entries()) {
      if (typeof value !== 'object' || value === null) return undefined;
      value = Object.hasOwn(value, step) ? (value as Json)[step] : undefined;
      read(depth + 1);
    }
    return value;
  }

  /** A number, true or false as its characters; anything else as it is. */
  asText(value: unknown, path: JsonPath): unknown {
    if (typeof value !== 'number' && typeof value !== 'boolean') return value;
    const text = this.source.literal?.(path, value) ?? String(value);
    return this.mend('number_content', path, undefined, { from: value, to: text }) ? text : value;
  }

  /**
   * A text that is a JSON list or object, as columns and nested exports have it, as what it holds; anything else as it is.
   * @param used whether it is read as that for certain; else `useJson` says so later
   */
  asJson(value: unknown, path: JsonPath, used = true): unknown {
    if (typeof value !== 'string' || !/^\s*[[{]/.test(value)) return value;
    const inner = jsonWithin(value);
    if (!inner) return value;
    const { notes } = this;
    const refused = [...inner.mends, 'nested_json' as const].filter((code) => !notes.wants(code));
    if (refused.length > 0) {
      for (const code of refused) this.mend(code, path, undefined, { from: value, to: inner.value });
      return value;
    }
    this.#nested.set(JSON.stringify(path), { from: value, to: inner.value, mends: inner.mends });
    if (used) this.useJson(path);
    return inner.value;
  }

  /** What `asJson` gave for this path is read as that. */
  useJson(path: JsonPath): void {
    const key = JSON.stringify(path);
    const nested = this.#nested.get(key);
    if (!nested || nested.used) return;
    nested.used = true;
    const where = path.length === 0 ? 'the place of the row' : quoted(String(path.at(-1)));
    for (const code of nested.mends) this.note(code, path);
    this.mend('nested_json', path, where, nested);
  }

  /** All problems, with a last one where there are too many to tell. */
  told(): Issue[] {
    const [first] = this.issues;
    if (this.#untold === 0 || !first) return this.issues;
    return [
      ...this.issues,
      {
        code: 'more_issues',
        severity: this.failed ? 'error' : 'warning',
        line: first.line,
        message: `This row has ${this.#untold} more problems.`,
        fix: 'Mend these first.',
      },
    ];
  }
}
