// Arithmetic of a chat template: Python's `+ - * / // % **` and signs, of numbers, texts and lists.
// Not here: comparing (values.ts), evaluating (render.ts).

import type { Budget } from './budget';
import {
  Float,
  isList,
  numeric,
  TemplateError,
  Tuple,
  truth,
  typeName,
  Undefined,
  type Value,
} from './values';

/** `left operator right` for all operators that compute. @throws TemplateError */
export function arithmetic(operator: string, left: Value, right: Value, budget: Budget): Value {
  const a = numeric(left);
  const b = numeric(right);
  if (a !== null && b !== null)
    return calculated(operator, a, b, left instanceof Float || right instanceof Float);
  if (operator === '+') {
    if (typeof left === 'string' && typeof right === 'string') {
      budget.make(Math.min(left.length, right.length));
      return checked(left + right, budget);
    }
    if (isList(left) && isList(right)) {
      budget.make(left.length + right.length);
      return [...left, ...right];
    }
    if (left instanceof Tuple && right instanceof Tuple) return new Tuple([...left.items, ...right.items]);
  }
  if (operator === '*') {
    const times = Math.max(0, b ?? a ?? 0);
    const repeated = a === null ? left : right;
    if (typeof repeated === 'string' && Number.isInteger(times)) {
      budget.make(repeated.length * times);
      return repeated.repeat(times);
    }
    if (isList(repeated) && Number.isInteger(times)) {
      budget.make(repeated.length * times);
      return Array.from({ length: times }, () => repeated).flat();
    }
  }
  for (const side of [left, right]) {
    if (side instanceof Undefined) throw new TemplateError(`“${side.name}” is undefined`);
  }
  throw new TemplateError(`“${operator}” between ${typeName(left)} and ${typeName(right)} is not possible`);
}

function checked(made: string, budget: Budget): string {
  // Joining two long texts costs nothing until somebody reads the whole.
  if (made.length > 1_000_000) budget.make(made.length);
  return made;
}

/** A sign, or `not`. @throws TemplateError */
export function unary(operator: string, value: Value): Value {
  if (operator === 'not') return !truth(value);
  const number = numeric(value);
  if (number === null) throw new TemplateError(`“${operator}” of ${typeName(value)} is not possible`);
  const signed = operator === '-' ? -number : number;
  return value instanceof Float ? new Float(signed) : signed;
}

/** Python's arithmetic of numbers. Whole numbers are exact or refused. */
function calculated(operator: string, a: number, b: number, float: boolean): Value {
  const made = (x: number) => {
    if (float) return new Float(x);
    if (!Number.isSafeInteger(x)) throw new TemplateError('a whole number becomes too large');
    return x;
  };
  if (b === 0 && ['/', '//', '%'].includes(operator)) throw new TemplateError('it divides by zero');
  switch (operator) {
    case '+':
      return made(a + b);
    case '-':
      return made(a - b);
    case '*':
      return made(a * b);
    case '/':
      return new Float(a / b);
    case '//':
      return made(Math.floor(a / b));
    case '%':
      return made(a - Math.floor(a / b) * b);
    case '**':
      return b < 0 ? new Float(a ** b) : made(a ** b);
    default:
      throw new TemplateError(`the operator “${operator}” is not known here`);
  }
}
