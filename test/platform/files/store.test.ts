import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { AppError } from '../../../src/platform/errors.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { makeFileStore } from '../../../src/platform/files/store.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';

const AT = '2026-03-02T15:00:00.000Z';
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

describe('file store', () => {
  let base: TestDatabase;
  const store = makeFileStore({ newId: randomUUID, maxBytes: 2_000_000 });
  const put = (name: string, mediaType: string, bytes: Uint8Array) =>
    inTransaction(base.db, (tx) => store.put(tx, { name, mediaType, bytes, by: 'test', at: AT }));
  const refused = async (work: Promise<unknown>): Promise<AppError> => {
    try {
      await work;
    } catch (error) {
      if (error instanceof AppError) return error;
      throw error;
    }
    throw new Error('It was not refused.');
  };

  before(async () => {
    base = await makeTestDatabase();
  });
  after(() => base.drop());

  it('gives back the same bytes, in chunks of 256 KB, and keeps equal bytes once', async () => {
    const bytes = Buffer.concat([Buffer.from('%PDF-1.7\n'), Buffer.alloc(700_000, 'x')]);
    const first = await put('a.pdf', 'application/octet-stream', bytes);
    const second = await put('b.PDF', 'application/pdf', bytes);
    expect(first.mediaType).to.equal('application/pdf');
    expect(second.sha256).to.equal(first.sha256);
    expect(second.id).not.to.equal(first.id);
    expect(Buffer.compare(Buffer.from(await store.read(base.db, second.id)), bytes)).to.equal(0);
    const chunks = await rows(base.db, sql`select ordinal, length(bytes) as size from credenza.file_chunk where sha256 = ${first.sha256} order by ordinal`);
    expect(chunks.map((row) => row['size'])).to.deep.equal([262_144, 262_144, 175_721]);
    expect(await store.stat(base.db, first.id)).to.deep.equal(first);
  });

  it('keeps equal bytes once when two transactions store them at the same time', async () => {
    const bytes = Buffer.from('name,npi\nsame,1\n');
    const stored = await Promise.all(Array.from({ length: 6 }, (_, index) => put(`r${index}.csv`, 'text/csv', bytes)));
    const [row] = await rows(base.db, sql`select count(*)::int as n from credenza.file_chunk where sha256 = ${stored[0]?.sha256 ?? ''}`);
    expect(row?.['n']).to.equal(1);
    expect(stored.map((file) => file.mediaType)).to.deep.equal(Array.from({ length: 6 }, () => 'text/csv'));
  });

  it('stores nothing when the transaction is rolled back', async () => {
    const bytes = Buffer.from('never kept');
    await inTransaction(base.db, async (tx) => {
      await store.put(tx, { name: 'n.txt', mediaType: 'text/plain', bytes, by: 'test', at: AT });
      throw new Error('changed my mind');
    }).catch((error: unknown) => expect(String(error)).to.contain('changed my mind'));
    const [row] = await rows(base.db, sql`select count(*)::int as n from credenza.file where name = 'n.txt'`);
    expect(row?.['n']).to.equal(0);
  });

  it('believes the bytes, not the claim, and says per cause why a file is refused', async () => {
    expect((await put('x.png', 'application/pdf', PNG)).mediaType).to.equal('image/png');
    expect((await put('mail', 'message/rfc822', Buffer.from('From: a@b.example\r\n\r\nHi'))).mediaType).to.equal('message/rfc822');
    const cases: readonly [string, string, Uint8Array, string, string][] = [
      ['empty.pdf', 'application/pdf', Buffer.alloc(0), 'validation_failed', 'file_empty'],
      ['big.txt', 'text/plain', Buffer.alloc(2_000_001, 'a'), 'payload_too_large', 'file_too_large'],
      ['page.html', 'text/html', Buffer.from('<html></html>'), 'unsupported_media_type', 'file_type'],
      ['x.svg', 'image/svg+xml', Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'), 'unsupported_media_type', 'file_type'],
      ['run.exe', 'application/pdf', Buffer.concat([Buffer.from('MZ'), Buffer.alloc(200)]), 'unsupported_media_type', 'file_type'],
      ['a.zip', 'application/pdf', Buffer.from('504b0304140000000800', 'hex'), 'unsupported_media_type', 'file_type'],
      ['shell.pHaR', 'image/png', PNG, 'unsupported_media_type', 'file_ending'],
      ['a.pdf', 'text/plain', Buffer.from('only text'), 'unsupported_media_type', 'file_ending'],
      ['nul.txt', 'text/plain', Buffer.from('a\0b'), 'unsupported_media_type', 'file_type'],
      ['..', 'text/plain', Buffer.from('x'), 'validation_failed', 'required'],
    ];
    for (const [name, type, bytes, code, detail] of cases) {
      const error = await refused(put(name, type, bytes));
      expect([name, error.code, error.errors[0]?.code]).to.deep.equal([name, code, detail]);
    }
  });

  it('takes path and control characters out of names', async () => {
    expect((await put('../../etc/pass\u0000wd\u202Efdp.txt', 'text/plain', Buffer.from('x'))).name).to.equal('passwdfdp.txt');
  });

  it('says when a file does not exist, and when its bytes were changed', async () => {
    expect((await refused(store.read(base.db, randomUUID()))).code).to.equal('not_found');
    expect(await store.stat(base.db, 'no uuid')).to.equal(null);
    const file = await put('t.txt', 'text/plain', Buffer.from('the truth'));
    await base.db.raw('update credenza.file_chunk set bytes = ? where sha256 = ?', [Buffer.from('the lie!!'), file.sha256]);
    expect((await refused(store.read(base.db, file.id))).code).to.equal('internal');
  });
});
