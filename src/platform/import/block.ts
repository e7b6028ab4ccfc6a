import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import type { ErrorDetail } from '../errors.ts';
import { isUuid } from '../ids.ts';
import { FIELD_TYPES } from '../model/field-types.ts';
import { keyText, matchesByKey, type KeyMatch } from '../query/by-key.ts';
import type { RecordEngine, WriteItem, WriteOutcome } from '../record/types.ts';
import { requireInForce } from '../schema/processes.sql.ts';
import type { RowMapper } from './row-mapper.ts';
import type { ChunkResult } from './progress.sql.ts';
import { resolveReferences, type ReadRow, type Rejection } from './references.ts';
import type { SeenKeys } from './seen-keys.ts';
import type { Block, Finding, ImportSettings } from './types.ts';

/** What does not change from block to block. */
export interface BlockWork {
  readonly engine: RecordEngine;
  readonly context: CallContext;
  readonly object: string;
  readonly settings: ImportSettings;
  readonly mapper: RowMapper;
}

interface KeyedRow extends ReadRow {
  readonly key: string;
  readonly keyValues: readonly unknown[];
}

/** A block that was read by the map; nothing of it is written. */
export interface PreparedBlock {
  readonly block: Block;
  readonly rows: readonly KeyedRow[];
  readonly rejected: readonly Rejection[];
}

/** What became of a block. */
export interface BlockOutcome extends ChunkResult {
  readonly findings: readonly Finding[];
  /** Rows that were, or would be, written: for what only the whole file shows. */
  readonly written: readonly ReadRow[];
}

/** Reads each row by the map. */
function readBlock(mapper: RowMapper, block: Block): { readonly read: readonly ReadRow[]; readonly rejected: Rejection[] } {
  const read: ReadRow[] = [];
  const rejected: Rejection[] = [];
  for (const { line, cells, reason } of block.rows) {
    if (reason !== null) {
      rejected.push({ line, reason, column: null });
      continue;
    }
    const result = mapper.map(cells);
    if ('reason' in result) rejected.push({ line, reason: result.reason, column: result.column });
    else read.push({ line, ...result });
  }
  return { read, rejected };
}

/** Gives each row its key, and keeps the first of those with the same one. */
function keyRows({ context, object, mapper }: BlockWork, read: readonly ReadRow[], seen: SeenKeys) {
  const fields = context.model.objects.get(object)?.fields;
  const rows: KeyedRow[] = [];
  const rejected: Rejection[] = [];
  const parts = mapper.key.map((name) => ({ name, field: fields?.get(name) }));
  for (const row of read) {
    const keyValues = parts.map(({ name, field }) => {
      const value = name === 'id' ? row.id : row.values[name];
      return field === undefined ? null : (FIELD_TYPES[field.kind].parse(value, field) ?? null);
    });
    const key = keyText(keyValues);
    const earlier = parts.length === 0 || keyValues.includes(null) ? null : seen.firstLine(key, row.line);
    if (earlier === null) rows.push({ ...row, key, keyValues });
    else
      rejected.push({ line: row.line, reason: `The row repeats line ${String(earlier)}. Keep one of the two.`, column: mapper.columnOf(mapper.key[0] ?? '') });
  }
  return { rows, rejected };
}

/** Reads a block by the map, puts ids for keys of other records, and sorts out rows that repeat an earlier one. Reads only. */
export async function prepareBlock(db: Knex, work: BlockWork, block: Block, seen: SeenKeys): Promise<PreparedBlock> {
  const { read, rejected: unread } = readBlock(work.mapper, block);
  const { rows: found, rejected: astray } = await resolveReferences(db, work.context, work.object, work.mapper, read);
  const { rows, rejected: repeated } = keyRows(work, found, seen);
  return { block, rows, rejected: [...unread, ...astray, ...repeated] };
}

function reasonOf(errors: readonly ErrorDetail[], message: string): string {
  return errors.length === 0 ? message : errors.map((error) => (error.fix === undefined ? error.detail : `${error.detail} ${error.fix}`)).join(' ');
}

