import { childrenOf, isRecordExpr, type Expr, type RecordExpr } from './tree.ts';
import type { EvalContext, ExprSchema, ReadPath, Row, TypedExpression } from './types.ts';

type Step = ReadPath['steps'][number];
type Steps = readonly Step[];

interface Description {
  readonly reads: readonly ReadPath[];
  readonly sqlObstacle: string | null;
  readonly usesClock: boolean;
}

/** What a tree reads, whether SQL can run it, and whether it depends on the clock. */
export function describe(tree: Expr, schema: ExprSchema): Description {
  const paths = new Map<string, Steps>();
  const found: { sqlObstacle: string | null; usesClock: boolean } = { sqlObstacle: null, usesClock: false };
  walkReads(tree, [], (steps) => {
    if (steps.length > 0) paths.set(steps.map((step) => `${step.object}.${step.field}`).join('/'), steps);
  });
  walkTraits(tree, schema, found);
  return { reads: [...paths.values()].map((steps) => ({ steps })), ...found };
}

/** Calls `note` with each path that is read; `slots` holds the paths of the surrounding `exists` and the like. */
function walkReads(node: Expr, slots: readonly (Steps | null)[], note: (steps: Steps) => void): void {
  if (node.kind === 'aggregate') {
    const prefix = stepsOf(node.of, slots);
    const steps: Steps | null = prefix === null ? null : [...prefix, { object: node.of.object, field: node.name, kind: 'many' }];
    note(steps ?? []);
    walkReads(node.of, slots, note);
    const inner = [...slots.slice(0, node.slot), steps];
    for (const part of [node.filter, node.value]) if (part !== null) walkReads(part, inner, note);
    return;
  }
  if (node.kind === 'each') {
    walkReads(node.list, slots, note);
    walkReads(node.body, [...slots.slice(0, node.slot), null], note);
    return;
  }
  if (node.kind === 'follow') note(stepsOf(node, slots) ?? []);
  else if (node.kind === 'field' || node.kind === 'formula') noteField(node, stepsOf(node.of, slots), note);
  else if (node.kind === 'policy' && isRecordExpr(node.input)) {
    // The policy's rows will read the record, so it must be at hand; its id stands for it.
    const prefix = stepsOf(node.input, slots);
    if (prefix !== null) note([...prefix, { object: node.input.object, field: 'id', kind: 'value' }]);
  }
  for (const child of childrenOf(node)) walkReads(child, slots, note);
}

function noteField(node: Extract<Expr, { kind: 'field' | 'formula' }>, prefix: Steps | null, note: (steps: Steps) => void): void {
  if (prefix === null) return;
  note([...prefix, { object: node.object, field: node.name, kind: node.kind === 'field' ? 'value' : 'formula' }]);
  if (node.kind === 'formula') for (const read of node.expression.reads) note([...prefix, ...read.steps]);
}

function walkTraits(node: Expr, schema: ExprSchema, found: { sqlObstacle: string | null; usesClock: boolean }): void {
  switch (node.kind) {
    case 'recordVariable':
      found.sqlObstacle ??= `the variable '${node.name}' is not known in SQL`;
      break;
    case 'variable':
      if (!isCaller(node)) found.sqlObstacle ??= `the variable '${node.name}' is not known in SQL`;
      break;
    case 'formula':
      found.sqlObstacle ??= node.expression.sqlObstacle;
      found.usesClock ||= node.expression.usesClock;
      break;
    case 'policy':
      found.sqlObstacle ??= `policy('${node.name}', ...) cannot run in SQL`;
      found.usesClock ||= node.asOf === null;
      break;
    case 'call': {
      const entry = schema.functions.get(node.entry);
      if (entry?.toSql === undefined && !isConstantTree(node, schema)) found.sqlObstacle ??= `${entry?.name ?? node.entry}(...) cannot run in SQL`;
      found.usesClock ||= node.entry === 'today' || node.entry === 'now';
      break;
    }
    case 'each':
      // Of a constant list the value is computed here, whatever functions that takes.
      if (isConstantTree(node, schema)) {
        found.usesClock ||= usesClock(node);
        return;
      }
      break;
    default:
      break;
  }
  for (const child of childrenOf(node)) walkTraits(child, schema, found);
}

function usesClock(node: Expr): boolean {
  return (node.kind === 'call' && (node.entry === 'today' || node.entry === 'now')) || childrenOf(node).some(usesClock);
}

/** `user` and `subject`: the caller, whom both back ends know. */
function isCaller(node: Extract<Expr, { kind: 'variable' }>): boolean {
  return node.type.kind === 'uuid' && (node.name === 'user' || node.name === 'subject');
}

/** Steps from the root object to a record; null when it starts at a variable, whose reads its giver answers for. */
function stepsOf(node: RecordExpr, slots: readonly (Steps | null)[]): Steps | null {
  switch (node.kind) {
    case 'root':
      return [];
    case 'recordVariable':
      return null;
    case 'item':
      return slots[node.slot] ?? null;
    case 'follow': {
      const prefix = stepsOf(node.of, slots);
      return prefix === null ? null : [...prefix, { object: node.of.object, field: node.field, kind: 'one' }];
    }
  }
}

