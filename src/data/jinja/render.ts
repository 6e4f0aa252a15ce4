// A chat template and a conversation → text, as Jinja2 computes it with the environment of transformers, within a budget of work.
// Not here: reading the template (syntax.ts), filters and tests (filters.ts), what a chat gives to it (../chat.ts).

import { Budget } from './budget';
import { strftime } from './clock';
import { applyFilter, applyTest, contains } from './filters';
import { arithmetic, unary } from './operators';
import { STRING_METHODS, slice, wholeOf } from './strings';
import * as syntax from './syntax';
import {
  type Callable,
  compare,
  type Dict,
  equals,
  Float,
  isDict,
  isList,
  items,
  Namespace,
  numeric,
  orMissing,
  TemplateError,
  Tuple,
  text,
  toValue,
  truth,
  typeName,
  Undefined,
  type Value,
} from './values';

/** A template, read once and rendered often. */
export interface CompiledTemplate {
  /** @throws TemplateError with Jinja's or the template's own words; EndlessTemplate when it does too much work */
  render(variables: Readonly<Record<string, unknown>>): string;
}

/** @throws TemplateError where the text is no template, or uses what is not known here */
export function compileTemplate(source: string): CompiledTemplate {
  const body = syntax.parse(source);
  return {
    render: (variables) => {
      const { messages } = variables;
      const size = JSON.stringify(variables).length;
      const evaluation = new TemplateEvaluator(new Budget(isArray(messages) ? messages.length : 0, size));
      try {
        return evaluation.run(body, variables);
      } catch (cause) {
        if (cause instanceof RangeError)
          throw new TemplateError('its parts call each other without end', { cause });
        // A tree that the parser builds from a text that is no template after all.
        if (cause instanceof TypeError)
          throw new TemplateError('one of its parts is not as Jinja has it', { cause });
        throw cause;
      }
    },
  };
}

const isArray = (value: unknown): value is unknown[] => Array.isArray(value);

/** Names and their values; a name that is not here is looked up further out. */
class Scope {
  readonly names = new Map<string, Value>();
  constructor(readonly outer: Scope | null) {}

  get(name: string): Value | undefined {
    for (let scope: Scope | null = this; scope; scope = scope.outer) {
      const value = scope.names.get(name);
      if (value !== undefined) return value;
    }
    return undefined;
  }
}

/** `break` or `continue` on its way to the loop, with the text that the iteration has written before it. */
class LoopControl {
  constructor(
    readonly kind: 'Break' | 'Continue',
    readonly written: string,
  ) {}
}

const NONE: ReadonlyMap<string, Value> = new Map();

class TemplateEvaluator {
  constructor(private readonly budget: Budget) {}

  run(body: readonly syntax.Statement[], variables: Readonly<Record<string, unknown>>): string {
    const globals = new Scope(null);
    for (const [name, value] of this.#globals()) globals.names.set(name, value);
    const scope = new Scope(globals);
    for (const [name, value] of Object.entries(variables)) {
      if (value !== undefined) scope.names.set(name, toValue(value));
    }
    const written = this.#block(body, scope);
    if (written instanceof LoopControl) throw new TemplateError('a loop control stands outside a loop');
    return written;
  }

  #globals(): [string, Value][] {
    const range: Callable = (args) => {
      const [a, b, c] = args.map((arg) => wholeOf(arg, 0, 'range'));
      return b === undefined ? this.budget.range(0, a ?? 0, 1) : this.budget.range(a ?? 0, b, c ?? 1);
    };
    return [
      ['range', range],
      ['namespace', (args, keywords) => new Namespace(entriesOf(args, keywords))],
      ['dict', (args, keywords) => entriesOf(args, keywords)],
      [
        'raise_exception',
        ([message = '']) => {
          throw new TemplateError(text(message));
        },
      ],
      ...['lipsum', 'cycler', 'joiner'].map((name): [string, Value] => [name, notHere(name)]),
      ['strftime_now', ([format = '']) => strftime(new Date(), text(format))],
    ];
  }

