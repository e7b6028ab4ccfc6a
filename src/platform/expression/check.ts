import type { ASTNode } from '@marcbachmann/cel-js';
import { isUuid } from '../ids.ts';
import { checkCall, checkMethod } from './check-calls.ts';
import { costOf, describe } from './reads.ts';
import { MAX_EXPONENT, negate, toDecimal } from './decimal.ts';
import { checkCondition, fail, rootRecord, type Scope } from './scope.ts';
import { parseSource, type Span } from './source.ts';
import { didYouMean } from './suggest.ts';
import { isRecordExpr, type Expr, type RecordExpr } from './tree.ts';
import { areComparable, mixHint, retype, typeName, unify, valueType } from './type-rules.ts';
import type { ExprObject, ExprSchema, ExprType, TypedExpression } from './types.ts';

/** Formulas included, no expression grows beyond this many nodes. */
const MAX_COST = 6000;

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
  if (costOf(tree) > MAX_COST)
    fail(scope, tree, { code: 'too_large', detail: 'With its formulas the expression is too large.', fix: 'Use fewer formulas inside formulas.' });
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
      return checkArithmetic(scope, node.op, check(scope, node.args[0]), check(scope, node.args[1]), span);
    default:
      return fail(scope, span, {
        code: 'unsupported',
        detail: `'${node.op}' is not part of the language.`,
        fix: node.op === '%' ? 'Use a - floor(a / b) * b.' : undefined,
      });
  }
}

function checkLiteral(scope: Scope, value: unknown, span: Span): Expr {
  if (value === null) return { kind: 'literal', type: { kind: 'null' }, value: null, ...span };
  if (typeof value === 'boolean') return { kind: 'literal', type: { kind: 'boolean' }, value, ...span };
  if (typeof value === 'string') {
    if (value.includes('\u0000') || /\p{Surrogate}/u.test(value))
      fail(scope, span, { code: 'text', detail: 'The text holds a character that no text here can hold (NUL or half a surrogate pair).' });
    return { kind: 'literal', type: { kind: 'text' }, value, ...span };
  }
  // The digits as written, for a double would have rounded them.
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
      return { kind: 'field', type: field.type, of, object: of.object, name, column: field.column, sortColumn: field.sortColumn ?? null, ...span };
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
  if (isRecordExpr(of)) {
    const found = checkField(scope, of, name, span);
    if (found !== null) return found;
    const object: ExprObject | undefined = scope.schema.object(of.object);
    return fail(scope, span, { code: 'unknown_name', detail: `${of.object} has no '${name}'.`, fix: didYouMean(name, object?.fields.keys() ?? []) });
  }
  if (of.type.kind === 'struct') {
    const type = Object.hasOwn(of.type.members, name) ? of.type.members[name] : undefined;
    if (type !== undefined) return { kind: 'member', type, of, name, ...span };
    return fail(scope, span, { code: 'unknown_name', detail: `There is no '${name}' in it.`, fix: didYouMean(name, Object.keys(of.type.members)) });
  }
  return fail(scope, span, { code: 'type', detail: `A ${typeName(of.type)} has no parts, so '.${name}' cannot follow it.` });
}

