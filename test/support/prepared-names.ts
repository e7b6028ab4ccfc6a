import type { Knex } from 'knex';
import { rows, sql } from '../../src/platform/sql.ts';

/** Names of the statements that PostgreSQL holds prepared for each connection of a pool, all connections asked at one time. */
export async function preparedNames(db: Knex, poolSize: number): Promise<readonly (readonly string[])[]> {
  let arrived = 0;
  let open = (): void => undefined;
  const together = new Promise<void>((resolve) => (open = resolve));
  const ask = (): Promise<readonly string[]> =>
    db.transaction(async (tx) => {
      if ((arrived += 1) === poolSize) open();
      await together;
      return (await rows(tx, sql`select name from pg_prepared_statements order by name`)).map((row) => String(row['name']));
    });
  return Promise.all(Array.from({ length: poolSize }, ask));
}
