import fc from 'fast-check';
import type { Knex } from 'knex';
import { inTransaction, toRfc3339 } from '../../../src/platform/db.ts';
import { plainDecimal, toDecimal } from '../../../src/platform/expression/decimal.ts';
import type { JsOperators } from '../../../src/platform/expression/js-operators.ts';
import type { SqlForms } from '../../../src/platform/expression/sql-forms.sql.ts';
import { LIMITS } from '../../../src/platform/expression/source.ts';
import { compileJs } from '../../../src/platform/expression/to-js.ts';
import { compileFilterSql, compileValueSql } from '../../../src/platform/expression/to-sql.sql.ts';
import { childrenOf, treeOf, type Expr } from '../../../src/platform/expression/tree.ts';
import type { ExprSchema, ExprType, TypedExpression } from '../../../src/platform/expression/types.ts';
import { ident, joinSql, rows, run, sql, type Sql } from '../../../src/platform/sql.ts';
import { entropyFrom, randomCall, randomText, type Kind } from './random-expression.ts';
import { checkWithinBudget, ROOT, type World } from './random-schema.ts';

/** An expression in its world. */
export interface Case {
  readonly world: World;
  readonly text: string;
  readonly typed: TypedExpression;
  /** A filter is compiled for WHERE; a value is compared exactly, null included. */
  readonly isFilter: boolean;
}

/** What SQL says. */
export interface Outcome {
  readonly item: Case;
  /** By row, in the order of the world's rows. */
  readonly sql: readonly unknown[];
}

/** The back ends that are asked; a test may put a wrong part in place of a right one. */
export interface Backends {
  readonly operators: JsOperators;
  readonly forms: SqlForms;
  readonly schema: (schema: ExprSchema) => ExprSchema;
}

const BATCH = 40;
const VARIABLES = { user: { kind: 'uuid' }, subject: { kind: 'uuid' } } as const;

/** The SQL of one case as text or texts, or as a boolean for filters. */
function columnOf(item: Case, backends: Backends): Sql {
  const options = { alias: 't', context: item.world.sqlContext, forms: backends.forms };
  const schema = backends.schema(item.world.schema);
  if (item.isFilter) return sql`(${compileFilterSql(item.typed, schema, options)}) is true`;
  const value = compileValueSql(item.typed, schema, options);
  const { type } = item.typed;
  if (type.kind === 'number') return sql`trim_scale(${value})::text`;
  if (type.kind !== 'list') return sql`(${value})::text`;
  const element = type.of.kind === 'number' ? sql`trim_scale(u.v)::text` : sql`u.v::text`;
  return sql`(select case when l.v is not null then array(select ${element} from unnest(l.v) with ordinality as u (v, o) order by u.o) end from (select ${value} as v offset 0) as l)`;
}

/** What the driver gives, as the JavaScript closure would give it. */
function fromSql(type: ExprType, value: unknown): unknown {
  if (Array.isArray(value) && type.kind === 'list') return JSON.stringify(value.map((item) => fromSql(type.of, item)));
  if (typeof value !== 'string') return value;
  switch (type.kind) {
    case 'number': {
      const number = toDecimal(value);
      return number === null ? null : plainDecimal(number);
    }
    case 'instant':
      return toRfc3339(value);
    case 'boolean':
      return value === 'true';
    default:
      return value;
  }
}

/** The answers of JavaScript for each row. */
export function askJs(item: Case, backends: Backends): readonly unknown[] {
  const closure = compileJs(item.typed, backends.schema(item.world.schema), backends.operators);
  return (item.world.rows.get(ROOT) ?? []).map((row) => {
    const value = closure(row, item.world.context);
    if (item.isFilter) return value === true;
    return Array.isArray(value) ? JSON.stringify(value) : value;
  });
}

