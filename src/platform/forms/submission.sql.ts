import type { Knex } from 'knex';
import { toRfc3339 } from '../db.ts';
import { platformTable, rows, run, sql } from '../sql.ts';
import type { DraftData, DraftDocument, Submission, Typed, TypedFields, Writer } from './types.ts';

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
    // Rows of drafts from before rows had ids get one by their place; the next save keeps it.
    if (Array.isArray(list)) repeats[relation] = list.map((row, index) => ({ id: `new-${String(index)}`, ...typedFields(row) }));
  }
  const documents: Record<string, DraftDocument> = {};
  for (const [type, entry] of Object.entries(isObject(stored['documents']) ? stored['documents'] : {})) {
    if (isObject(entry))
      documents[type] = { fileId: String(entry['fileId']), name: String(entry['name']), size: Number(entry['size']), at: String(entry['at']) };
  }
  const writers: Record<string, Writer> = {};
  for (const [path, entry] of Object.entries(isObject(stored['writers']) ? stored['writers'] : {})) {
    if (isObject(entry)) writers[path] = { view: String(entry['view']), number: Number(entry['number']) };
  }
  const others: Record<string, readonly Typed[]> = {};
  for (const [path, list] of Object.entries(isObject(stored['others']) ? stored['others'] : {})) {
    if (Array.isArray(list)) others[path] = list.flatMap((entry) => Object.values(typedFields({ entry })));
  }
  const removed: Record<string, readonly string[]> = {};
  for (const [relation, list] of Object.entries(isObject(stored['removed']) ? stored['removed'] : {})) {
    if (Array.isArray(list)) removed[relation] = list.map(String);
  }
  return { fields: typedFields(stored['fields']), repeats, documents, removed, writers, others };
}

function submission(row: Readonly<Record<string, unknown>>): Submission {
  const visited = row['visited'];
  return {
    id: String(row['id']),
    begun: true,
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
      ? sql`select * from ${table} where form = ${form} and record_id = ${recordId}::uuid order by created_at desc, version desc limit 1 for update`
      : sql`select * from ${table} where form = ${form} and record_id = ${recordId}::uuid order by created_at desc, version desc limit 1`,
  );
  return found[0] === undefined ? null : submission(found[0]);
}

/** The files that submissions of a form for a record have sent as documents. */
export async function sentFiles(db: Knex, form: string, recordId: string): Promise<ReadonlySet<string>> {
  const found = await rows(
    db,
    sql`select distinct document.value ->> 'fileId' as file from ${platformTable(db, 'submission')} submission,
          lateral jsonb_each(case jsonb_typeof(submission.data -> 'documents') when 'object' then submission.data -> 'documents' else '{}' end) document
        where submission.form = ${form} and submission.record_id = ${recordId}::uuid and submission.state = 'submitted'`,
  );
  return new Set(found.map((row) => String(row['file'])));
}

/** Begins a draft; when another request began it first, that one stands, whatever became of it. */
export async function insertDraft(tx: Knex.Transaction, draft: Submission, formHash: string, at: string): Promise<void> {
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'submission')} (id, form, form_hash, object, record_id, state, version, data, visited, created_at, updated_at)
        values (${draft.id}::uuid, ${draft.form}, ${formHash}, ${draft.object}, ${draft.recordId}::uuid, 'draft', ${draft.version},
                ${JSON.stringify(draft.data)}::jsonb, ${JSON.stringify(draft.visited)}::jsonb, ${at}::timestamptz, ${at}::timestamptz)
        on conflict do nothing`,
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

/** Ends a draft as sent: what was typed, with the records that rows became, and what the reader saw of it. */
export async function closeSubmission(
  tx: Knex.Transaction,
  id: string,
  sent: { readonly data: DraftData; readonly snapshot: unknown; readonly at: string },
): Promise<void> {
  await run(
    tx,
    sql`update ${platformTable(tx, 'submission')} set state = 'submitted', data = ${JSON.stringify(sent.data)}::jsonb, snapshot = ${JSON.stringify(sent.snapshot)}::jsonb,
        submitted_at = ${sent.at}::timestamptz, updated_at = ${sent.at}::timestamptz, version = version + 1 where id = ${id}::uuid and state = 'draft'`,
  );
}
