import type { ASTNode } from '@marcbachmann/cel-js';
import { checkAggregate, manyPath } from './check-relations.ts';
import { formatInstant, parseInstant } from './durations.ts';
import { overloadsOf } from './functions.ts';
import { fail, type Scope } from './scope.ts';
import type { Span } from './source.ts';
import { didYouMean } from './suggest.ts';
import { isRecordExpr, type Expr } from './tree.ts';
import { fits, mixHint, retype, simpleType, typeName, unify, valueType } from './type-rules.ts';
import type { ExprType, FunctionEntry } from './types.ts';

/** `date('2026-01-31')` and its like are how literals of these kinds are written. */
const LITERALS: readonly string[] = ['date', 'instant', 'duration'];

const SPECIAL = ['coalesce', 'has', 'isNull', 'policy'] as const;

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
      return many === null ? checkFunction(scope, name, checkAll(scope, args), span) : checkAggregate(scope, many, 'count', [], span);
    }
    default:
      return checkFunction(scope, name, checkAll(scope, args), span);
  }
}

/** A call `a.f(b)`: something asked of a to-many path, or a function with `a` as its first argument. */
export function checkMethod(scope: Scope, receiver: ASTNode, name: string, args: readonly ASTNode[], span: Span): Expr {
  const many = manyPath(scope, receiver);
  if (many !== null) return checkAggregate(scope, many, name, args, span);
  const first = scope.check(scope, receiver);
  if ((name === 'exists' || name === 'all') && first.type.kind === 'list') {
    return fail(scope, span, { code: 'unsupported', detail: `${name}(...) asks about related records, and this is a list.`, fix: "Write 'value' in list." });
  }
  return checkFunction(scope, name, [first, ...checkAll(scope, args)], span);
}

function checkAll(scope: Scope, args: readonly ASTNode[]): readonly Expr[] {
  return args.map((arg) => scope.check(scope, arg));
}

function accepts(entry: FunctionEntry, args: readonly Expr[]): boolean {
  const least = entry.parameters.length - (entry.optional ?? 0);
  if (args.length < least || args.length > entry.parameters.length) return false;
  return args.every((arg, index) => fits(arg.type, entry.parameters[index] ?? 'null') && isListFor(entry, arg.type));
}

/** Of lists, `size` takes any; the other functions take lists of text. */
function isListFor(entry: FunctionEntry, type: ExprType): boolean {
  return type.kind !== 'list' || entry.name === 'size' || type.of.kind === 'text' || type.of.kind === 'null';
}

/** How a function is called, for messages. */
function signature(name: string, entry: FunctionEntry): string {
  const least = entry.parameters.length - (entry.optional ?? 0);
  const names = entry.parameters.map((kind, index) => (index < least ? '' : '?') + (kind === 'list' ? 'list' : typeName(simpleType(kind))));
  return `${name}(${names.join(', ')})`;
}

function checkFunction(scope: Scope, name: string, args: readonly Expr[], span: Span): Expr {
  const overloads = overloadsOf(scope.schema.functions, name);
  if (overloads.length === 0) {
    const known = [...scope.schema.functions.values()].map((entry) => entry.name);
    return fail(scope, span, { code: 'unknown_function', detail: `There is no function '${name}'.`, fix: didYouMean(name, [...known, ...SPECIAL]) });
  }
  const found = overloads.find(([, entry]) => accepts(entry, args));
  if (found === undefined) {
    const given = args.map((arg) => typeName(arg.type)).join(', ');
    const hint = overloads
      .flatMap(([, entry]) =>
        args.map((arg, index) =>
          fits(arg.type, entry.parameters[index] ?? 'null') ? undefined : mixHint(arg.type, simpleType(entry.parameters[index] ?? 'null')),
        ),
      )
      .find((text) => text !== undefined);
    return fail(scope, span, {
      code: 'arguments',
      detail: `${name} cannot be called with (${given}): it is ${overloads.map(([, entry]) => signature(name, entry)).join(' or ')}.`,
      fix: hint,
    });
  }
  const [key, entry] = found;
  const literals = args.map((arg) => (arg.kind === 'literal' ? arg.value : undefined));
  const wrong = entry.checkLiterals?.(literals) ?? null;
  if (wrong !== null) return fail(scope, span, { code: 'arguments', detail: wrong });
  if (entry.calendar !== undefined && args.length > entry.calendar) checkCalendar(scope, args[entry.calendar], span);
  const [first] = literals;
  if (LITERALS.includes(key) && typeof first === 'string') {
    const ms = key === 'instant' ? parseInstant(first) : null;
    return { kind: 'literal', type: entry.result, value: ms === null ? first : formatInstant(ms), ...span };
  }
  return { kind: 'call', type: entry.result, entry: key, args: args.map((arg, index) => retype(arg, simpleType(entry.parameters[index] ?? 'null'))), ...span };
}

function checkCalendar(scope: Scope, arg: Expr | undefined, span: Span): void {
  const name = arg?.kind === 'literal' && typeof arg.value === 'string' ? arg.value : null;
  if (name === null) return fail(scope, arg ?? span, { code: 'arguments', detail: 'The calendar is named by a literal text.' });
  if (!scope.schema.hasCalendar(name))
    fail(scope, arg ?? span, { code: 'unknown_calendar', detail: `There is no calendar '${name}'.`, fix: 'See metadata/calendars.' });
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
  if (policy === undefined) return fail(scope, nameNode, { code: 'unknown_policy', detail: `There is no policy '${name}'.`, fix: 'See metadata/policies.' });
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