/** What is to be done with a row: write it, leave it, or say why it cannot be. */
function planRow(work: BlockWork, row: KeyedRow, match: KeyMatch | undefined): WriteItem | 'skip' | { readonly reason: string } {
  const { settings, mapper, context, object } = work;
  if (match === undefined) {
    const label = context.model.objects.get(object)?.label ?? object;
    if (row.id !== null && mapper.key.includes('id')) return { reason: `There is no ${label} with this id, or you may not see it.` };
    return settings.missing === 'skip' ? 'skip' : { kind: 'create', values: row.values };
  }
  if (match.count > 1) return { reason: `${String(match.count)} records have this ${mapper.key.join(' and ')}; it must find one.` };
  if (settings.existing === 'skip') return 'skip';
  const { createOnly } = mapper;
  const values = createOnly.size === 0 ? row.values : Object.fromEntries(Object.entries(row.values).filter(([name]) => !createOnly.has(name)));
  // The system's own writes win under lock; a person's must not go over what somebody else wrote since the row was matched.
  const version = context.principal.kind === 'system' ? {} : { version: match.version };
  return { kind: 'update', id: match.id, values, ...version };
}

interface Tally {
  created: string[];
  updated: { readonly id: string; readonly version: number }[];
  unchanged: number;
  skipped: number;
  rejected: Rejection[];
  written: ReadRow[];
}

/** Times that rows are matched anew whose records somebody changed between match and write. */
const MOST_TRIES = 3;

/** Writes a prepared block through the record engine, with the rights of the caller. */
export async function writeBlock(tx: Knex.Transaction, work: BlockWork, prepared: PreparedBlock): Promise<BlockOutcome> {
  const tally: Tally = { created: [], updated: [], unchanged: 0, skipped: 0, rejected: [...prepared.rejected], written: [] };
  let left = prepared.rows;
  for (let attempt = 1; left.length > 0; attempt += 1) left = await writeRows(tx, work, left, tally, attempt === MOST_TRIES);
  const cells = new Map(prepared.block.rows.map((row) => [row.line, row.cells]));
  const findings = tally.rejected.map((rejection): Finding => ({ ...rejection, cells: cells.get(rejection.line) ?? [], recordId: null }));
  // Rows are rejected for good: not by metadata that was replaced.
  if (findings.length > 0) await requireInForce(tx, work.context.model.version);
  const { created, updated, unchanged, skipped, written } = tally;
  const counts = { created: created.length, updated: updated.length, unchanged, skipped, rejected: findings.length };
  return { counts, createdIds: created, updated, findings, written };
}

/** One try: answers the rows that are to be matched anew. */
async function writeRows(tx: Knex.Transaction, work: BlockWork, rows: readonly KeyedRow[], tally: Tally, isLast: boolean): Promise<readonly KeyedRow[]> {
  const { engine, context, object, mapper, settings } = work;
  const keys = rows.filter(({ keyValues }) => !mapper.key.includes('id') || isUuid(keyValues[mapper.key.indexOf('id')])).map(({ keyValues }) => keyValues);
  const matches = mapper.key.length === 0 ? new Map<string, KeyMatch>() : await matchesByKey(tx, context, object, mapper.key, keys);
  const batches: Record<'update' | 'create', { row: KeyedRow; item: WriteItem }[]> = { update: [], create: [] };
  for (const row of rows) {
    const plan = planRow(work, row, matches.get(row.key));
    if (plan === 'skip') tally.skipped += 1;
    else if ('reason' in plan) tally.rejected.push({ line: row.line, reason: plan.reason, column: mapper.columnOf(mapper.key[0] ?? '') });
    else batches[plan.kind === 'update' ? 'update' : 'create'].push({ row, item: plan });
  }
  const again: KeyedRow[] = [];
  for (const batch of [batches.update, batches.create]) {
    const items = batch.map(({ item }) => item);
    const outcomes = await engine.write(tx, context, object, items, { mode: 'each', events: settings.rules === 'all' ? 'chunk' : 'none' });
    for (const [index, outcome] of outcomes.entries()) {
      const row = batch[index]?.row;
      if (row === undefined) continue;
      if (!outcome.ok && outcome.code === 'conflict_version' && !isLast) again.push(row);
      else count(tally, mapper, row, outcome);
    }
  }
  return again;
}

function count(tally: Tally, mapper: RowMapper, row: KeyedRow, outcome: WriteOutcome): void {
  if (!outcome.ok) {
    const field = outcome.errors[0]?.pointer.split('/')[1];
    tally.rejected.push({ line: row.line, reason: reasonOf(outcome.errors, outcome.message), column: field === undefined ? null : mapper.columnOf(field) });
    return;
  }
  tally.written.push(row);
  if (outcome.created) tally.created.push(outcome.id);
  else if (outcome.changed) tally.updated.push({ id: outcome.id, version: outcome.version });
  else tally.unchanged += 1;
}
