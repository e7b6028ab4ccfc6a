import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { Clock } from '../clock.ts';
import { contentHash, toStored } from '../metadata/store-form.ts';
import { withLease } from './lease.sql.ts';
import { readPhysicalNames } from './names.sql.ts';
import { currentVersion, readVersion, writeVersion, type Recorded } from './versions.sql.ts';

export interface Reissuer {
  readonly db: Knex;
  readonly clock: Clock;
  /** Called once the new version is in force. */
  readonly onVersion: () => Promise<void>;
}

/**
 * Puts the metadata in force again as it is, as a version of its own, together with what `within` writes: every process takes up within a
 * second what its Model depends on besides the metadata. Waits for a change of metadata that is under way. Writes.
 * @returns the new version
 * @throws AppError conflict_state when another process changes metadata for two minutes; whatever `within` throws
 */
export function reissue(
  { db, clock, onVersion }: Reissuer,
  by: string,
  note: string,
  within: (tx: Knex.Transaction, recorded: Recorded) => Promise<void>,
): Promise<number> {
  return withLease(db, 'metadata', async (lease) => {
    const recorded = await readVersion(db, await currentVersion(db));
    const names = recorded.names ?? (await readPhysicalNames(db));
    const version = recorded.version + 1;
    await lease.renew(db);
    await db.transaction(async (tx) => {
      await within(tx, recorded);
      const planHash = contentHash(toStored(recorded.set));
      // What was announced was compiled without what `within` writes: no process may take that up.
      await writeVersion(tx, clock, { ...recorded, version, names, by, planHash, note, announcement: randomUUID() });
    });
    await onVersion();
    return version;
  });
}
