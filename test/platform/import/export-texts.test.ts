import { expect } from 'chai';
import fc from 'fast-check';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { csvLine } from '../../../src/platform/import/csv-text.ts';
import { exportRecords } from '../../../src/platform/import/export.ts';
import { csvRows, ndjsonRows, type Column } from '../../../src/platform/import/record-rows.ts';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import { emptySet } from '../../../src/platform/metadata/kinds.ts';
import type { FieldSchema, ObjectFile } from '../../../src/platform/metadata/types.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { walkRecords, walkTexts } from '../../../src/platform/query/walk.ts';
import { ident, run, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { ANNA, BERT, createTables, id, insert, smallModel, staffSet, user } from '../query/support.ts';
import { kindFields } from '../record/fixtures/kinds.ts';
import { objectFile } from '../schema/builders.ts';

const MADE: Readonly<Record<string, FieldSchema>> = {
  doubled: { type: 'integer', 'x-formula': 'integer * 2' },
  parted: { type: 'number', 'x-formula': 'decimal / 3' },
  huge: { type: 'integer', 'x-formula': 'integer * 1000000000000' },
  full: { type: 'string', 'x-formula': "text + ' / ' + picklist" },
  isLate: { type: 'boolean', 'x-formula': "date != null && date < date('2026-06-01')" },
  seen: { type: 'string', format: 'date-time', 'x-formula': 'instant' },
  until: { type: 'string', format: 'date', 'x-formula': 'date' },
  words: { type: 'array', items: { type: 'string' }, 'x-formula': '[text, picklist]' },
  plotName: { type: 'string', 'x-formula': 'reference.name' },
  secret: { type: 'string', 'x-sensitive': 'restricted' },
};

const objects: Readonly<Record<string, ObjectFile>> = {
  Sample: objectFile('Sample', { ...kindFields('sample'), ...MADE }),
  Plot: objectFile('Plot', { name: { type: 'string' }, notes: { type: 'string', format: 'multiline' }, said: { type: 'string', 'x-formula': 'notes' } }),
  Shed: objectFile('Shed', { name: { type: 'string' } }),
};
const SETS = [
  staffSet('reader', { Sample: { read: true, export: true }, Plot: { read: true, export: true } }),
  staffSet('own', { Sample: { read: { where: 'ownerId == user' }, fields: ['*', 'secret'] } }),
];

const HARD = [
  ...['=1+1', "'=x", "'x", '-5', '-', '+', '+1 413', '+14135550100', '-1,000.5%', '1e5', '@a', '=HYPERLINK("http://x","y")', '+"a",b', '-a b'],
  ...['a;b', 'a,b', '"', 'say "so"', '\\', 'back\\slash', '(round)', '{curly}', '[1]', '{', '}', 'NULL', 'null', 'N', "O'Neil", 'f', 't'],
  ...[' lead', 'trail ', ' ', '\tx', 'x\t', 'a\tb', '\r\n', 'two\nlines', '\u00a0x', 'x\u2003', '\ufeff', 'x\ufeff', '\u2028', 'x\u3000y', '\u0085', '\u000b'],
  ...['é', 'né', 'Éclair au chocolat', '東京', '😀 smile', 'e\u0301', '\u0001', 'a\u007fb', '\u001f', '`~!#$%^&*_|<>?/:'],
  'long, '.repeat(2_000),
];
const text = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(...HARD) },
  fc.string({ unit: 'grapheme', maxLength: 20 }).map((value) => value.replaceAll('\u0000', '')),
  fc.string({ unit: fc.constantFrom(...`'"\\,;(){}[]=+-@ \t\r\n1aN`), maxLength: 6 }),
);
const whole = fc.constantFrom(
  '0',
  '7',
  '-12',
  '12.0',
  '999999999999999',
  '-999999999999999',
  '1000000000000000',
  '9007199254740993',
  '123456789012345678901234',
);
const decimal = fc.constantFrom('0', '12.50', '-0.000001', '1000000', '123456789012345678901234.5', '0.10');
const list = fc.array(fc.option(text), { maxLength: 4 });
const geo = fc.constantFrom('42.1015000,-72.5898000', '0,0', '-33.9,151.2');
const json = fc
  .jsonValue()
  .filter((value) => value !== null && !JSON.stringify(value).includes('\\u0000'))
  .map((value) => JSON.stringify(value));

