import { overBudget } from './budget.ts';
import { checkCall, checkMethod } from './check-calls.ts';
import { checkIn, checkIndex, checkList } from './check-lists.ts';
import { checkArithmetic, checkConditional, checkEqual, checkLogic, checkNegation, checkOrder } from './check-operators.ts';
import { MAX_EXPONENT, toDecimal } from './decimal.ts';
import { describe } from './reads.ts';
import { checkCondition, fail, rootRecord, type Scope } from './scope.ts';
import { parseSource, type Span } from './source.ts';
import { didYouMean } from './suggest.ts';
import { isRecordExpr, type Expr, type RecordExpr } from './tree.ts';
import { typeName, valueType } from './type-rules.ts';
import type { ExprObject, ExprSchema, ExprType, TypedExpression } from './types.ts';
import type { ASTNode } from '@marcbachmann/cel-js';

export interface CheckOptions {
  /** Object whose record the names mean; null when there is none. */
  readonly object: string | null;
  /** Further names: `user`, `subject`, `old`, `mail` ... They win over fields of the same name (`this.name` is the field). */
  readonly variables?: Readonly<Record<string, ExprType>>;
}

/** Checks CEL text against a schema. Throws invalid_expression with line, column and what to do; never writes. */
export function checkExpression(text: string, schema: ExprSchema, options: CheckOptions): TypedExpression {
  if (options.object !== null && schema.object(options.object) === undefined) throw new RangeError(`There is no object ${options.object} in the schema`);
  const scope: Scope = { text, schema, object: options.object, variables: options.variables ?? {}, items: new Map(), check };
  const tree = check(scope, parseSource(text));
  if (tree.kind === 'struct') fail(scope, tree, { code: 'type', detail: 'A set of values in braces can only be given to policy(...).' });
  const excess = overBudget(tree);
  if (excess !== null) fail(scope, excess.node, excess.problem);
  return { text, object: options.object ?? undefined, type: valueType(tree.type), tree, ...describe(tree, schema) };
}

/** Checks one parsed node. */
function check(scope: Scope, node: ASTNode): Expr {
  const span = { start: node.start, end: node.end };
  switch (node.op) {
    case 'value':
      return checkLiteral(scope, node.args, span);
    case 'id':
      return checkName(scope, node.args, span);
    case '.':
      return checkMember(scope, check(scope, node.args[0]), node.args[1], span);
    case 'call':
      return checkCall(scope, node.args[0], node.args[1], span);
    case 'rcall':
      return checkMethod(scope, node.args[1], node.args[0], node.args[2], span);
    case 'list':
      return checkList(
        scope,
        node.args.map((item) => check(scope, item)),
        span,
      );
    case 'map':
      return checkMap(scope, node.args, span);
    case '?:':
      return checkConditional(scope, node.args, span);
    case '&&':
    case '||':
      return checkLogic(scope, node.op === '&&' ? 'and' : 'or', node, span);
    case '!_':
      return { kind: 'not', type: { kind: 'boolean' }, operand: checkCondition(scope, node.args, "'!'"), ...span };
    case '-_':
      return checkNegation(scope, check(scope, node.args), span);
    case '==':
    case '!=':
      return checkEqual(scope, node.op === '!=', check(scope, node.args[0]), check(scope, node.args[1]), span);
    case '<':
    case '<=':
    case '>':
    case '>=':
      return checkOrder(scope, node.op, check(scope, node.args[0]), check(scope, node.args[1]), span);
    case 'in':
      return checkIn(scope, check(scope, node.args[0]), check(scope, node.args[1]), span);
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return checkArithmetic(scope, node.op, check(scope, node.args[0]), check(scope, node.args[1]), span);
    case '[]':
      return checkIndex(scope, check(scope, node.args[0]), check(scope, node.args[1]), span);
    default:
      return fail(scope, span, { code: 'unsupported', detail: `'${node.op}' is not part of the language.` });
  }
}

function checkLiteral(scope: Scope, value: unknown, span: Span): Expr {
  if (value === null) return { kind: 'literal', type: { kind: 'null' }, value: null, ...span };
  if (typeof value === 'boolean') return { kind: 'literal', type: { kind: 'boolean' }, value, ...span };
  if (typeof value === 'string') {
    if (value.includes('\0') || new RegExp('\\p{Surrogate}', 'u').test(value))
      fail(scope, span, { code: 'text', detail: 'The text holds a character that no text here can hold (NUL or half a surrogate pair).' });
    return { kind: 'literal', type: { kind: 'text' }, value, ...span };
  }
  if (value instanceof Uint8Array)
    fail(scope, span, { code: 'unsupported', detail: 'Bytes are not part of the language.', fix: "Write text without a letter before the quote: 'a'." });
  const number = typeof value === 'bigint' ? toDecimal(value) : typeof value === 'number' ? toDecimal(scope.text.slice(span.start, span.end)) : null;
  if (number === null || (typeof number !== 'number' && (number.e >= MAX_EXPONENT || number.c.length - 1 - number.e > 30))) {
    return fail(scope, span, {
      code: 'number',
      detail: `'${scope.text.slice(span.start, span.end)}' is not a number that can be used here.`,
      fix: 'Numbers have up to 34 digits and 30 decimal places.',
    });
  }
  return { kind: 'literal', type: { kind: 'number' }, value: number, ...span };
}

