import { expect } from 'chai';
import { openDb } from '../../../src/platform/db.ts';
import { dropStaging, stagedBlock, stageRows } from '../../../src/platform/import/staging.sql.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import type { StagedRow } from '../../../src/platform/import/types.ts';
import { makeTestDatabase, TEST_SCHEMA, type TestDatabase } from '../../support/database.ts';

const TIMEOUT_MS = 100;

/** Rows of a file that is longer than a statement may take. */
async function* longFile(): AsyncGenerator<StagedRow> {
  const start = performance.now();
  for (let line = 2; performance.now() - start < 5 * TIMEOUT_MS; line += 1) {
    yield { line, cells: [`row ${String(line)}`, 'x'.repeat(500)], reason: null };
    if (line % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('the staging of a file', () => {
  let test: TestDatabase;
  before(async () => {
    test = await makeTestDatabase();
  });
  after(() => test.drop());

  it('takes as long as the file does, whatever a statement may take, and leaves no block when it is dropped', async () => {
    const db = openDb({ url: test.url, schema: TEST_SCHEMA, poolSize: 2, statementTimeoutMs: TIMEOUT_MS });
    try {
      const job = crypto.randomUUID();
      const count = await stageRows(db, job, longFile(), 10);
      expect(count).to.be.greaterThan(500);
      expect((await stagedBlock(db, job, 0))?.rows[0]?.cells[0]).to.equal('row 2');
      await dropStaging(db, job);
      const [left] = await rows(db, sql`select count(*)::int as n from credenza.import_block`);
      expect(left?.['n']).to.equal(0);
    } finally {
      await db.destroy();
    }
  });
});