  /** The text of statements in a row; or the loop control that ended them. */
  #block(body: readonly syntax.Statement[], scope: Scope): string | LoopControl {
    let written = '';
    for (const node of body) {
      this.budget.step();
      const next = this.#statement(node, scope);
      if (next instanceof LoopControl) return new LoopControl(next.kind, written + next.written);
      written += next;
      this.budget.make(next.length);
    }
    return written;
  }

  /** A block of its own text, from which no loop control comes out: its text is lost with it, as in Jinja. */
  #captured(body: readonly syntax.Statement[], scope: Scope): string | LoopControl {
    const written = this.#block(body, new Scope(scope));
    return written instanceof LoopControl ? new LoopControl(written.kind, '') : written;
  }

  #statement(node: syntax.Statement, scope: Scope): string | LoopControl {
    switch (node.type) {
      case 'If':
        return this.#block(truth(this.#value(node.test, scope)) ? node.body : node.alternate, scope);
      case 'For':
        return this.#for(node, scope);
      case 'Set':
        return this.#set(node, scope);
      case 'Macro':
        scope.names.set(node.name.value, this.#macro(node.name.value, node.args, node.body, scope));
        return '';
      case 'CallStatement':
        return this.#call(node, scope);
      case 'FilterStatement': {
        const written = this.#captured(node.body, scope);
        if (written instanceof LoopControl) return written;
        return text(this.#filtered(written, node.filter, scope));
      }
      case 'Break':
      case 'Continue':
        return new LoopControl(node.type, '');
      case 'Comment':
        return '';
      default:
        return this.#printed(this.#value(node, scope));
    }
  }

  #printed(value: Value): string {
    if (typeof value !== 'string') this.budget.read(value);
    return text(value);
  }

  #for(node: syntax.For, scope: Scope): string | LoopControl {
    const { iterable, test } =
      node.iterable.type === 'SelectExpression'
        ? { iterable: node.iterable.lhs, test: node.iterable.test }
        : { iterable: node.iterable, test: null };
    const all = items(this.#value(iterable, scope));
    const wanted = test
      ? all.filter((item) => {
          this.budget.step();
          const inner = new Scope(scope);
          this.#bind(node.loopvar, item, inner);
          return truth(this.#value(test, inner));
        })
      : all;
    let written = '';
    // As in Jinja, the else block is left out only where an iteration came to its end.
    let ended = 0;
    const depth = Number(numeric(scope.get(DEPTH) ?? 0)) + 1;
    for (const [i, item] of wanted.entries()) {
      this.budget.step();
      const inner = new Scope(scope);
      inner.names.set('loop', loopOf(wanted, i, depth));
      inner.names.set(DEPTH, depth);
      this.#bind(node.loopvar, item, inner);
      const next = this.#block(node.body, inner);
      if (next instanceof LoopControl) {
        written += next.written;
        if (next.kind === 'Break') break;
        continue;
      }
      written += next;
      ended++;
    }
    if (ended > 0) return written;
    const otherwise = this.#block(node.defaultBlock, new Scope(scope));
    if (otherwise instanceof LoopControl) return new LoopControl(otherwise.kind, written + otherwise.written);
    return written + otherwise;
  }

  #bind(target: syntax.Expression, value: Value, scope: Scope): void {
    if (target.type === 'Identifier') {
      scope.names.set(target.value, value);
      return;
    }
    if (target.type !== 'TupleLiteral') throw new TemplateError('only names can be set');
    const parts = items(value);
    if (parts.length !== target.value.length) {
      throw new TemplateError(`${parts.length} values cannot be given to ${target.value.length} names`);
    }
    for (const [i, name] of target.value.entries()) this.#bind(name, parts[i] as Value, scope);
  }

  #set(node: syntax.SetStatement, scope: Scope): '' | LoopControl {
    let value: Value;
    if (node.value) value = this.#value(node.value, scope);
    else {
      const written = this.#captured(node.body, scope);
      if (written instanceof LoopControl) return written;
      value = written;
    }
    if (node.assignee.type !== 'MemberExpression') {
      this.#bind(node.assignee, value, scope);
      return '';
    }
    const { object, property } = node.assignee;
    const space = this.#value(object, scope);
    if (!(space instanceof Namespace) || property.type !== 'Identifier') {
      throw new TemplateError('only a namespace has attributes that can be set');
    }
    space.attributes.set(property.value, value);
    return '';
  }

  /** A function that writes `body`. Its names are looked up where it was defined, as in Jinja. */
  #macro(
    name: string,
    parameters: readonly syntax.Parameter[],
    body: readonly syntax.Statement[],
    outer: Scope,
  ): Callable {
    return (args, keywords) => {
      this.budget.step();
      const scope = new Scope(outer);
      const left = new Map(keywords);
      for (const [i, parameter] of parameters.entries()) {
        const key = parameter.type === 'Identifier' ? parameter.value : parameter.key.value;
        const value = i < args.length ? args[i] : left.get(key);
        left.delete(key);
        if (value !== undefined) scope.names.set(key, value);
        else if (parameter.type === 'Identifier') scope.names.set(key, new Undefined(key));
        else scope.names.set(key, this.#value(parameter.value, scope));
      }
      for (const [key, value] of left) {
        if (key !== 'caller') throw new TemplateError(`the macro ${name} takes no argument “${key}”`);
        scope.names.set(key, value);
      }
      if (args.length > parameters.length) {
        throw new TemplateError(
          `the macro ${name} got ${args.length} arguments, and takes ${parameters.length}`,
        );
      }
      return this.#block(body, scope) as string;
    };
  }

  #call(node: syntax.CallStatement, scope: Scope): string {
    const { callee } = node.call;
    const caller = this.#macro('caller', node.callerArgs ?? [], node.body, scope);
    if (callee.type === 'Identifier' && callee.value === syntax.GENERATION) return text(caller([], NONE));
    const { args, keywords } = this.#arguments(node.call.args, scope);
    return text(this.#function(callee, scope)(args, new Map([...keywords, ['caller', caller]])));
  }

  #function(node: syntax.Expression, scope: Scope): Callable {
    const value = this.#value(node, scope);
    if (isCallable(value)) return value;
    const name =
      node.type === 'Identifier' ? node.value : node.type === 'MemberExpression' ? nameOf(node.property) : '';
    throw new TemplateError(
      `it calls ${name === '' ? `a ${typeName(value)}` : `“${name}”`}, which is not known here`,
    );
  }

  #arguments(
    nodes: readonly syntax.Expression[],
    scope: Scope,
  ): { args: Value[]; keywords: Map<string, Value> } {
    const args: Value[] = [];
    const keywords = new Map<string, Value>();
    if (!Array.isArray(nodes)) throw new TemplateError('a call block calls nothing');
    for (const node of nodes) {
      if (node.type === 'SpreadExpression') args.push(...items(this.#value(node.argument, scope)));
      else if (node.type === 'KeywordArgumentExpression')
        keywords.set(node.key.value, this.#value(node.value, scope));
      else if (node.type === 'KeywordSpreadExpression') {
        const more = this.#value(node.argument, scope);
        if (!isDict(more)) throw new TemplateError(`** needs a dictionary and got ${typeName(more)}`);
        for (const [key, value] of more) keywords.set(text(key), value);
      } else args.push(this.#value(node, scope));
    }
    return { args, keywords };
  }

  #filtered(value: Value, node: syntax.Identifier | syntax.Call, scope: Scope): Value {
    if (node.type === 'Identifier') return applyFilter(node.value, value, [], NONE, this.budget);
    const { args, keywords } = this.#arguments(node.args, scope);
    return applyFilter(nameOf(node.callee), value, args, keywords, this.budget);
  }

  #value(node: syntax.Expression, scope: Scope): Value {
    this.budget.step();
    const value = this.#computed(node, scope);
    if (node.type !== 'Identifier' && node.type !== 'StringLiteral') this.budget.made(value);
    return value;
  }

  #computed(node: syntax.Expression, scope: Scope): Value {
    switch (node.type) {
      case 'StringLiteral':
      case 'IntegerLiteral':
        return node.value;
      case 'FloatLiteral':
        return new Float(node.value);
      case 'Identifier':
        return lookUp(node.value, scope);
      case 'MemberExpression':
        return this.#member(node, scope);
      case 'CallExpression': {
        const { args, keywords } = this.#arguments(node.args, scope);
        return this.#function(node.callee, scope)(args, keywords);
      }
      case 'BinaryExpression':
        return this.#binary(node, scope);
      case 'UnaryExpression':
        return unary(node.operator.value, this.#value(node.argument, scope));
      case 'FilterExpression':
        return this.#filtered(this.#value(node.operand, scope), node.filter, scope);
      case 'TestExpression':
        return applyTest(node.test.value, this.#value(node.operand, scope), [], this.budget) !== node.negate;
      case 'Ternary':
        return this.#value(truth(this.#value(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
      case 'SelectExpression':
        return truth(this.#value(node.test, scope)) ? this.#value(node.lhs, scope) : new Undefined('else');
      case 'ArrayLiteral':
        return node.value.map((item) => this.#value(item, scope));
      case 'TupleLiteral':
        return new Tuple(node.value.map((item) => this.#value(item, scope)));
      case 'ObjectLiteral':
        return new Map(
          [...node.value].map(([key, item]) => [this.#value(key, scope), this.#value(item, scope)]),
        );
      default:
        throw new TemplateError(`“${node.type}” stands where a value is wanted`);
    }
  }

  #member(node: Extract<syntax.Expression, { type: 'MemberExpression' }>, scope: Scope): Value {
    const object = this.#value(node.object, scope);
    if (object instanceof Undefined) throw new TemplateError(`“${object.name}” is undefined`);
    if (!node.computed) {
      if (node.property.type === 'IntegerLiteral')
        return orMissing(item(object, node.property.value), 'item');
      const name = nameOf(node.property);
      const found = this.#attribute(object, name);
      return orMissing(found !== undefined ? found : item(object, name), name);
    }
    if (node.property.type === 'SliceExpression') {
      const { start, stop, step } = node.property;
      const bounds = [start, stop, step].map((part) => {
        const bound = part ? this.#value(part, scope) : null;
        return bound === null ? null : wholeOf(bound, 0, 'a part of a list');
      });
      const part = slice(object, bounds);
      this.budget.make(typeof part === 'string' ? part.length : items(part).length);
      return part;
    }
    const key = this.#value(node.property, scope);
    const found = item(object, key);
    if (found !== undefined || typeof key !== 'string') return orMissing(found, text(key));
    return orMissing(this.#attribute(object, key), key);
  }

  /** Two values are about to be compared: texts up to where they differ, which the shorter one bounds. */
  #compared(left: Value, right: Value): void {
    if (typeof left === 'string' && typeof right === 'string') {
      this.budget.make(Math.min(left.length, right.length));
      return;
    }
    if (typeof left === 'object') this.budget.read(left);
    if (typeof right === 'object') this.budget.read(right);
  }

  /** A method or attribute of a value. */
  #attribute(object: Value, name: string): Value | undefined {
    if (name.startsWith('_')) throw new TemplateError(`“${name}” is not safe to use`);
    if (object instanceof Namespace) return object.attributes.get(name);
    if (typeof object === 'string') {
      const method = STRING_METHODS.get(name);
      return (
        method &&
        ((args, keywords) => {
          this.budget.read(object);
          return method(object, withKeywords(args, keywords), this.budget);
        })
      );
    }
    if (isDict(object)) return DICT_METHODS.get(name)?.(object);
    const list = object instanceof Tuple ? object.items : object;
    if (isList(list)) {
      const method = LIST_METHODS.get(name);
      return (
        method &&
        (([wanted]) => {
          this.budget.read(list);
          return method(list, wanted as Value);
        })
      );
    }
    return undefined;
  }

  #binary(node: Extract<syntax.Expression, { type: 'BinaryExpression' }>, scope: Scope): Value {
    const operator = node.operator.value;
    const left = this.#value(node.left, scope);
    if (operator === 'and') return truth(left) ? this.#value(node.right, scope) : left;
    if (operator === 'or') return truth(left) ? left : this.#value(node.right, scope);
    const right = this.#value(node.right, scope);
    if (COMPARES.has(operator)) this.#compared(left, right);
    switch (operator) {
      case '==':
        return equals(left, right);
      case '!=':
        return !equals(left, right);
      case '<':
        return compare(left, right) < 0;
      case '<=':
        return compare(left, right) <= 0;
      case '>':
        return compare(left, right) > 0;
      case '>=':
        return compare(left, right) >= 0;
      case 'in':
        return contains(right, left, this.budget);
      case 'not in':
        return !contains(right, left, this.budget);
      case '~':
        return this.budget.join([this.#printed(left), this.#printed(right)], '');
      default:
        return arithmetic(operator, left, right, this.budget);
    }
  }
}

/** No name in a template is spelt like this. */
const DEPTH = 'loop depth';

const CONSTANTS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);

function lookUp(name: string, scope: Scope): Value {
  const constant = CONSTANTS.get(name);
  return constant !== undefined ? constant : orMissing(scope.get(name), name);
}

const COMPARES = new Set(['==', '!=', '<', '<=', '>', '>=']);

const isCallable = (value: Value): value is Callable => typeof value === 'function';

const nameOf = (node: syntax.Expression): string => (node.type === 'Identifier' ? node.value : '');

/** What Jinja has and no chat template calls. */
const notHere =
  (name: string): Callable =>
  () => {
    throw new TemplateError(`it calls “${name}”, which is not known here`);
  };

function entriesOf(args: readonly Value[], keywords: ReadonlyMap<string, Value>): Map<string, Value> {
  const entries = new Map<string, Value>();
  const [source] = args;
  if (source !== undefined) {
    const pairs = isDict(source) ? [...source] : items(source).map((pair) => items(pair) as [Value, Value]);
    for (const [key, value] of pairs) entries.set(text(key), value);
  }
  for (const [key, value] of keywords) entries.set(key, value);
  return entries;
}

/** `split(',', maxsplit=1)`: the names of string methods' arguments that templates write out. */
function withKeywords(args: readonly Value[], keywords: ReadonlyMap<string, Value>): readonly Value[] {
  if (keywords.size === 0) return args;
  const all = [...args];
  for (const [key, value] of keywords) {
    const place = { sep: 0, maxsplit: 1, count: 2 }[key];
    if (place === undefined) throw new TemplateError(`a method takes no argument “${key}”`);
    while (all.length < place) all.push(null);
    all[place] = value;
  }
  return all;
}

/** `object[key]`; undefined where there is no such item. */
function item(object: Value, key: Value): Value | undefined {
  if (isDict(object)) return object.get(key);
  const list = object instanceof Tuple ? object.items : typeof object === 'string' ? [...object] : object;
  if (!isList(list) || typeof key !== 'number') return undefined;
  return list[key < 0 ? key + list.length : key];
}

const DICT_METHODS: ReadonlyMap<string, (dict: Dict) => Callable> = new Map<string, (dict: Dict) => Callable>(
  [
    [
      'get',
      (dict) =>
        ([key, fallback = null]) => {
          const found = dict.get(key as Value);
          return found === undefined ? fallback : found;
        },
    ],
    ['items', (dict) => () => [...dict].map((pair) => new Tuple(pair))],
    ['keys', (dict) => () => [...dict.keys()]],
    ['values', (dict) => () => [...dict.values()]],
    ['copy', (dict) => () => new Map(dict)],
  ],
);

const LIST_METHODS: ReadonlyMap<string, (list: readonly Value[], wanted: Value) => Value> = new Map([
  [
    'count',
    (list: readonly Value[], wanted: Value): Value => list.filter((other) => equals(other, wanted)).length,
  ],
  [
    'index',
    (list: readonly Value[], wanted: Value): Value => {
      const at = list.findIndex((other) => equals(other, wanted));
      if (at < 0) throw new TemplateError('the list has no such item');
      return at;
    },
  ],
]);

function loopOf(all: readonly Value[], i: number, depth: number): Namespace {
  return new Namespace(
    new Map<string, Value>([
      ['index', i + 1],
      ['index0', i],
      ['revindex', all.length - i],
      ['revindex0', all.length - i - 1],
      ['first', i === 0],
      ['last', i === all.length - 1],
      ['length', all.length],
      ['previtem', i > 0 ? (all[i - 1] as Value) : new Undefined('previtem')],
      ['nextitem', i + 1 < all.length ? (all[i + 1] as Value) : new Undefined('nextitem')],
      ['depth', depth],
      ['depth0', depth - 1],
      ['cycle', (args) => orMissing(args[i % args.length], 'cycle')],
    ]),
  );
}
