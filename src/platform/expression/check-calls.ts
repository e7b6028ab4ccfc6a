import { checkAggregate, manyPath } from './check-relations.ts';
import { callEntry, requireFunction } from './check-functions.ts';
import { LIST_OPERATORS, checkEach, checkIn, listOperator } from './check-lists.ts';
import { fail, type Scope } from './scope.ts';
import type { Span } from './source.ts';
import { didYouMean } from './suggest.ts';
import { isRecordExpr, type Expr } from './tree.ts';
import { fits, mixHint, retype, settleList, typeName, unify, valueType } from './type-rules.ts';
import type { ExprType } from './types.ts';
import type { ASTNode } from '@marcbachmann/cel-js';

/** A call `f(a, b)`. */
export function checkCall(scope: Scope, name: string, args: readonly ASTNode[], span: Span): Expr {
  switch (name) {
    case 'coalesce':
      return checkCoalesce(scope, args, span);
    case 'has':
    case 'isNull': {
      const [operand, ...more] = args;
      if (operand === undefined || more.length > 0) return fail(scope, span, { code: 'arguments', detail: `${name}(...) takes one value.` });
      return { kind: 'isNull', type: { kind: 'boolean' }, negated: name === 'has', operand: scope.check(scope, operand), ...span };
    }
    case 'policy':
      return checkPolicy(scope, args, span);
    case 'size': {
      const [only] = args;
      const many = only === undefined || args.length !== 1 ? null : manyPath(scope, only);
      return many === null ? callEntry(scope, name, checkAll(scope, args), span) : checkAggregate(scope, many, 'count', [], span, span);
    }
    default:
      requireFunction(scope, name, [], span);
      return checkPlain(scope, name, checkAll(scope, args), span);
  }
}

/** A call `a.f(b)`: something asked of a to-many path or a list, or a function with `a` as its first argument. */
export function checkMethod(scope: Scope, receiver: ASTNode, name: string, args: readonly ASTNode[], span: Span): Expr {
  const at = scope.text.indexOf(name, receiver.end);
  const place = at < 0 ? span : { start: at, end: at + name.length };
  const many = manyPath(scope, receiver);
  if (many !== null) return checkAggregate(scope, many, name, args, span, place);
  const first = scope.check(scope, receiver);
  const operator = listOperator(name);
  if (operator === null) {
    requireFunction(scope, name, first.type.kind === 'list' ? LIST_OPERATORS : [], place);
    return checkPlain(scope, name, [first, ...checkAll(scope, args)], span);
  }
  if (first.type.kind === 'list') return checkEach(scope, first, operator, args, span);
  return fail(scope, first, {
    code: 'type',
    detail: `${name}(...) asks related records or the elements of a list, and this is a ${typeName(first.type)}.`,
    fix: first.type.kind === 'text' ? "Use split(text, ',') to make a list of a text." : undefined,
  });
}

/** A function of the table; `contains(list, x)` is `x in list`. */
function checkPlain(scope: Scope, name: string, args: readonly Expr[], span: Span): Expr {
  const [list, needle, ...more] = args;
  if (name === 'contains' && list?.type.kind === 'list' && needle !== undefined && more.length === 0) return checkIn(scope, needle, settleList(list), span);
  return callEntry(scope, name, args, span);
}

function checkAll(scope: Scope, args: readonly ASTNode[]): readonly Expr[] {
  return args.map((arg) => scope.check(scope, arg));
}

function checkCoalesce(scope: Scope, args: readonly ASTNode[], span: Span): Expr {
  const items = checkAll(scope, args);
  if (items.length === 0) return fail(scope, span, { code: 'arguments', detail: 'coalesce(...) takes at least one value.' });
  let type: ExprType = { kind: 'null' };
  for (const item of items) {
    const next = unify(type, item.type);
    if (next === null)
      return fail(scope, item, {
        code: 'type',
        detail: `The values of coalesce(...) must be of one kind; these are ${typeName(type)} and ${typeName(item.type)}.`,
        fix: mixHint(type, item.type),
      });
    type = next;
  }
  const common = type;
  return { kind: 'coalesce', type: common, items: items.map((item) => retype(item, common)), ...span };
}

function checkPolicy(scope: Scope, args: readonly ASTNode[], span: Span): Expr {
  const [nameNode, inputNode, asOfNode, ...more] = args;
  if (nameNode === undefined || inputNode === undefined || more.length > 0)
    return fail(scope, span, {
      code: 'arguments',
      detail: "policy(...) takes a name, its input and, if not today, a day: policy('visit-cadence', this, today()).",
    });
  const name =
    nameNode.op === 'value' && typeof nameNode.args === 'string'
      ? nameNode.args
      : fail(scope, nameNode, { code: 'arguments', detail: 'The policy is named by a literal text.' });
  const policy = scope.schema.policy(name);
  if (policy === undefined)
    return fail(scope, nameNode, {
      code: 'unknown_policy',
      detail: `There is no policy '${name}'.`,
      fix: didYouMean(name, scope.schema.policyNames ?? []) ?? 'See metadata/policies.',
    });
  const input = scope.check(scope, inputNode);
  if (policy.object !== undefined) {
    if (!isRecordExpr(input) || input.object !== policy.object)
      return fail(scope, input, {
        code: 'type',
        detail: `The policy '${name}' is asked with a ${policy.object} record, and this is a ${typeName(input.type)}.`,
        fix: 'Give it the record: this, or a reference.',
      });
  } else checkPolicyKeys(scope, name, policy.keys ?? {}, input);
  const asOf = asOfNode === undefined ? null : retype(scope.check(scope, asOfNode), { kind: 'date' });
  if (asOf !== null && asOf.type.kind !== 'date')
    return fail(scope, asOf, {
      code: 'type',
      detail: `The policy is asked as of a day, and this is a ${typeName(asOf.type)}.`,
      fix: mixHint(asOf.type, { kind: 'date' }),
    });
  return { kind: 'policy', type: { kind: 'struct', members: policy.results }, name, input, asOf, ...span };
}

function checkPolicyKeys(scope: Scope, name: string, keys: Readonly<Record<string, ExprType>>, input: Expr): void {
  if (input.kind !== 'struct')
    return fail(scope, input, {
      code: 'type',
      detail: `The policy '${name}' is asked with values: {${Object.keys(keys)
        .map((key) => `'${key}': ...`)
        .join(', ')}}.`,
    });
  for (const entry of input.entries) {
    const wanted = Object.hasOwn(keys, entry.name) ? keys[entry.name] : undefined;
    if (wanted === undefined)
      fail(scope, entry.value, {
        code: 'unknown_name',
        detail: `The policy '${name}' has no key '${entry.name}'.`,
        fix: didYouMean(entry.name, Object.keys(keys)),
      });
    else if (!fits(entry.value.type, valueType(wanted).kind))
      fail(scope, entry.value, {
        code: 'type',
        detail: `The key '${entry.name}' is a ${typeName(wanted)}, and this is a ${typeName(entry.value.type)}.`,
        fix: mixHint(wanted, entry.value.type),
      });
  }
  const missing = Object.keys(keys).find((key) => !input.entries.some((entry) => entry.name === key));
  if (missing !== undefined) fail(scope, input, { code: 'arguments', detail: `The policy '${name}' also needs '${missing}'.` });
}