/** Stored values of every kind, more than the checks of a write would let in. */
const values = fc.record(
  {
    ...Object.fromEntries(
      ['text', 'longText', 'richText', 'email', 'phone', 'url', 'time', 'duration', 'picklist', 'secret'].map((name) => [name, text] as const),
    ),
    integer: whole,
    decimal,
    money: decimal,
    percent: decimal,
    boolean: fc.boolean(),
    date: fc.constantFrom('2024-02-29', '1900-01-01', '0044-03-15 BC', '12026-01-01'),
    instant: fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-01T08:30:00.1Z', '1999-12-31T23:59:59.12Z', '2026-06-01T12:00:00.123Z', '0001-01-01T00:00:00Z'),
    multiPicklist: fc.oneof(fc.array(fc.constantFrom('red', 'sky-blue', 'green', 'Next', 'NULL'), { maxLength: 3 }), list),
    textList: list,
    reference: fc.constantFrom(id(901), id(902)),
    polymorphic: fc.constantFrom({ object: 'Plot', id: id(901) }, { object: 'Shed', id: id(903) }),
    address: fc.record({ line1: text, city: text }).map((value) => JSON.stringify(value)),
    geo,
    json,
    file: fc.constant(id(904)),
    ownerId: fc.constantFrom(ANNA, BERT),
  },
  { requiredKeys: ['ownerId'] },
);

