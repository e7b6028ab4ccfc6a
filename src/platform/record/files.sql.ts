import { isUuid } from '../ids.ts';
import { platformTable, rows, sql } from '../sql.ts';
import { find, hasFinding, pending, type Batch } from './batch.ts';

/**
 * A file that a caller puts into a record must be one of their own uploads. Files have no rights of their own: a file is
 * read through the record that holds it, so that whoever could name any file in a record of theirs could read any file.
 */
export async function checkFiles(batch: Batch): Promise<void> {
  if (batch.system) return;
  const fields = batch.plan.files;
  if (fields.length === 0) return;
  const wanted = pending(batch).flatMap((entry) =>
    fields.flatMap((field) => {
      const id = entry.after[field.name];
      const isNew = entry.sent.has(field.name) && (entry.item.kind === 'create' || entry.changed.includes(field.name));
      return isNew && typeof id === 'string' && isUuid(id) && !hasFinding(entry, field.name) ? [{ entry, field, id }] : [];
    }),
  );
  if (wanted.length === 0) return;
  const ids = [...new Set(wanted.map(({ id }) => id))];
  const found = await rows(
    batch.db,
    sql`select id::text from ${platformTable(batch.db, 'file')} where id = any(${ids}::uuid[]) and created_by = ${batch.actor}`,
  );
  const own = new Set(found.map((row) => String(row['id'])));
  for (const { entry, field, id } of wanted) {
    if (own.has(id)) continue;
    find(entry, field.name, 'reference', `${field.label} names a file that does not exist, or that you did not upload.`, {
      fix: 'Upload the file, then use its id.',
    });
  }
}
