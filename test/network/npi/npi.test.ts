import { expect } from 'chai';
import fc from 'fast-check';
import { isNpi, withCheckDigit } from '../../../src/network/npi/npi.ts';
import { isNpiSql } from '../../../src/network/npi/npi.sql.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase } from '../../support/database.ts';

describe('isNpi', () => {
  it('answers in SQL as in JavaScript: right and wrong check digits, other lengths, other digits, null', async () => {
    const nine = fc.integer({ min: 100_000_000, max: 299_999_999 }).map(String);
    const digit = fc.integer({ min: 0, max: 9 }).map(String);
    const some = fc.sample(
      fc.oneof(
        nine.map(withCheckDigit),
        fc.tuple(nine, digit).map(([start, last]) => start + last),
        fc.stringMatching(/^[0-9]{9,11}$/),
        fc.constantFrom('', '123456789', '12345678930', ' 1234567893', '1234567893\n', '१२३४५६७८९३', '1234567893é', '3234567893'),
      ),
      { numRuns: 2000, seed: 7 },
    );
    const { db, drop } = await makeTestDatabase();
    try {
      const found = await rows(db, sql`select t.v, ${isNpiSql(sql`t.v`)} as answer from unnest(${some}::text[]) as t (v)`);
      for (const row of found) expect(row['answer'], JSON.stringify(row['v'])).to.equal(isNpi(row['v']));
      expect(found.length).to.equal(some.length);
      const right = some.filter(isNpi).length;
      process.stdout.write(`      ${String(some.length)} texts, ${String(right)} of them NPIs\n`);
      expect(right).to.be.within(400, 1600);
      const [none] = await rows(db, sql`select ${isNpiSql(sql`null::text`)} as answer`);
      expect(none?.['answer']).to.equal(null);
    } finally {
      await drop();
    }
  });
});
