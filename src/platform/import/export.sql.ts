import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { actorOf } from '../record/actor.ts';
import { platformTable, run, sql } from '../sql.ts';

/** Notes, before anything leaves, who exports what of which object. */
export async function auditExport(db: Knex, context: CallContext, object: string, detail: Readonly<Record<string, unknown>>): Promise<void> {
  const requestId = context.cause.kind === 'request' ? context.cause.requestId : null;
  await run(
    db,
    sql`insert into ${platformTable(db, 'audit_entry')} (at, actor, action, object, request_id, detail)
        values (${context.now}::timestamptz, ${actorOf(context.principal)}, 'export', ${object}, ${requestId}::text, ${JSON.stringify(detail)}::jsonb)`,
  );
}
