import type { Readable } from 'node:stream';
import type { Knex } from 'knex';
import { rightsFor } from '../access/rights.ts';
import type { CallContext } from '../access/types.ts';
import { inTransaction } from '../db.ts';
import { AppError, type ErrorDetail } from '../errors.ts';
import { fault } from '../fault.ts';
import { FIELD_TYPES } from '../model/field-types.ts';
import { idsByKey, keyText } from '../query/by-key.ts';
import type { RecordEngine, WriteItem, WriteOutcome } from '../record/types.ts';
import { bindByName, bindMap, type RowMapper } from './mapping.ts';
import { readCsv } from './read-csv.ts';
import { resolveReferences, type ReadRow } from './references.ts';
import { countOutcomes, dropStaging, finishJob, insertJob, recordOutcomes, rejectedRows, stagedChunk, stageRows, type RowOutcome } from './staging.sql.ts';

/** Rows of one transaction unless told (architecture.md, section 4: imports commit often so that nothing waits on them). */
const CHUNK = 2_500;

export interface ImportRequest {
  readonly object: string;
  readonly map: string | null;
  readonly fileName: string;
  readonly content: Readable;
  readonly delimiter?: string;
  readonly dryRun?: boolean;
  /** Whether rules see what was written; imports of a whole file usually should not start any. */
  readonly rules?: 'all' | 'none';
  readonly onProgress?: (done: number) => void;
}

export interface RejectedRow {
  readonly line: number;
  readonly column: string | null;
  readonly reason: string;
  readonly cells: readonly string[];
}

export interface ImportResult {
  readonly read: number;
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly rejected: number;
}

export interface Importer {
  /** Imports a file through the write pipeline; rejected rows are given to `onRejected` in the order of their lines. */
  run(
    db: Knex,
    context: CallContext,
    request: ImportRequest,
    onRejected?: (row: RejectedRow, header: readonly string[]) => Promise<void> | void,
  ): Promise<ImportResult>;
}

interface Mapped {
  readonly line: number;
  readonly key: string;
  readonly keyValues: readonly unknown[];
  readonly values: Readonly<Record<string, unknown>>;
}

/** Ends a dry run's transaction; nothing of it stays. */
class DryRunDone extends Error {}

function reasonOf(errors: readonly ErrorDetail[], message: string): string {
  return errors.length === 0 ? message : errors.map((error) => (error.fix === undefined ? error.detail : `${error.detail} ${error.fix}`)).join(' ');
}

function outcomeOf(mapper: RowMapper, line: number, written: WriteOutcome): RowOutcome {
  if (written.ok)
    return { line, outcome: written.created ? 'created' : written.changed ? 'updated' : 'unchanged', recordId: written.id, reason: null, column: null };
  const field = written.errors[0]?.pointer.split('/')[1];
  return {
    line,
    outcome: 'rejected',
    recordId: null,
    reason: reasonOf(written.errors, written.message),
    column: field === undefined ? null : mapper.columnOf(field),
  };
}

/** Reads each row by the map. */
function readChunk(mapper: RowMapper, chunk: readonly { readonly line: number; readonly cells: readonly string[] }[]) {
  const read: ReadRow[] = [];
  const rejected: RowOutcome[] = [];
  for (const row of chunk) {
    const result = mapper.map(row.cells);
    if ('reason' in result) rejected.push({ line: row.line, outcome: 'rejected', recordId: null, reason: result.reason, column: result.column });
    else read.push({ line: row.line, values: result.values });
  }
  return { read, rejected };
}

/** Gives each row its key, and keeps the first of those with the same one. */
function keyRows(context: CallContext, object: string, mapper: RowMapper, read: readonly ReadRow[], seen: Map<string, number>) {
  const fields = context.model.objects.get(object)?.fields;
  const mapped: Mapped[] = [];
  const rejected: RowOutcome[] = [];
  for (const { line, values } of read) {
    const keyValues = mapper.key.map((name) => {
      const field = fields?.get(name);
      return field === undefined ? null : (FIELD_TYPES[field.kind].parse(values[name], field) ?? null);
    });
    const key = keyText(keyValues);
    const earlier = mapper.key.length === 0 || keyValues.includes(null) ? undefined : seen.get(key);
    // A transaction that is tried again meets its own lines.
    if (earlier !== undefined && earlier !== line) {
      const column = mapper.columnOf(mapper.key[0] ?? '');
      rejected.push({ line, outcome: 'rejected', recordId: null, reason: `The row repeats line ${String(earlier)}. Keep one of the two.`, column });
      continue;
    }
    seen.set(key, line);
    mapped.push({ line, key, keyValues, values });
  }
  return { mapped, rejected };
}