/** Names that could have been meant at this place. */
function knownNames(scope: Scope): readonly string[] {
  const fields = scope.object === null ? [] : [...(scope.schema.object(scope.object)?.fields.keys() ?? [])];
  return [...scope.items.keys(), ...Object.keys(scope.variables), ...fields];
}

function checkName(scope: Scope, name: string, span: Span): Expr {
  const item = scope.items.get(name);
  if (item !== undefined) return { ...item, ...span };
  if (name === 'this' && scope.object === null) return fail(scope, span, { code: 'unknown_name', detail: "There is no record here that 'this' could mean." });
  const type = Object.hasOwn(scope.variables, name) ? scope.variables[name] : undefined;
  const root = rootRecord(scope, span);
  if (type !== undefined) {
    if (type.kind !== 'record') return { kind: 'variable', type, name, ...span };
    if (name === 'this' && root?.object === type.object) return root;
    return { kind: 'recordVariable', type, object: type.object, name, ...span };
  }
  if (name === 'this' && root !== null) return root;
  const field = root === null ? null : checkField(scope, root, name, span);
  if (field !== null) return field;
  const where = scope.object === null ? 'here' : `in ${scope.object}`;
  const isFunction = scope.schema.functions.has(name);
  return fail(scope, span, {
    code: 'unknown_name',
    detail: `There is no '${name}' ${where}.`,
    fix: isFunction ? `Write ${name}(...) to call the function.` : didYouMean(name, knownNames(scope)),
  });
}

/** A field of a record, or null when the object has none of that name. To-many paths are refused as values. */
function checkField(scope: Scope, of: RecordExpr, name: string, span: Span): Expr | null {
  const field = scope.schema.object(of.object)?.fields.get(name);
  if (field === undefined) return null;
  switch (field.kind) {
    case 'value':
      return {
        kind: 'field',
        type: field.type,
        of,
        object: of.object,
        name,
        column: field.column,
        sortColumn: field.sortColumn ?? null,
        ordered: field.ordered === true,
        ...span,
      };
    case 'formula':
      return { kind: 'formula', type: field.type, of, object: of.object, name, expression: field.tree, ...span };
    case 'one':
      return { kind: 'follow', type: { kind: 'record', object: field.object }, of, object: field.object, field: name, column: field.column, ...span };
    case 'many':
      return fail(scope, span, {
        code: 'to_many',
        detail: `'${name}' leads to many ${field.object} records.`,
        fix: `Ask about them: ${name}.exists(x, ...), ${name}.count(x, ...), ${name}.sum(x, ...).`,
      });
  }
}

function checkMember(scope: Scope, of: Expr, name: string, span: Span): Expr {
  const place = { start: span.end - name.length, end: span.end };
  if (isRecordExpr(of)) {
    const found = checkField(scope, of, name, span);
    if (found !== null) return found;
    const object: ExprObject | undefined = scope.schema.object(of.object);
    return fail(scope, place, { code: 'unknown_name', detail: `${of.object} has no '${name}'.`, fix: didYouMean(name, object?.fields.keys() ?? []) });
  }
  if (of.type.kind === 'struct') {
    const type = Object.hasOwn(of.type.members, name) ? of.type.members[name] : undefined;
    if (type !== undefined) return { kind: 'member', type, of, name, ...span };
    return fail(scope, place, { code: 'unknown_name', detail: `There is no '${name}' in it.`, fix: didYouMean(name, Object.keys(of.type.members)) });
  }
  return fail(scope, place, { code: 'type', detail: `A ${typeName(of.type)} has no parts, so '.${name}' cannot follow it.` });
}

function checkMap(scope: Scope, entries: readonly (readonly [ASTNode, ASTNode])[], span: Span): Expr {
  const checked = entries.map(([key, value]) => {
    const name =
      key.op === 'value' && typeof key.args === 'string'
        ? key.args
        : key.op === 'id'
          ? key.args
          : fail(scope, key, { code: 'type', detail: 'A name is expected before the colon.' });
    return { name, value: check(scope, value) };
  });
  return {
    kind: 'struct',
    type: { kind: 'struct', members: Object.fromEntries(checked.map((entry) => [entry.name, valueType(entry.value.type)])) },
    entries: checked,
    ...span,
  };
}
