import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import { runCommand } from '../../src/cli/main.ts';
import { EXTENSIONS, metadataDirectories } from '../../src/extensions.ts';
import type { CallContext } from '../../src/platform/access/types.ts';
import { systemCall } from '../../src/platform/automation/call-context.ts';
import { makeVirtualClock } from '../../src/platform/clock.ts';
import { inTransaction } from '../../src/platform/db.ts';
import { makeFileStore } from '../../src/platform/files/store.ts';
import { seededRandom } from '../../src/platform/ids.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { makeReader } from '../../src/platform/query/reader.ts';
import { makeRecordEngine } from '../../src/platform/record/engine.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { kindFields, kindValues, withKinds } from '../platform/record/fixtures/kinds.ts';
import { makeShippedDatabase, type TestDatabase } from '../support/database.ts';

const RECORDS = 150;
const NAMES = Object.keys(kindFields('sample'));

describe('values of every kind in files', function () {
  this.timeout(300_000);
  let database: TestDatabase;
  let directory: string;
  let context: CallContext;
  const engine = makeRecordEngine();
  const reader = makeReader();

  before(async () => {
    database = await makeShippedDatabase();
    directory = mkdtempSync(join(tmpdir(), 'credenza-kinds-'));
    const clock = makeVirtualClock('2026-11-16T15:00:00.000Z');
    const store = makeModelStore({ db: database.db, clock, extensions: EXTENSIONS });
    await store.apply(withKinds(loadMetadata(metadataDirectories([]))), 'test');
    context = systemCall(await store.load(), clock, seededRandom(1), 'test');
    const create = async (object: string, values: Readonly<Record<string, unknown>>): Promise<string> =>
      (await engine.writeOne(database.db, context, object, { kind: 'create', values })).id;
    const [plot, shed] = [await create('Plot', { name: 'a' }), await create('Shed', { name: 'b' })];
    const file = { name: 'a.txt', mediaType: 'text/plain', bytes: Buffer.from('words'), by: 'test', at: context.now };
    const { id } = await inTransaction(database.db, (tx) => makeFileStore({ maxBytes: 1000, newId: context.newId }).put(tx, file));
    for (const values of fc.sample(kindValues([plot], [shed], [id]), { numRuns: RECORDS, seed: 20_270_502 })) await create('Sample', values);
  });
  after(async () => {
    await database.drop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function credenza(...words: readonly string[]): Promise<string> {
    let [out, said] = ['', ''];
    const io = {
      out: (text: string) => void (out += text),
      say: (text: string) => void (said += text),
      stdin: Readable.from([]),
      isTerminal: false,
      directory,
    };
    const code = await runCommand(words, io, { DATABASE_URL: database.url });
    expect(code, said).to.equal(0);
    return out;
  }

  for (const format of ['csv', 'ndjson'] as const) {
    it(`are exported as ${format} and imported again as they were`, async () => {
      const kept = await reader.list(database.db, context, { object: 'Sample', fields: NAMES, sort: ['id'], limit: 500 });
      expect(kept.data).to.have.length(RECORDS);
      const before = await reader.list(database.db, context, { object: 'Copy', fields: NAMES, sort: ['id'], limit: 500 });
      writeFileSync(join(directory, `samples.${format}`), await credenza('export', 'Sample', '--format', format, '--fields', NAMES.join()));
      const result: unknown = JSON.parse(await credenza('import', 'Copy', `samples.${format}`, '--json'));
      expect(result).to.deep.equal({ read: RECORDS, created: RECORDS, updated: 0, unchanged: 0, rejected: 0 });
      const after = await reader.list(database.db, context, { object: 'Copy', fields: NAMES, sort: ['id'], limit: 500 });
      const fresh = after.data.filter((record) => !before.data.some((other) => other.id === record.id));
      const plain = (records: typeof kept.data): readonly string[] => records.map((record) => JSON.stringify(NAMES.map((name) => record[name]))).sort();
      expect(plain(fresh)).to.deep.equal(plain(kept.data));
      process.stdout.write(`      ${String(RECORDS)} records of ${String(NAMES.length)} kinds\n`);
    });
  }

  it('leave numbers unharmed and begin no formula', async () => {
    const id = (await engine.writeOne(database.db, context, 'Plot', { kind: 'create', values: { name: '=1+1' } })).id;
    const sample = { text: '-5', money: '-5.25', geo: '-42.5, -72.5', reference: id, textList: ['@a', '=b'] };
    await engine.writeOne(database.db, context, 'Sample', { kind: 'create', values: sample });
    const out = await credenza('export', 'Sample', '--filter', `reference == '${id}'`, '--fields', 'text,money,textList,plotName');
    expect(out).to.equal("text,money,textList,plotName\r\n-5,-5.25,'@a;=b,'=1+1\r\n");
  });
});