function checkList(scope: Scope, given: readonly Expr[], span: Span): Expr {
  const id = given.find((item) => valueType(item.type).kind === 'uuid');
  const items = id === undefined ? given : given.map((item) => checkIdLiteral(scope, id.type, item));
  let of: ExprType = { kind: 'null' };
  for (const item of items) {
    const next = unify(of, item.type);
    if (next === null || next.kind === 'list')
      return fail(scope, item, {
        code: 'type',
        detail: `A list holds values of one kind; this one mixes ${typeName(of)} and ${typeName(item.type)}.`,
        fix: mixHint(of, item.type),
      });
    of = next;
  }
  return { kind: 'list', type: { kind: 'list', of }, items: items.map((item) => retype(item, of)), ...span };
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

function checkConditional(scope: Scope, args: readonly [ASTNode, ASTNode, ASTNode], span: Span): Expr {
  const condition = checkCondition(scope, args[0], "'?'");
  const [then, otherwise] = [check(scope, args[1]), check(scope, args[2])];
  const type = unify(then.type, otherwise.type);
  if (type === null)
    return fail(scope, otherwise, {
      code: 'type',
      detail: `Both sides of ':' must be of one kind; these are ${typeName(then.type)} and ${typeName(otherwise.type)}.`,
      fix: mixHint(then.type, otherwise.type),
    });
  return { kind: 'conditional', type, condition, then: retype(then, type), otherwise: retype(otherwise, type), ...span };
}

function checkLogic(scope: Scope, operator: 'and' | 'or', node: ASTNode, span: Span): Expr {
  const items: Expr[] = [];
  const symbol = operator === 'and' ? '&&' : '||';
  let rest = node;
  while ((rest.op === '&&' || rest.op === '||') && rest.op === symbol) {
    items.unshift(checkCondition(scope, rest.args[1], `'${symbol}'`));
    rest = rest.args[0];
  }
  items.unshift(checkCondition(scope, rest, `'${symbol}'`));
  return { kind: 'logic', type: { kind: 'boolean' }, operator, items, ...span };
}

function checkNegation(scope: Scope, operand: Expr, span: Span): Expr {
  if (operand.type.kind !== 'number') return fail(scope, operand, { code: 'type', detail: `'-' takes a number, and this is a ${typeName(operand.type)}.` });
  if (operand.kind === 'literal') {
    const value = toDecimal(operand.value);
    return { ...operand, value: value === null ? null : negate(value), ...span };
  }
  return { kind: 'negate', type: { kind: 'number' }, operand, ...span };
}

/** An id written as text must be one, or no row could ever match. */
function checkIdLiteral(scope: Scope, type: ExprType, literal: Expr): Expr {
  if (valueType(type).kind !== 'uuid' || literal.kind !== 'literal' || typeof literal.value !== 'string') return literal;
  const value = literal.value.toLowerCase();
  if (!isUuid(value))
    return fail(scope, literal, {
      code: 'type',
      detail: `'${literal.value}' is not a record id.`,
      fix: 'Compare a reference with an id (UUID), or follow it: reference.field.',
    });
  return { ...literal, type: { kind: 'uuid' }, value };
}

function checkEqual(scope: Scope, negated: boolean, first: Expr, second: Expr, span: Span): Expr {
  if (first.type.kind === 'null') return { kind: 'isNull', type: { kind: 'boolean' }, negated, operand: second, ...span };
  if (second.type.kind === 'null') return { kind: 'isNull', type: { kind: 'boolean' }, negated, operand: first, ...span };
  const operator = negated ? '!=' : '==';
  if (!areComparable(first.type, second.type)) {
    return fail(scope, span, {
      code: 'type',
      detail: `'${operator}' cannot compare ${typeName(first.type)} with ${typeName(second.type)}.`,
      fix: mixHint(first.type, second.type),
    });
  }
  const [left, right] = [retype(checkIdLiteral(scope, second.type, first), second.type), retype(checkIdLiteral(scope, first.type, second), first.type)];
  return { kind: 'equal', type: { kind: 'boolean' }, negated, left, right, ...span };
}

const ORDERED: readonly ExprType['kind'][] = ['number', 'date', 'instant', 'text'];

function checkOrder(scope: Scope, operator: '<' | '<=' | '>' | '>=', left: Expr, right: Expr, span: Span): Expr {
  const kind = left.type.kind === 'null' ? right.type.kind : left.type.kind;
  const same = left.type.kind === right.type.kind || left.type.kind === 'null' || right.type.kind === 'null';
  if (!same || (kind !== 'null' && !ORDERED.includes(kind))) {
    return fail(scope, span, {
      code: 'type',
      detail: `'${operator}' cannot compare ${typeName(left.type)} with ${typeName(right.type)}.`,
      fix: mixHint(left.type, right.type),
    });
  }
  if (left.type.kind === 'null' || right.type.kind === 'null') return { kind: 'literal', type: { kind: 'boolean' }, value: false, ...span };
  if (kind === 'text') for (const side of [left, right]) checkSortable(scope, side, operator);
  return { kind: 'order', type: { kind: 'boolean' }, operator, bySortKey: kind === 'text', left, right, ...span };
}

function checkSortable(scope: Scope, side: Expr, operator: string): void {
  if (side.kind === 'literal' || (side.kind === 'field' && side.sortColumn !== null)) return;
  fail(scope, side, {
    code: 'type',
    detail: `'${operator}' on text works only between sortable fields and literal text.`,
    fix: 'Use ==, startsWith(...) or a field that can be sorted.',
  });
}

function checkIn(scope: Scope, needle: Expr, list: Expr, span: Span): Expr {
  if (list.type.kind !== 'list')
    return fail(scope, list, {
      code: 'type',
      detail: `After 'in' comes a list, and this is a ${typeName(list.type)}.`,
      fix: list.type.kind === 'text' ? 'Use contains(...) to look inside a text.' : "Write it as ['a', 'b'].",
    });
  if (needle.type.kind === 'null' || (list.kind === 'list' && list.type.of.kind === 'null'))
    return { kind: 'literal', type: { kind: 'boolean' }, value: false, ...span };
  const of = list.type.of;
  if (!areComparable(needle.type, of) || needle.type.kind === 'list') {
    return fail(scope, span, {
      code: 'type',
      detail: `'in' cannot look for ${typeName(needle.type)} in a ${typeName(list.type)}.`,
      fix: mixHint(needle.type, of),
    });
  }
  if (list.kind !== 'list') return { kind: 'in', type: { kind: 'boolean' }, needle: checkIdLiteral(scope, of, needle), list, ...span };
  const items = list.items.map((item) => checkIdLiteral(scope, needle.type, item));
  const isIds = valueType(needle.type).kind === 'uuid' && items.every((item) => valueType(item.type).kind === 'uuid');
  const checked: Expr = { ...list, items, type: isIds ? { kind: 'list', of: { kind: 'uuid' } } : list.type };
  return { kind: 'in', type: { kind: 'boolean' }, needle: checkIdLiteral(scope, of, needle), list: checked, ...span };
}

function checkArithmetic(scope: Scope, operator: '+' | '-' | '*' | '/', first: Expr, second: Expr, span: Span): Expr {
  const kinds = [first.type.kind, second.type.kind];
  const isText = operator === '+' && kinds.includes('text') && kinds.every((kind) => kind === 'text' || kind === 'null');
  const wanted: ExprType = { kind: isText ? 'text' : 'number' };
  const [left, right] = [retype(first, wanted), retype(second, wanted)];
  if (left.type.kind === wanted.kind && right.type.kind === wanted.kind) {
    return isText ? { kind: 'concat', type: wanted, left, right, ...span } : { kind: 'arithmetic', type: wanted, operator, left, right, ...span };
  }
  const hasDate = kinds.includes('date') || kinds.includes('instant');
  const fix = hasDate ? "Use addDays(day, n), addDuration(day, 'P3M') or days(from, to)." : mixHint(first.type, second.type);
  return fail(scope, span, { code: 'type', detail: `'${operator}' cannot be used with ${typeName(first.type)} and ${typeName(second.type)}.`, fix });
}