async function bytesOf(content: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

describe('a file written from the texts of PostgreSQL', () => {
  let database: TestDatabase;
  let model: Model;
  const RECORDS = 400;

  before(async () => {
    const colors = { name: 'colors', values: [{ code: 'red', label: 'Red' }] };
    const set = completeIds({ ...emptySet(), objects: new Map(Object.entries(objects)), valueSets: new Map([['colors', colors]]) });
    model = smallModel(SETS, set);
    database = await makeTestDatabase();
    await createTables(database.db, model);
    for (const [index, name] of ['North, "old"', 'South'].entries()) await insert(database.db, model, 'Plot', { id: id(901 + index), name });
    const found = fc.sample(values, { numRuns: RECORDS, seed: 20_261_122 });
    for (const [index, record] of found.entries()) await insert(database.db, model, 'Sample', { ...record, id: id(1_000 + index) });
    for (const [index, hard] of HARD.entries())
      await insert(database.db, model, 'Sample', {
        id: id(5_000 + index),
        text: hard,
        longText: hard,
        textList: [hard],
        multiPicklist: ['a', hard],
        ownerId: ANNA,
      });
  });
  after(() => database.drop());

  const export_ = async (context: CallContext, format: 'csv' | 'ndjson', fields: readonly string[]): Promise<string> =>
    bytesOf((await exportRecords(database.db, context, { object: 'Sample', format, fields })).content);

  /** The same file made of the records that every other read gives. */
  async function fromRecords(context: CallContext, format: 'csv' | 'ndjson', fields: readonly string[]): Promise<string> {
    const columns = fields.map((name): Column => ({ name, field: model.objects.get('Sample')?.fields.get(name) ?? null }));
    const pages = walkRecords(database.db, context, { object: 'Sample', fields });
    return format === 'csv' ? csvLine(fields) + (await bytesOf(csvRows(columns, pages))) : bytesOf(ndjsonRows(columns, pages));
  }

  const readable = (): readonly string[] => [...(model.objects.get('Sample')?.fields.keys() ?? [])].filter((name) => name !== 'deletedAt' && name !== 'secret');
  const reader = (): CallContext => user(model, ['reader']);
  const isFromTexts = (context: CallContext, fields: readonly string[]): boolean => walkTexts(database.db, context, { object: 'Sample', fields }) !== null;

  for (const format of ['csv', 'ndjson'] as const) {
    it(`is as ${format} byte for byte what the values are written as, for every kind of field`, async () => {
      const fields = readable();
      expect(isFromTexts(reader(), fields)).to.equal(true);
      const expected = await fromRecords(reader(), format, fields);
      expect(expected.length).to.be.greaterThan(100_000);
      expect(await export_(reader(), format, fields)).to.equal(expected);
    });

    it(`has as ${format} each field alone, two of them, and all in another order, as the values are written`, async () => {
      const fields = readable();
      for (const asked of [...fields.map((name) => [name]), ['polymorphic', 'text'], ['text', 'polymorphic', 'text'], [...fields].reverse()])
        expect(await export_(reader(), format, asked), asked.join()).to.equal(await fromRecords(reader(), format, asked));
    });

    it(`shows as ${format} a masked value only where its caller may read it`, async () => {
      const context = user(model, ['reader', 'own']);
      const fields = ['id', 'ownerId', 'secret', 'text', 'full', 'parted', 'multiPicklist'];
      expect(isFromTexts(context, fields)).to.equal(true);
      const file = await export_(context, format, fields);
      expect(file).to.equal(await fromRecords(context, format, fields));
      const shown = new Set<unknown>();
      for await (const page of walkRecords(database.db, context, { object: 'Sample', fields }))
        for (const record of page) if (record['secret'] !== null) shown.add(record['ownerId']);
      expect([...shown]).to.deep.equal([ANNA]);
    });

    it(`is as ${format} made of records where the name of a record is asked for, which the product makes`, async () => {
      const fields = ['text', 'displayName'];
      expect(isFromTexts(reader(), fields)).to.equal(false);
      expect(await export_(reader(), format, fields)).to.equal(await fromRecords(reader(), format, fields));
    });

    it(`is as ${format} made of records where no field is asked for`, async () => {
      expect(await export_(reader(), format, [])).to.equal(await fromRecords(reader(), format, []));
    });
  }

  // How long a note is PostgreSQL knows beforehand; of a formula that shows when it is written.
  for (const field of ['notes', 'said'] as const)
    describe(`with rows whose ${field} is long`, () => {
      const LONG = 1_000_000;
      const MOST_BYTES = 8_000_000;
      const SHORT_ROWS = 1_200;
      const LONG_ROWS = 40;
      const FIRST_ID = field === 'notes' ? 20_000 : 30_000;
      const expected: string[] = [];
      const query = { object: 'Plot', fields: [field], filter: `${field}.startsWith('y')` };
      const table = () => ident('credenza', model.objects.get('Plot')?.table ?? '');

      before(async () => {
        // Short ones first, so that a page of a thousand is asked for where the long ones begin; then some among short ones.
        for (let index = 0; index < SHORT_ROWS; index += 1) expected.push(`y${String(index)}`);
        for (let index = 0; index < LONG_ROWS; index += 1) expected.push(`y${'x'.repeat(LONG)}${String(index)}`);
        for (let index = 0; index < LONG_ROWS; index += 1) expected.push(`y${index % 3 === 0 ? 'é'.repeat(LONG / 4) : ''}${String(index)}`);
        for (const [index, value] of expected.entries()) await insert(database.db, model, 'Plot', { id: id(FIRST_ID + index), notes: value });
      });
      after(() => run(database.db, sql`delete from ${table()} where id >= ${id(FIRST_ID)}::uuid`));

      it('is read in pages that stay small, and written in blocks that do', async () => {
        const sizes: number[] = [];
        const seen: string[] = [];
        for await (const page of walkTexts(database.db, reader(), query)?.pages ?? []) {
          sizes.push(page.reduce((sum, text) => sum + Buffer.byteLength(text), 0));
          seen.push(...page.map((text) => text.slice(1, -1)));
        }
        expect(seen.length).to.equal(expected.length);
        expect(seen.every((text, index) => text === expected[index])).to.equal(true);
        expect(Math.max(...sizes))
          .to.be.greaterThan(LONG)
          .and.lessThan(MOST_BYTES);
        const blocks: number[] = [];
        for await (const block of (await exportRecords(database.db, reader(), { ...query, format: 'csv' })).content) blocks.push(block.length);
        expect(blocks.reduce((sum, length) => sum + length)).to.be.greaterThan(LONG * LONG_ROWS);
        expect(Math.max(...blocks)).to.be.lessThan(MOST_BYTES);
      });

      it('is made of records in pages that stay small too', async () => {
        const sizes: number[] = [];
        const seen: unknown[] = [];
        for await (const page of walkRecords(database.db, reader(), query)) {
          sizes.push(page.reduce((sum, record) => sum + Buffer.byteLength(String(record[field])), 0));
          seen.push(...page.map((record) => record[field]));
        }
        expect(seen.length).to.equal(expected.length);
        expect(seen.every((value, index) => value === expected[index])).to.equal(true);
        expect(Math.max(...sizes))
          .to.be.greaterThan(LONG)
          .and.lessThan(MOST_BYTES);
      });

      it('leaves out what is removed while it is read', async () => {
        const gone = SHORT_ROWS + 5;
        const seen: string[] = [];
        for await (const page of walkTexts(database.db, reader(), query)?.pages ?? []) {
          if (seen.length === 0) await run(database.db, sql`delete from ${table()} where id = ${id(FIRST_ID + gone)}::uuid`);
          seen.push(...page.map((text) => text.slice(1, -1)));
        }
        expect(seen.length).to.equal(expected.length - 1);
        expect(seen[gone]?.slice(-1)).to.equal('6');
      });
    });

  it('is what it says here', async () => {
    const record = { integer: '42', decimal: '12.50', boolean: true, date: '2026-01-02', instant: '2026-01-02T03:04:05.6Z', ownerId: ANNA };
    const more = {
      text: 'a, "b" \\ c',
      phone: '+1 413',
      textList: ['x', 'y;z'],
      multiPicklist: ['red', 'green'],
      polymorphic: { object: 'Plot', id: id(901) },
    };
    await insert(database.db, model, 'Sample', { id: id(9_000), ...record, ...more, address: '{"city": "Bern", "line1": "1, Way"}', reference: id(901) });
    const fields = [
      'integer',
      'decimal',
      'boolean',
      'date',
      'instant',
      'text',
      'phone',
      'textList',
      'multiPicklist',
      'polymorphic',
      'address',
      'plotName',
      'money',
    ];
    const query = { object: 'Sample', fields, filter: `id == '${id(9_000)}'` };
    const csv = await bytesOf((await exportRecords(database.db, reader(), { ...query, format: 'csv' })).content);
    expect(csv.split('\r\n')[1]).to.equal(
      `42,12.50,true,2026-01-02,2026-01-02T03:04:05.600Z,"a, ""b"" \\ c",'+1 413,"[""x"",""y;z""]",red;green,Plot/${id(901)},"{""city"":""Bern"",""line1"":""1, Way""}","North, ""old""",`,
    );
    const ndjson = await bytesOf((await exportRecords(database.db, reader(), { ...query, format: 'ndjson' })).content);
    expect(ndjson).to.equal(
      `{"integer":42,"decimal":"12.50","boolean":true,"date":"2026-01-02","instant":"2026-01-02T03:04:05.600Z","text":"a, \\"b\\" \\\\ c","phone":"+1 413","textList":["x","y;z"],"multiPicklist":["red","green"],"polymorphic":{"object":"Plot","id":"${id(901)}"},"address":{"city":"Bern","line1":"1, Way"},"plotName":"North, \\"old\\"","money":null}\n`,
    );
  });
});