/** True when a tree reads no record and asks no calendar: its value is the same for every row of one evaluation. */
export function isConstantTree(node: Expr, schema: ExprSchema): boolean {
  return isConstant(node, schema, []);
}

function isConstant(node: Expr, schema: ExprSchema, slots: readonly number[]): boolean {
  switch (node.kind) {
    case 'root':
    case 'item':
    case 'follow':
    case 'recordVariable':
    case 'field':
    case 'formula':
    case 'aggregate':
    case 'policy':
    case 'member':
    case 'struct':
      return false;
    case 'element':
      return slots.includes(node.slot);
    case 'each':
      return isConstant(node.list, schema, slots) && isConstant(node.body, schema, [...slots, node.slot]);
    case 'variable':
      return isCaller(node);
    case 'call':
      if (schema.functions.get(node.entry)?.pure !== true) return false;
      break;
    default:
      break;
  }
  return childrenOf(node).every((child) => isConstant(child, schema, slots));
}

/** The dotted paths that an expression reads: `status`, `provider.status`, `licenses[].state`. */
export function readsOf(expression: TypedExpression): readonly string[] {
  return expression.reads.map((read) => read.steps.map((step) => (step.kind === 'many' ? `${step.field}[]` : step.field)).join('.'));
}

/** One set of related records that must be at hand before an expression is evaluated in JavaScript. */
export interface RelationLoad {
  /** Path from the root object; shorter paths come first. */
  readonly path: readonly string[];
  readonly kind: 'one' | 'many';
  /** Object the path is followed on, the reference (one) or to-many path (many), and the object it leads to. */
  readonly from: string;
  readonly field: string;
  readonly object: string;
  /** For `many`: the reference on `object` that points back. */
  readonly via: string | null;
}

/** The relations of several expressions on one object, in the order in which they can be loaded. */
export function relationsOf(expressions: readonly TypedExpression[], schema: ExprSchema): readonly RelationLoad[] {
  const loads = new Map<string, RelationLoad>();
  for (const { steps } of expressions.flatMap((expression) => expression.reads)) {
    steps.forEach((step, index) => {
      if (step.kind !== 'many' && (step.kind !== 'one' || index === steps.length - 1)) return;
      const field = schema.object(step.object)?.fields.get(step.field);
      if (field?.kind !== 'one' && field?.kind !== 'many') return;
      const path = steps.slice(0, index + 1).map((part) => part.field);
      loads.set(path.join('.'), {
        path,
        kind: field.kind,
        from: step.object,
        field: step.field,
        object: field.object,
        via: field.kind === 'many' ? field.via : null,
      });
    });
  }
  return [...loads.values()].sort((left, right) => left.path.length - right.path.length);
}

/** How rows are got from wherever they are; records in the trash too for `byIds`, live ones only for `byReference`. */
export interface RowSource {
  byIds(object: string, ids: readonly string[]): Promise<readonly Row[]>;
  byReference(object: string, via: string, ids: readonly string[]): Promise<readonly Row[]>;
}

/**
 * Loads, with one query a relation, all records that the expressions will ask for, and answers the `one` and `many` of an
 * EvalContext. A reference that leads to a record in the trash still gives its values; to-many paths see live records only:
 * the SQL back end does the same.
 */
export async function preload(
  expressions: readonly TypedExpression[],
  schema: ExprSchema,
  rows: readonly Row[],
  source: RowSource,
): Promise<Pick<EvalContext, 'one' | 'many'>> {
  const ones = new Map<string, Row>();
  const manies = new Map<string, Row[]>();
  const atPath = new Map<string, readonly Row[]>([['', rows]]);
  for (const load of relationsOf(expressions, schema)) {
    const parents = atPath.get(load.path.slice(0, -1).join('.')) ?? [];
    const key = load.path.join('.');
    if (load.via === null) {
      const ids = distinct(parents.map((row) => row[load.field]));
      const found = ids.length === 0 ? [] : await source.byIds(load.object, ids);
      for (const row of found) ones.set(`${load.object} ${String(row['id'])}`, row);
      atPath.set(key, found);
    } else {
      const via = load.via;
      const ids = distinct(parents.map((row) => row['id']));
      const found = ids.length === 0 ? [] : await source.byReference(load.object, via, ids);
      const groups = new Map<string, Row[]>(ids.map((id) => [`${load.object}.${via} ${id}`, []]));
      for (const row of found) groups.get(`${load.object}.${via} ${String(row[via])}`)?.push(row);
      for (const [group, members] of groups) manies.set(group, members);
      atPath.set(key, found);
    }
  }
  return {
    one: (object, id) => ones.get(`${object} ${id}`) ?? null,
    many: (object, via, id) => manies.get(`${object}.${via} ${id}`) ?? [],
  };
}

function distinct(values: readonly unknown[]): readonly string[] {
  return [...new Set(values.filter((value) => typeof value === 'string'))];
}
