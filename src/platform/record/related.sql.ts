import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import type { EvalContext, NotePolicy, ReadPath, Row } from '../expression/types.ts';
import { wholeTable } from '../model/read-table.sql.ts';
import { sideTables } from '../model/side-tables.ts';
import { hotValue, isHot } from '../model/read-table.sql.ts';
import type { Model, ObjectModel } from '../model/types.ts';
import { ident, joinSql, keyword, rows, schemaOf, sql, type RunOptions } from '../sql.ts';
import { imageOf, rowOf, storedFields, targetOf } from './images.ts';
import { expandReads } from './object-plan.ts';

/** Answers `policy(...)` in expressions; given at wiring, for policies stand right of this layer. */
export type PolicyLookup = (model: Model, name: string, input: Row, asOf: string, note?: NotePolicy) => Row | null;

interface Node {
  readonly object: ObjectModel;
  readonly one: Map<string, Node>;
  readonly many: Map<string, { readonly via: string; readonly node: Node }>;
}

/** Records reachable from a batch along the relations that its expressions read. */
export interface Related {
  readonly ones: Map<string, Map<string, Row>>;
  readonly manys: Map<string, readonly Row[]>;
}

/** An empty store; one is filled over the life of a batch. */
export function makeRelated(): Related {
  return { ones: new Map(), manys: new Map() };
}

function makeNode(object: ObjectModel): Node {
  return { object, one: new Map(), many: new Map() };
}

function objectNamed(model: Model, name: string): ObjectModel {
  const object = model.objects.get(name);
  if (object === undefined) throw new AppError('metadata_invalid', `An expression names the object ${name}, which does not exist.`);
  return object;
}

interface Tree {
  readonly model: Model;
  readonly root: ObjectModel;
  readonly node: Node;
}

/** By the list of reads itself: plans and rights keep theirs as long as their Model. */
const trees = new WeakMap<readonly ReadPath[], Tree>();

function treeOf(model: Model, root: ObjectModel, reads: readonly ReadPath[]): Node {
  const known = trees.get(reads);
  if (known?.model === model && known.root === root) return known.node;
  const node = readTree(model, root, reads);
  trees.set(reads, { model, root, node });
  return node;
}

function readTree(model: Model, root: ObjectModel, reads: readonly ReadPath[]): Node {
  const tree = makeNode(root);
  for (const read of expandReads(model, reads)) {
    let node = tree;
    for (const [index, step] of read.steps.entries()) {
      if (step.kind === 'many') {
        const relation = node.object.toMany.get(step.field);
        if (relation === undefined) break;
        const known = node.many.get(step.field) ?? { via: relation.via, node: makeNode(objectNamed(model, relation.object)) };
        node.many.set(step.field, known);
        node = known.node;
      } else if (step.kind === 'one' && index < read.steps.length - 1) {
        const target = node.object.fields.get(step.field)?.ref?.to[0];
        if (target === undefined) break;
        const known = node.one.get(step.field) ?? makeNode(objectNamed(model, target));
        node.one.set(step.field, known);
        node = known;
      } else break;
    }
  }
  return tree;
}

/**
 * Loads everything that the reads can reach from these rows: one statement a relation and level, whatever the number of rows.
 * @param lockParents lock each parent of a to-many path (other than the rows themselves) before its children are read
 */
export async function preload(
  tx: Knex,
  model: Model,
  object: ObjectModel,
  roots: readonly Row[],
  reads: readonly ReadPath[],
  store: Related,
  lockParents = false,
): Promise<void> {
  if (roots.length === 0 || reads.length === 0) return;
  await descend(tx, treeOf(model, object, reads), roots, store, lockParents);
}

async function descend(tx: Knex, node: Node, from: readonly Row[], store: Related, lockParents: boolean): Promise<void> {
  if (from.length === 0) return;
  for (const [field, target] of node.one) {
    const ids = idsOf(from, field);
    await loadOnes(tx, target.object, ids, store, lockParents && target.many.size > 0);
    const known = store.ones.get(target.object.name);
    const next = ids.flatMap((id): Row[] => {
      const found = known?.get(id);
      return found === undefined ? [] : [found];
    });
    await descend(tx, target, next, store, lockParents);
  }
  for (const { via, node: target } of node.many.values()) {
    const ids = idsOf(from, 'id');
    await loadManys(tx, target.object, via, ids, store);
    const next = ids.flatMap((id): readonly Row[] => store.manys.get(manyKey(target.object.name, via, id)) ?? []);
    await descend(tx, target, next, store, lockParents);
  }
}

