import type { Knex } from 'knex';
import type { Clock } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import { AppError } from '../errors.ts';
import { emptySet } from '../metadata/kinds.ts';
import { canonicalJson, contentHash, fromStored, toStored } from '../metadata/store-form.ts';
import type { MetadataPackage } from '../metadata/load.ts';
import type { MetadataSet } from '../metadata/types.ts';
import type { PhysicalNames } from '../model/physical.ts';
import { platformTable, rows, run, sql } from '../sql.ts';
import { namesFromJson } from './names.sql.ts';
import type { VersionEntry } from './types.ts';

/** A version of the metadata as it was applied. */
export interface Recorded {
  readonly version: number;
  /** What is in force: the files with the local changes. */
  readonly set: MetadataSet;
  /** What the files said. */
  readonly files: MetadataSet;
  readonly package: MetadataPackage | null;
  /** Names in the database; null for versions of an earlier release. */
  readonly names: PhysicalNames | null;
}

/** The version in force; 0 when nothing was ever applied. */
export async function currentVersion(db: Knex): Promise<number> {
  const [row] = await rows(db, sql`select coalesce(max(version), 0) as version from ${platformTable(db, 'metadata_version')}`);
  return Number(row?.['version'] ?? 0);
}

/** A version as it was applied; version 0 is empty. @throws AppError not_found */
export async function readVersion(db: Knex, version: number): Promise<Recorded> {
  if (version === 0) return { version, set: emptySet(), files: emptySet(), package: null, names: new Map() };
  const [row] = await rows(
    db,
    sql`select content, files, package, package_files, names from ${platformTable(db, 'metadata_version')} where version = ${version}::int`,
  );
  if (row === undefined) throw new AppError('not_found', `There is no version ${String(version)} of the metadata.`);
  const set = fromStored(row['content']);
  const name = row['package'];
  return {
    version,
    set,
    files: row['files'] === null ? set : fromStored(row['files']),
    package: typeof name === 'string' && row['package_files'] !== null ? packageOf(name, row['package_files']) : null,
    names: namesFromJson(row['names']),
  };
}

/** What the Model of a version is compiled from; the fingerprint of the set is missing for no version at all. */
export interface InForce extends Pick<Recorded, 'set' | 'names'> {
  readonly hash?: string;
}

/** Of a version only what the Model is compiled from: other processes wait for it. Reads only. @throws AppError not_found */
export async function readInForce(db: Knex, version: number): Promise<InForce> {
  if (version === 0) return { set: emptySet(), names: new Map() };
  const [row] = await rows(db, sql`select content, hash, names from ${platformTable(db, 'metadata_version')} where version = ${version}::int`);
  if (row === undefined) throw new AppError('not_found', `There is no version ${String(version)} of the metadata.`);
  return { set: fromStored(row['content']), names: namesFromJson(row['names']), hash: String(row['hash']) };
}

const REMOVED = ':removed';

/** Boundary: a package as `writeVersion` kept it. */
function packageOf(name: string, content: unknown): MetadataPackage {
  const removed: unknown = typeof content === 'object' && content !== null ? Reflect.get(content, REMOVED) : [];
  return { name, set: fromStored(content), removed: Array.isArray(removed) ? removed.map(String) : [] };
}

/** Puts a version in force; it is never changed again. Writes. */
export async function writeVersion(
  tx: Knex.Transaction,
  clock: Clock,
  entry: Omit<Recorded, 'names'> & {
    readonly names: PhysicalNames;
    readonly by: string;
    readonly planHash: string;
    readonly note: string | null;
    readonly announcement: string;
  },
): Promise<void> {
  const content = toStored(entry.set);
  const files = toStored(entry.files);
  const filesText = canonicalJson(files) === canonicalJson(content) ? null : JSON.stringify(files);
  const packageText = entry.package === null ? null : JSON.stringify({ ...toStored(entry.package.set), [REMOVED]: entry.package.removed });
  await run(
    tx,
    sql`insert into ${platformTable(tx, 'metadata_version')} (version, hash, content, files, package, package_files, names, plan_hash, note, announcement, created_at, created_by)
        values (${entry.version}, ${contentHash(content)}, ${JSON.stringify(content)}::json, ${filesText}::json, ${entry.package?.name ?? null}, ${packageText}::json,
          ${JSON.stringify([...entry.names.values()])}::json, ${entry.planHash}, ${entry.note}, ${entry.announcement}::uuid, ${clock.now()}::timestamptz, ${entry.by})`,
  );
}

/** The latest versions, the newest first. Reads only. */
export async function listVersions(db: Knex, limit: number): Promise<readonly VersionEntry[]> {
  const found = await rows(
    db,
    sql`select version, hash, created_at, created_by, package, note from ${platformTable(db, 'metadata_version')} order by version desc limit ${limit}`,
  );
  return found.map((row) => ({
    version: Number(row['version']),
    hash: String(row['hash']),
    createdAt: toRfc3339(String(row['created_at'])),
    createdBy: String(row['created_by']),
    package: typeof row['package'] === 'string' ? row['package'] : null,
    note: typeof row['note'] === 'string' ? row['note'] : null,
  }));
}
