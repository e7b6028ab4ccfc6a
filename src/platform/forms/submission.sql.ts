import type { Knex } from 'knex';
import { toRfc3339 } from '../db.ts';
import { platformTable, rows, run, sql } from '../sql.ts';
import type { DraftData, DraftDocument, Submission, Typed, TypedFields } from './types.ts';

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function typedFields(value: unknown): TypedFields {
  const fields: Record<string, Typed> = {};
  for (const [name, typed] of Object.entries(isObject(value) ? value : {})) {
    if (typeof typed === 'string') fields[name] = typed;
    else if (Array.isArray(typed)) fields[name] = typed.filter((entry) => typeof entry === 'string');
  }
  return fields;
}

/** The one boundary where stored drafts become typed data. */
export function draftData(value: unknown): DraftData {
  const stored = isObject(value) ? value : {};
  const repeats: Record<string, readonly TypedFields[]> = {};
  for (const [relation, list] of Object.entries(isObject(stored['repeats']) ? stored['repeats'] : {})) {
    if (Array.isArray(list)) repeats[relation] = list.map(typedFields);
  }
  const documents: Record<string, DraftDocument> = {};
  for (const [type, entry] of Object.entries(isObject(stored['documents']) ? stored['documents'] : {})) {
    if (isObject(entry))
      documents[type] = { fileId: String(entry['fileId']), name: String(entry['name']), size: Number(entry['size']), at: String(entry['at']) };
  }
  return { fields: typedFields(stored['fields']), repeats, documents };
}

function submission(row: Readonly<Record<string, unknown>>): Submission {
  const visited = row['visited'];
  return {
    id: String(row['id']),
    form: String(row['form']),
    object: String(row['object']),
    recordId: String(row['record_id']),
    state: row['state'] === 'submitted' ? 'submitted' : 'draft',
    version: Number(row['version']),
    data: draftData(row['data']),
    visited: Array.isArray(visited) ? visited.filter((page) => typeof page === 'string') : [],
    lastPage: typeof row['last_page'] === 'string' ? row['last_page'] : null,
    updatedAt: toRfc3339(String(row['updated_at'])),
    submittedAt: typeof row['submitted_at'] === 'string' ? toRfc3339(row['submitted_at']) : null,
  };
}

/** The newest submission of a form for a record; null when none was begun. */
export async function findSubmission(db: Knex, form: string, recordId: string, lock = false): Promise<Submission | null> {
  const table = platformTable(db, 'submission');
  const found = await rows(
    db,
    lock
      ? sql`select * from ${table} where form = ${form} and record_id = ${recordId}::uuid order by created_at desc, id desc limit 1 for update`
      : sql`select * from ${table} where form = ${form} and record_id = ${recordId}::uuid order by created_at desc, id desc limit 1`,
  );
  return found[0] === undefined ? null : submission(found[0]);
}

export async function submissionById(db: Knex, id: string): Promise<Submission | null> {
  const found = await rows(db, sql`select * from ${platformTable(db, 'submission')} where id = ${id}::uuid`);
  return found[0] === undefined ? null : submission(found[0]);
}

/** Begins a draft; when another request began it first, that one stands. */
export async function insertDraft(
  tx: Knex.Transaction,
  draft: {
    readonly id: string;
    readonly form: string;
    readonly formHash: string;
    readonly object: string;
    readonly recordId: string;
    readonly data: DraftData;
    readonly visited: readonly string[];
    readonly at: string;
  },
): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'submission')} (id, form, form_hash, object, record_id, state, data, visited, created_at, updated_at)
        values (${draft.id}::uuid, ${draft.form}, ${draft.formHash}, ${draft.object}, ${draft.recordId}::uuid, 'draft', ${JSON.stringify(draft.data)}::jsonb,
                ${JSON.stringify(draft.visited)}::jsonb, ${draft.at}::timestamptz, ${draft.at}::timestamptz)
        on conflict (form, record_id) where state = 'draft' do nothing`,
  );
}

export async function updateDraft(
  tx: Knex.Transaction,
  id: string,
  change: { readonly data: DraftData; readonly visited: readonly string[]; readonly lastPage: string | null; readonly at: string },
): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'submission')} set data = ${JSON.stringify(change.data)}::jsonb, visited = ${JSON.stringify(change.visited)}::jsonb,
        last_page = ${change.lastPage}, updated_at = ${change.at}::timestamptz, version = version + 1 where id = ${id}::uuid and state = 'draft'`,
  );
}

export async function closeSubmission(tx: Knex.Transaction, id: string, snapshot: unknown, at: string): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'submission')} set state = 'submitted', snapshot = ${JSON.stringify(snapshot)}::jsonb, submitted_at = ${at}::timestamptz,
        updated_at = ${at}::timestamptz, version = version + 1 where id = ${id}::uuid and state = 'draft'`,
  );
}