/** The answers of SQL to some cases of one world; an error names the expression that caused it. */
async function askBatch(tx: Knex.Transaction, db: Knex, batch: readonly Case[], backends: Backends): Promise<readonly Outcome[]> {
  const [first] = batch;
  if (first === undefined) return [];
  const columns = batch.map((item, index) => sql`${columnOf(item, backends)} as ${ident(`c${String(index)}`)}`);
  try {
    const found = await rows(tx, sql`select ${joinSql(columns)} from ${first.world.schema.table(ROOT)} t order by t.id`);
    return batch.map((item, index) => ({
      item,
      sql: found.map((row) => (item.isFilter ? row[`c${String(index)}`] : fromSql(item.typed.type, row[`c${String(index)}`]))),
    }));
  } catch (error) {
    throw new Error((await guiltyOf(db, batch, backends)) || String(error).slice(-300));
  }
}

/** Which expressions of a failed batch fail by themselves; on another connection, for the transaction is lost. */
async function guiltyOf(db: Knex, batch: readonly Case[], backends: Backends): Promise<string> {
  const found: string[] = [];
  for (const item of batch) {
    await rows(db, sql`select ${columnOf(item, backends)} as c from ${item.world.schema.table(ROOT)} t`).catch((error: unknown) => {
      found.push(`SQL failed (${String(error).split(' - ').at(-1) ?? ''}) for: ${item.text}`);
    });
  }
  return found.join('\n');
}

/** The answers of SQL to cases of one world. */
export async function askSql(db: Knex, cases: readonly Case[], backends: Backends): Promise<readonly Outcome[]> {
  return inTransaction(db, async (tx) => {
    // Compiling such statements to machine code takes a hundred times as long as running them over a few rows.
    await run(tx, sql`set local jit = off`);
    const outcomes: Outcome[] = [];
    for (let from = 0; from < cases.length; from += BATCH) outcomes.push(...(await askBatch(tx, db, cases.slice(from, from + BATCH), backends)));
    return outcomes;
  });
}

/** True when all answers are the same. */
export function isSame(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left.length === right.length && left.every((value, index) => value === right[index]);
}

const KINDS: readonly Kind[] = [
  ...(['boolean', 'boolean', 'boolean', 'boolean', 'boolean', 'number', 'number', 'text', 'text', 'date'] as const),
  ...(['instant', 'duration', 'uuid', 'list:text', 'list:number', 'list:date', 'list:boolean', 'list:duration', 'list:instant', 'list:uuid'] as const),
];

/** Random expressions of a world: first one for each function of the table, then any. */
export function makeCases(world: World, count: number, seed: number): { readonly cases: readonly Case[]; readonly redrawn: number } {
  const { schema } = world;
  const numbers = fc.array(fc.nat(), { minLength: 120, maxLength: 120, size: 'max' });
  const drawn = fc.sample(fc.tuple(fc.constantFrom(...KINDS), numbers), { numRuns: count * 2, seed });
  const entries = [...schema.functions.values()].filter((entry) => entry.toSql !== undefined);
  const cases: Case[] = [];
  let redrawn = 0;
  for (const [index, [anyKind, choices]] of drawn.entries()) {
    if (cases.length === count) break;
    const [entropy, entry] = [entropyFrom(choices), entries[index]];
    const { kind, text } =
      entry === undefined
        ? { kind: anyKind, text: randomText(schema, ROOT, anyKind, entropy, { depth: 4, relations: true, caller: true }) }
        : randomCall(schema, ROOT, entry, entropy, { depth: 1, relations: true, caller: true });
    const typed = text.length > LIMITS.characters ? null : checkWithinBudget(text, schema, ROOT, VARIABLES);
    if (typed === null) redrawn += 1;
    else cases.push({ world, text, typed, isFilter: kind === 'boolean' && (choices[0] ?? 0) % 3 > 0 });
  }
  return { cases, redrawn };
}

/** The nodes of a tree, those of its formulas among them. */
export function nodesOf(node: Expr): readonly Expr[] {
  const below = node.kind === 'formula' ? [treeOf(node.expression)] : [];
  return [node, ...[...childrenOf(node), ...below].flatMap(nodesOf)];
}
