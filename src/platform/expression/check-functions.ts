import { formatInstant, parseInstant } from './durations.ts';
import { FORM_NAMES } from './forms.ts';
import { overloadsOf } from './functions.ts';
import { fail, type Scope } from './scope.ts';
import type { Span } from './source.ts';
import { didYouMean } from './suggest.ts';
import type { Expr } from './tree.ts';
import { fits, mixHint, retype, simpleType, typeName, unify, valueType } from './type-rules.ts';
import type { ExprType, FunctionEntry } from './types.ts';

/** `date('2026-01-31')` and its like are how literals of these kinds are written. */
const LITERALS: readonly string[] = ['date', 'instant', 'duration'];
const TEXTS: readonly ExprType['kind'][] = ['text'];

/** What the lists among the arguments hold, when that is one kind that the function takes; null when it is not. */
function elementType(entry: FunctionEntry, args: readonly Expr[]): ExprType | null {
  let of: ExprType = { kind: 'null' };
  for (const arg of args) {
    const next: ExprType | null = arg.type.kind === 'list' ? unify(of, arg.type.of) : of;
    if (next === null) return null;
    of = next;
  }
  return of.kind === 'null' || (entry.elements ?? TEXTS).includes(of.kind) ? of : null;
}

function accepts(entry: FunctionEntry, args: readonly Expr[]): boolean {
  const least = entry.parameters.length - (entry.optional ?? 0);
  if (args.length < least || args.length > entry.parameters.length) return false;
  return args.every((arg, index) => fits(arg.type, entry.parameters[index] ?? 'null')) && elementType(entry, args) !== null;
}

function listName(entry: FunctionEntry): string {
  const kinds = entry.elements ?? TEXTS;
  return kinds.length > 3 ? 'list' : `list of ${kinds.map((kind) => typeName(simpleType(kind))).join('/')}`;
}

/** How a function is called, for messages and the reference. */
export function signature(name: string, entry: FunctionEntry): string {
  const least = entry.parameters.length - (entry.optional ?? 0);
  const names = entry.parameters.map((kind, index) => (index < least ? '' : '?') + (kind === 'list' ? listName(entry) : typeName(simpleType(kind))));
  return `${name}(${names.join(', ')})`;
}

/** Throws when the table has no function of that name, suggesting one, or one of the `other` names that fit the place. */
export function requireFunction(scope: Scope, name: string, other: readonly string[], span: Span): void {
  if (overloadsOf(scope.schema.functions, name).length > 0) return;
  const known = new Set([...scope.schema.functions.values()].map((entry) => entry.name));
  fail(scope, span, { code: 'unknown_function', detail: `There is no function '${name}'.`, fix: didYouMean(name, [...known, ...FORM_NAMES, ...other]) });
}

/** A call of a function of the table with checked arguments. */
export function callEntry(scope: Scope, name: string, given: readonly Expr[], span: Span): Expr {
  const overloads = overloadsOf(scope.schema.functions, name);
  const found = overloads.find(([, entry2]) => accepts(entry2, given));
  if (found === undefined)
    return refuse(
      scope,
      name,
      overloads.map(([, entry2]) => entry2),
      given,
      span,
    );
  const [key, entry] = found;
  const of = elementType(entry, given);
  const elements: ExprType = of === null || of.kind === 'null' ? { kind: 'text' } : valueType(of);
  const args = given.map((arg, index) =>
    retype(arg, entry.parameters[index] === 'list' ? { kind: 'list', of: elements } : simpleType(entry.parameters[index] ?? 'null')),
  );
  const literals = args.map((arg) => (arg.kind === 'literal' ? arg.value : undefined));
  const wrong = entry.checkLiterals?.(literals) ?? null;
  if (wrong !== null) return fail(scope, span, { code: 'arguments', detail: wrong });
  if (entry.calendar !== undefined && args.length > entry.calendar) checkCalendar(scope, args[entry.calendar], span);
  const [first] = literals;
  if (LITERALS.includes(key) && typeof first === 'string') {
    const ms = key === 'instant' ? parseInstant(first) : null;
    return { kind: 'literal', type: entry.result, value: ms === null ? first : formatInstant(ms), ...span };
  }
  const type: ExprType = entry.gives === 'list' ? { kind: 'list', of: elements } : entry.gives === 'element' ? elements : entry.result;
  return { kind: 'call', type, entry: key, args, ...span };
}

function refuse(scope: Scope, name: string, overloads: readonly FunctionEntry[], args: readonly Expr[], span: Span): never {
  const given = args.map((arg) => typeName(arg.type)).join(', ');
  const misfits = overloads.flatMap((entry) =>
    args.flatMap((arg, index) => {
      const wanted = entry.parameters[index];
      return wanted === undefined || fits(arg.type, wanted) ? [] : [{ arg, wanted }];
    }),
  );
  const hint = misfits.map(({ arg, wanted }) => mixHint(arg.type, simpleType(wanted))).find((text) => text !== undefined);
  // With one overload and one wrong argument the place is known exactly.
  const [only] = misfits;
  return fail(scope, overloads.length === 1 && misfits.length === 1 && only !== undefined ? only.arg : span, {
    code: 'arguments',
    detail: `${name} cannot be called with (${given}): it is ${overloads.map((entry) => signature(name, entry)).join(' or ')}.`,
    fix: hint,
  });
}

function checkCalendar(scope: Scope, arg: Expr | undefined, span: Span): void {
  const name = arg?.kind === 'literal' && typeof arg.value === 'string' ? arg.value : null;
  if (name === null) return fail(scope, arg ?? span, { code: 'arguments', detail: 'The calendar is named by a literal text.' });
  if (!scope.schema.hasCalendar(name))
    fail(scope, arg ?? span, {
      code: 'unknown_calendar',
      detail: `There is no calendar '${name}'.`,
      fix: didYouMean(name, scope.schema.calendarNames ?? []) ?? 'See metadata/calendars.',
    });
}