/** Imports of CSV files: staged by COPY, validated and written in sets. */
export function makeImporter(deps: { readonly engine: RecordEngine; readonly chunkRows?: number }): Importer {
  const chunkRows = deps.chunkRows ?? CHUNK;
  const writeChunk = async (
    tx: Knex.Transaction,
    context: CallContext,
    request: ImportRequest,
    mapper: RowMapper,
    mapped: readonly Mapped[],
  ): Promise<readonly RowOutcome[]> => {
    const existing =
      mapper.key.length === 0
        ? new Map<string, string>()
        : await idsByKey(
            tx,
            context,
            request.object,
            mapper.key,
            mapped.map((row) => row.keyValues),
          );
    const outcomes: RowOutcome[] = [];
    const updates = mapped.filter((row) => existing.has(row.key));
    const creates = mapped.filter((row) => !existing.has(row.key));
    const options = { mode: 'each', events: request.rules === 'all' ? 'chunk' : 'none' } as const;
    for (const batch of [updates, creates]) {
      if (batch.length === 0) continue;
      const items = batch.map((row): WriteItem => {
        const id = existing.get(row.key);
        if (id === undefined) return { kind: 'create', values: row.values };
        return { kind: 'update', id, values: Object.fromEntries(Object.entries(row.values).filter(([name]) => !mapper.createOnly.has(name))) };
      });
      const written = await deps.engine.write(tx, context, request.object, items, options);
      written.forEach((result, index) => {
        outcomes.push(outcomeOf(mapper, batch[index]?.line ?? 0, result));
      });
    }
    return outcomes;
  };

  const runJob = async (db: Knex, context: CallContext, request: ImportRequest, mapper: RowMapper, jobId: string): Promise<void> => {
    const seen = new Map<string, number>();
    let after = 0;
    for (;;) {
      const chunk = await stagedChunk(db, jobId, after, chunkRows);
      const last = chunk.at(-1);
      if (last === undefined) return;
      await inTransaction(db, async (tx) => {
        const { read, rejected: unread } = readChunk(mapper, chunk);
        const { rows, rejected: astray } = await resolveReferences(tx, context, request.object, mapper, read);
        const { mapped, rejected: repeated } = keyRows(context, request.object, mapper, rows, seen);
        const written = await writeChunk(tx, context, request, mapper, mapped);
        await recordOutcomes(tx, jobId, [...unread, ...astray, ...repeated, ...written]);
      });
      fault('import.after_chunk');
      after = last.line;
      request.onProgress?.(after);
    }
  };

  const give = async (
    db: Knex,
    jobId: string,
    header: readonly string[],
    onRejected: ((row: RejectedRow, header: readonly string[]) => Promise<void> | void) | undefined,
  ): Promise<void> => {
    if (onRejected === undefined) return;
    let after = 0;
    for (;;) {
      const rejected = await rejectedRows(db, jobId, after, CHUNK);
      const last = rejected.at(-1);
      if (last === undefined) return;
      for (const row of rejected) await onRejected(row, header);
      after = last.line;
    }
  };

  return {
    run: async (db, context, request, onRejected) => {
      const rights = rightsFor(context, request.object);
      if (!rights.canCreate || !rights.canUpdate)
        throw new AppError('forbidden', `Importing ${rights.object.plural} needs the right to create and to change them.`);
      const delimiter = request.delimiter ?? (request.map === null ? undefined : context.model.imports.get(request.map)?.delimiter) ?? ',';
      const file = await readCsv(request.content, delimiter);
      let mapper: RowMapper;
      try {
        mapper = request.map === null ? bindByName(context, request.object, file.header) : bindMap(context, request.map, request.object, file.header);
      } catch (error) {
        await file.close();
        throw error;
      }
      const jobId = context.newId();
      const call: CallContext = { ...context, cause: { kind: 'import', job: jobId } };
      const { principal } = context;
      await insertJob(db, {
        id: jobId,
        object: request.object,
        map: request.map,
        fileName: request.fileName,
        at: context.now,
        by: principal.kind === 'user' ? principal.userId : principal.kind,
      });
      let counts: ImportResult = { read: 0, created: 0, updated: 0, unchanged: 0, rejected: 0 };
      const finish = async (at: Knex): Promise<void> => {
        const found = await countOutcomes(at, jobId);
        const count = (name: string): number => found.get(name) ?? 0;
        counts = {
          read: [...found.values()].reduce((sum, n) => sum + n, 0),
          created: count('created'),
          updated: count('updated'),
          unchanged: count('unchanged'),
          rejected: count('rejected'),
        };
        await give(at, jobId, file.header, onRejected);
      };
      try {
        await stageRows(db, jobId, file.rows);
        fault('import.after_staging');
        if (request.dryRun === true) {
          await db
            .transaction(async (tx) => {
              await runJob(tx, call, request, mapper, jobId);
              await finish(tx);
              throw new DryRunDone();
            })
            .catch((error: unknown) => {
              if (!(error instanceof DryRunDone)) throw error;
            });
        } else {
          await runJob(db, call, request, mapper, jobId);
          await finish(db);
        }
        await finishJob(db, jobId, request.dryRun === true ? 'dry-run' : 'done', counts, context.now);
      } catch (error) {
        await finishJob(db, jobId, 'failed', counts, context.now);
        throw error;
      } finally {
        await file.close();
        await dropStaging(db, jobId);
      }
      return counts;
    },
  };
}