function idsOf(from: readonly Row[], field: string): readonly string[] {
  return [...new Set(from.flatMap((row) => (typeof row[field] === 'string' ? [row[field]] : [])))].sort();
}

function manyKey(object: string, via: string, id: string): string {
  return `${object} ${via} ${id}`;
}

async function loadOnes(tx: Knex, object: ObjectModel, ids: readonly string[], store: Related, lock: boolean): Promise<void> {
  const known = store.ones.get(object.name) ?? new Map<string, Row>();
  store.ones.set(object.name, known);
  const missing = lock ? ids : ids.filter((id) => !known.has(id));
  if (missing.length === 0) return;
  const found = await rowsOf(tx, object, missing, lock ? 'for no key update' : null);
  for (const row of found) {
    const related = rowOf(object, imageOf(object, row));
    known.set(String(related['id']), related);
  }
}

async function loadManys(tx: Knex, object: ObjectModel, via: string, ids: readonly string[], store: Related): Promise<void> {
  const missing = ids.filter((id) => !store.manys.has(manyKey(object.name, via, id)));
  const field = object.fields.get(via);
  if (missing.length === 0 || field === undefined || field.column === null) return;
  const found = await rows(
    tx,
    sql`select ${columnsOf(object)} from ${wholeTable(schemaOf(tx), object)} where ${ident(field.column)} = any(${missing}::uuid[]) and deleted_at is null order by id`,
  );
  const grouped = new Map<string, Row[]>(missing.map((id) => [id, []]));
  for (const row of found) {
    const image = imageOf(object, row);
    grouped.get(targetOf(field, image[via])?.id ?? '')?.push(rowOf(object, image));
  }
  for (const [id, related] of grouped) store.manys.set(manyKey(object.name, via, id), related);
}

/**
 * Rows of an object as they are stored, those in the trash too, in the order of their ids; locked when that is asked for. A wide
 * object's rows are locked first and read then: a row that had to be waited for would come with the side table's older half.
 */
export async function rowsOf(
  db: Knex,
  object: ObjectModel,
  ids: readonly string[],
  lock: 'for update' | 'for no key update' | null,
  options: RunOptions = {},
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const whole = sql`select ${columnsOf(object)} from ${wholeTable(schemaOf(db), object)}`;
  // One by its id itself: a list of one is planned anew each time, since PostgreSQL takes a list that it does not know for ten.
  const wanted = ids.length === 1 ? sql`where id = ${ids[0]}::uuid` : sql`where id = any(${[...ids].sort()}::uuid[]) order by id`;
  const locking = lock === null ? sql`` : sql` ${keyword(lock)}`;
  if (sideTables(object).length === 0) return rows(db, sql`${whole} ${wanted}${locking}`, options);
  if (lock !== null) await rows(db, sql`select 1 from ${ident(schemaOf(db), object.table)} ${wanted}${locking}`);
  return rows(db, sql`${whole} ${wanted}`, options);
}

/** The stored columns of an object's table, which bears no other name in the statement, as `imageOf` takes them. */
export function columnsOf(object: ObjectModel): ReturnType<typeof joinSql> {
  return joinSql(
    storedFields(object).flatMap(({ field, columns }) =>
      isHot(field) ? [sql`${hotValue(field, ident(object.table))} as ${ident(columns[0] ?? '')}`] : columns.map((column) => ident(column)),
    ),
  );
}

/**
 * What closures see while a batch is evaluated: only preloaded records, the call's time, the plan's calendars.
 * A to-one gives records in the trash too, a to-many only live ones, as in SQL; what was not preloaded reads as null.
 */
export function evalContext(context: CallContext, store: Related, policies: PolicyLookup | undefined): EvalContext {
  const { principal } = context;
  const user = principal.kind === 'user' ? principal.userId : null;
  const subject = principal.kind === 'portal' ? principal.subject.id : null;
  return {
    now: context.now,
    today: context.today,
    user,
    subject,
    variables: { user, subject },
    one: (object, id) => store.ones.get(object)?.get(id) ?? null,
    many: (object, via, id) => store.manys.get(manyKey(object, via, id)) ?? [],
    policy: (name, input, asOf, note) => {
      if (policies === undefined) throw new AppError('internal', `The expression asks policy ${name}, but the record engine was made without policies.`);
      return policies(context.model, name, input, asOf, note);
    },
    calendars: context.model.calendarLookup,
  };
}
