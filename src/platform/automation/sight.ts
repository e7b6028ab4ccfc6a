import type { Knex } from 'knex';
import { mayDoEverything, rightsFor } from '../access/rights.ts';
import { readRowRights, type RowRights } from '../access/row-rights.sql.ts';
import { secureSchema } from '../access/secure.sql.ts';
import type { CallContext } from '../access/types.ts';
import { isAppError } from '../errors.ts';
import { checkExpression } from '../expression/check.ts';
import { childrenOf, treeOf, type Expr } from '../expression/tree.ts';
import type { EvalContext, ExprType, TypedExpression } from '../expression/types.ts';

/** What stands in an explanation for what its reader may not see. */
export const HIDDEN = 'hidden';

/** The records that an evaluation looked at, by object. */
export type Touched = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * What the reader of an explanation may see. Rules act for the system, so everything that they looked at is asked for
 * here before it is shown: fields that the reader may never read do not exist, others only in the rows where they may be read.
 */
export interface Sight {
  /** Everything may be seen. */
  readonly whole: boolean;
  /** Whether a text of a rule names nothing that the reader may never read. */
  mayAsk(text: string, object: string | null, variables: Readonly<Record<string, ExprType>>): boolean;
  /** Rights in one record, live or in the trash; null for one that the reader may not see. */
  rowRights(object: string, id: string): Promise<RowRights | null>;
  /** Whether fields of an object may be read in each of the records that were looked at. */
  mayReadIn(touched: Touched, object: string, fields: Iterable<string>): Promise<boolean>;
  /** Whether a field may be read in every row of its object. */
  isOpen(object: string, field: string): boolean;
}

/** The sight of the caller of `context`. Reads rights as they are now, each once. */
export function makeSight(db: Knex, context: CallContext): Sight {
  const whole = mayDoEverything(context);
  const known = new Map<string, RowRights | null>();

  const look = async (object: string, ids: readonly string[]): Promise<void> => {
    const missing = ids.filter((id) => !known.has(`${object} ${id}`));
    if (missing.length === 0) return;
    const found = await readRowRights(db, context, object, missing);
    for (const id of missing) {
      const rights = found.get(id);
      known.set(`${object} ${id}`, rights?.canRead === true ? rights : null);
    }
  };

  return {
    whole,
    mayAsk(text, object, variables) {
      if (whole) return true;
      const schema = secureSchema(context);
      if (object !== null && schema.object(object) === undefined) return false;
      try {
        checkExpression(text, schema, { object, variables });
        return true;
      } catch (error) {
        if (!isAppError(error, 'invalid_expression')) throw error;
        return false;
      }
    },
    async rowRights(object, id) {
      await look(object, [id]);
      return known.get(`${object} ${id}`) ?? null;
    },
    async mayReadIn(touched, object, fields) {
      if (whole) return true;
      const ids = [...(touched.get(object) ?? [])];
      await look(object, ids);
      const names = [...fields];
      return ids.every((id) => names.every((name) => known.get(`${object} ${id}`)?.readable.has(name) === true));
    },
    isOpen(object, field) {
      return whole || rightsFor(context, object).readGrants.some((grant) => grant.read.kind === 'all' && grant.fields.has(field));
    },
  };
}

/** The fields that an expression names, by the object they belong to; those of its formulas among them. */
export function fieldsNamed(expression: TypedExpression): ReadonlyMap<string, ReadonlySet<string>> {
  const named = new Map<string, Set<string>>();
  const note = (object: string, field: string): void => void named.set(object, (named.get(object) ?? new Set()).add(field));
  const walk = (node: Expr): void => {
    if (node.kind === 'field' || node.kind === 'formula') note(node.object, node.name);
    if (node.kind === 'formula') walk(treeOf(node.expression));
    if (node.kind === 'follow') note(node.of.object, node.field);
    if (node.kind === 'aggregate') note(node.object, node.via);
    childrenOf(node).forEach(walk);
  };
  walk(treeOf(expression));
  return named;
}

/** An evaluation that notes which other records it looks at, in `touched`. */
export function noting(evaluation: EvalContext, touched: Map<string, Set<string>>): EvalContext {
  const note = (object: string, id: unknown): void => void touched.set(object, (touched.get(object) ?? new Set()).add(String(id)));
  return {
    ...evaluation,
    one(object, id) {
      note(object, id);
      return evaluation.one(object, id);
    },
    many(object, via, id) {
      const found = evaluation.many(object, via, id);
      for (const row of found) note(object, row['id']);
      return found;
    },
  };
}
