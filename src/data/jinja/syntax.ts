// The text of a chat template → its syntax tree, by the parser of @huggingface/jinja, with what that parser leaves open decided here.
// Not here: evaluating it (render.ts).

import { parse as parseTokens, tokenize } from '@huggingface/jinja';
import { TemplateError } from './values';

export interface Identifier {
  type: 'Identifier';
  value: string;
}

export interface Call {
  type: 'CallExpression';
  callee: Expression;
  args: Expression[];
}

export interface Slice {
  type: 'SliceExpression';
  start?: Expression;
  stop?: Expression;
  step?: Expression;
}

export interface Keyword {
  type: 'KeywordArgumentExpression';
  key: Identifier;
  value: Expression;
}

/** As the parser makes them; @huggingface/jinja 0.5.11 does not export their types. */
export type Expression =
  | Identifier
  | Call
  | Slice
  | Keyword
  | { type: 'IntegerLiteral' | 'FloatLiteral'; value: number }
  | { type: 'StringLiteral'; value: string }
  | { type: 'ArrayLiteral' | 'TupleLiteral'; value: Expression[] }
  | { type: 'ObjectLiteral'; value: Map<Expression, Expression> }
  | { type: 'MemberExpression'; object: Expression; property: Expression; computed: boolean }
  | { type: 'BinaryExpression'; operator: { value: string }; left: Expression; right: Expression }
  | { type: 'UnaryExpression'; operator: { value: string }; argument: Expression }
  | { type: 'FilterExpression'; operand: Expression; filter: Identifier | Call }
  | { type: 'TestExpression'; operand: Expression; negate: boolean; test: Identifier }
  /** `a if b` without an else; after `for x in`, a condition on the items. */
  | { type: 'SelectExpression'; lhs: Expression; test: Expression }
  | { type: 'Ternary'; condition: Expression; trueExpr: Expression; falseExpr: Expression }
  | { type: 'SpreadExpression' | 'KeywordSpreadExpression'; argument: Expression };

export type Parameter = Identifier | Keyword;

export interface For {
  type: 'For';
  loopvar: Expression;
  iterable: Expression;
  body: Statement[];
  defaultBlock: Statement[];
}

export interface SetStatement {
  type: 'Set';
  assignee: Expression;
  value: Expression | null;
  body: Statement[];
}

export interface Macro {
  type: 'Macro';
  name: Identifier;
  args: Parameter[];
  body: Statement[];
}

export interface CallStatement {
  type: 'CallStatement';
  call: Call;
  callerArgs: Parameter[] | null;
  body: Statement[];
}

export type Statement =
  | Expression
  | For
  | SetStatement
  | Macro
  | CallStatement
  | { type: 'If'; test: Expression; body: Statement[]; alternate: Statement[] }
  | { type: 'FilterStatement'; filter: Identifier | Call; body: Statement[] }
  | { type: 'Break' | 'Continue' }
  | { type: 'Comment'; value: string };

/** What `{% generation %}` is read as: a call block, which is what transformers makes of it. */
export const GENERATION = 'generation';

/** The longest template of the models in use has some 20,000 characters. */
const LONGEST = 300_000;
/** The parser's time grows with the square of a run of white space. */
const LONGEST_SPACE = 5_000;

/** @throws TemplateError where it is no template, or too long to be one */
export function parse(source: string): Statement[] {
  if (source.length > LONGEST) {
    throw new TemplateError(
      `it has ${source.length.toLocaleString('en')} characters, and ${LONGEST.toLocaleString('en')} is the limit`,
    );
  }
  // Jinja reads every kind of line end as \n.
  const template = source.replace(/\r\n?/g, '\n');
  if (new RegExp(`\\s{${LONGEST_SPACE}}`).test(template)) {
    throw new TemplateError(`it has more than ${LONGEST_SPACE.toLocaleString('en')} spaces in a row`);
  }
  const withCalls = template
    .replace(/\{%(-?)\s*generation\s*(-?)%\}/g, `{%$1 call ${GENERATION}() $2%}`)
    .replace(/\{%(-?)\s*endgeneration\s*(-?)%\}/g, '{%$1 endcall $2%}');
  let body: Statement[];
  try {
    const tokens = tokenize(withCalls, { lstrip_blocks: true, trim_blocks: true });
    checkComparisons(tokens);
    const program = parseTokens(tokens);
    body = program.body as unknown as Statement[];
  } catch (cause) {
    throw cause instanceof TemplateError ? cause : new TemplateError(reasonOf(cause), { cause });
  }
  checkBlocks(body, false);
  return body;
}

/** The parser stumbles over a template that ends too early, and says so in JavaScript's words. */
function reasonOf(cause: unknown): string {
  if (cause instanceof RangeError) return 'its parts lie too deep inside each other';
  if (cause instanceof TypeError) return 'it ends in the middle of a tag or block';
  return cause instanceof Error ? cause.message : String(cause);
}

/** `break` and `continue` belong inside a loop, and not inside a macro or call block in it: Jinja refuses the rest. */
function checkBlocks(body: readonly Statement[], inLoop: boolean): void {
  for (const node of body) {
    switch (node.type) {
      case 'Break':
      case 'Continue':
        if (!inLoop) throw new TemplateError(`“${node.type.toLowerCase()}” stands outside a loop`);
        break;
      case 'If':
        checkBlocks(node.body, inLoop);
        checkBlocks(node.alternate, inLoop);
        break;
      case 'For':
        checkBlocks(node.body, true);
        checkBlocks(node.defaultBlock, inLoop);
        break;
      case 'Set':
      case 'FilterStatement':
        checkBlocks(node.body, inLoop);
        break;
      case 'Macro':
      case 'CallStatement':
        checkBlocks(node.body, false);
        break;
      default:
    }
  }
}

type Tokens = readonly { type: string; value: string }[];

const OPENS = new Set([
  'OpenParen',
  'OpenSquareBracket',
  'OpenCurlyBracket',
  'OpenExpression',
  'OpenStatement',
]);
const CLOSES = new Set([
  'CloseParen',
  'CloseSquareBracket',
  'CloseCurlyBracket',
  'CloseExpression',
  'CloseStatement',
]);
const SEPARATES = new Set(['Comma', 'Colon', 'Equals']);

/** `1 < x < 3` is one comparison in Python and `(1 < x) < 3` two. The parser makes the same of both, so the first is not read. */
function checkComparisons(tokens: Tokens): void {
  // For each open bracket: whether a comparison has begun in it.
  const compared: boolean[] = [false];
  for (const { type, value } of tokens) {
    const word = type === 'Identifier' ? value : '';
    if (OPENS.has(type)) compared.push(false);
    else if (CLOSES.has(type)) compared.pop();
    else if (SEPARATES.has(type) || ['and', 'or', 'if', 'else', 'for'].includes(word))
      compared[compared.length - 1] = false;
    else if (type === 'ComparisonBinaryOperator' || word === 'in') {
      if (compared.at(-1))
        throw new TemplateError('it compares three values in a row, which is not read here');
      compared[compared.length - 1] = true;
    }
  }
}
