import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import { contentHash, fromStored, toStored } from '../metadata/store-form.ts';
import type { MetadataSet } from '../metadata/types.ts';
import type { PhysicalNames } from '../model/physical.ts';
import { platformTable, rows, run, sql } from '../sql.ts';
import { namesFromJson } from './names.sql.ts';

/** What the next version will be, so that every process can compile it before it is in force. */
export interface Announced {
  readonly id: string;
  readonly version: number;
  readonly hash: string;
  readonly set: MetadataSet;
  readonly names: PhysicalNames;
}

/** A process that was not heard of for so long is not waited for: it takes the version up when it finds it. */
const HEARD_SECONDS = 3;
const GIVE_UP_MS = 3_000;
const WAIT_MS = 25;

/** Says what the next version will be, in the place of what was said before; answers under which id. Writes. */
export async function announce(db: Knex, next: Pick<Announced, 'version' | 'set' | 'names'>): Promise<string> {
  const id = randomUUID();
  const table = platformTable(db, 'metadata_announced');
  const content = toStored(next.set);
  await db.transaction(async (tx) => {
    await run(tx, sql`delete from ${table}`);
    await run(
      tx,
      sql`insert into ${table} (id, version, hash, content, names)
          values (${id}, ${next.version}, ${contentHash(content)}, ${JSON.stringify(content)}::json, ${JSON.stringify([...next.names.values()])}::json)`,
    );
  });
  return id;
}

/** What was announced under an id; null when something else was meanwhile. Reads only. */
export async function readAnnounced(db: Knex, id: string): Promise<Announced | null> {
  const [row] = await rows(db, sql`select version, hash, content, names from ${platformTable(db, 'metadata_announced')} where id = ${id}::uuid`);
  const names = row === undefined ? null : namesFromJson(row['names']);
  if (row === undefined || names === null) return null;
  return { id, version: Number(row['version']), hash: String(row['hash']), set: fromStored(row['content']), names };
}

/** True when the version in force is the one that was announced under the id. Reads only. */
export async function isAnnounced(db: Knex, version: number, id: string): Promise<boolean> {
  const found = await rows(db, sql`select 1 from ${platformTable(db, 'metadata_version')} where version = ${version}::int and announcement = ${id}::uuid`);
  return found.length > 0;
}

/** Says that a process has compiled what was announced. Writes. */
export async function sayReady(db: Knex, process: string, id: string): Promise<void> {
  await run(db, sql`update ${platformTable(db, 'process')} set ready = ${id}::uuid where id = ${process}`);
}

/**
 * Waits until every process that lives has compiled what was announced, for three seconds at the most: a process that is not ready
 * compiles it once it is in force, and its writes wait meanwhile.
 * @returns the processes that were not ready
 */
export async function waitUntilReady(db: Knex, id: string): Promise<readonly string[]> {
  const start = performance.now();
  for (;;) {
    const found = await rows(
      db,
      sql`select id from ${platformTable(db, 'process')}
          where ready is distinct from ${id}::uuid and seen_at > clock_timestamp() - make_interval(secs => ${HEARD_SECONDS})`,
    );
    if (found.length === 0 || performance.now() - start > GIVE_UP_MS) return found.map((row) => String(row['id']));
    await delay(WAIT_MS);
  }
}
