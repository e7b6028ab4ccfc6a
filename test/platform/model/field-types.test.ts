import { expect } from 'chai';
import fc from 'fast-check';
import { systemClock } from '../../../src/platform/clock.ts';
import { uuidV7 } from '../../../src/platform/ids.ts';
import type { FieldSchema } from '../../../src/platform/metadata/types.ts';
import { FIELD_TYPES, fieldKind, fieldType, type FieldFacts } from '../../../src/platform/model/field-types.ts';
import type { FieldKind, FieldModel } from '../../../src/platform/model/types.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { ident, joinSql, keyword, rows, run, schemaOf, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { kindFields, kindValues } from '../record/fixtures/kinds.ts';
import { objectFile, setOf } from '../schema/builders.ts';

const FACTS: FieldFacts = { values: null, ref: null, minLength: null, maxLength: null, minimum: null, maximum: null };
const parse = (kind: FieldKind, input: unknown): unknown => FIELD_TYPES[kind].parse(input, FACTS);

describe('field kinds', () => {
  it('come from the schema of the field', () => {
    const cases: readonly (readonly [FieldSchema, FieldKind])[] = [
      [{ type: 'string' }, 'text'],
      [{ type: 'string', format: 'multiline' }, 'longText'],
      [{ type: 'string', format: 'markdown' }, 'richText'],
      [{ type: 'integer' }, 'integer'],
      [{ type: 'number' }, 'decimal'],
      [{ type: 'string', format: 'money' }, 'money'],
      [{ type: 'string', format: 'percent' }, 'percent'],
      [{ type: 'string', 'x-values': 'v' }, 'picklist'],
      [{ type: 'array', items: { type: 'string' }, 'x-values': 'v' }, 'multiPicklist'],
      [{ type: 'array', items: { type: 'string' } }, 'textList'],
      [{ type: 'string', format: 'uuid', 'x-ref': { to: 'A' } }, 'reference'],
      [{ type: 'string', format: 'uuid', 'x-ref': { to: ['A', 'B'] } }, 'polymorphic'],
      [{ type: 'string', format: 'date-time' }, 'instant'],
      [{ type: 'string', format: 'file' }, 'file'],
      [{ type: 'object', format: 'address' }, 'address'],
      [{ type: 'string', format: 'geo' }, 'geo'],
      [{ type: 'object' }, 'json'],
      [{ type: 'string', 'x-sequence': 'A-{00}' }, 'sequence'],
      [{ type: 'integer', 'x-formula': '1 + 1' }, 'formula'],
      [{ type: 'integer', 'x-rollup': { relation: 'notes', op: 'count' } }, 'rollup'],
    ];
    for (const [schema, kind] of cases) expect(fieldKind(schema), JSON.stringify(schema)).to.equal(kind);
  });

  it('take what people and files write', () => {
    expect(parse('phone', '(413) 555-0100')).to.equal('+14135550100');
    expect(parse('phone', '413.555.0100 ext. 12')).to.equal('+14135550100;ext=12');
    expect(parse('phone', '1 413 555 0100')).to.equal('+14135550100');
    expect(parse('phone', '+44 20 7946 0958')).to.equal('+442079460958');
    expect(parse('date', '03/01/2027')).to.equal('2027-03-01');
    expect(parse('date', '02/30/2027')).to.equal('02/30/2027');
    expect(parse('money', '$ 1,250.50')).to.equal('1250.5');
    expect(parse('percent', '12.50 %')).to.equal('12.5');
    expect(parse('decimal', -0)).to.equal('0');
    expect(parse('decimal', 1e-7)).to.equal('0.0000001');
    expect(parse('integer', '2,000')).to.equal(2000);
    expect(parse('integer', '2.5')).to.equal('2.5');
    expect(parse('boolean', 'Y')).to.equal(true);
    expect(parse('email', ' Ann@Example.ORG ')).to.equal('ann@example.org');
    expect(parse('instant', '2027-03-01T10:00:00+02:00')).to.equal('2027-03-01T08:00:00.000Z');
    expect(parse('instant', '2027-03-01T10:00:00')).to.equal('2027-03-01T10:00:00');
    expect(parse('time', '2:05 pm')).to.equal('14:05');
    expect(parse('address', { line1: ' 1 Main St ', line2: '', postalCode: '011011234' })).to.deep.equal({ line1: '1 Main St', postalCode: '01101-1234' });
    expect(FIELD_TYPES.picklist.parse('Massachusetts', { ...FACTS, values: { name: 's', values: [{ code: 'MA', label: 'Massachusetts' }] } })).to.equal('MA');
    expect(
      FIELD_TYPES.multiPicklist.parse('ma; Rhode Island', {
        ...FACTS,
        values: {
          name: 's',
          values: [
            { code: 'MA', label: 'M' },
            { code: 'RI', label: 'Rhode Island' },
          ],
        },
      }),
    ).to.deep.equal(['MA', 'RI']);
  });

  it('take a point on the map as people write it, to the centimetre', () => {
    const cases: readonly (readonly [unknown, unknown])[] = [
      ['42.1015, -72.5898', '42.1015,-72.5898'],
      [' 42.10150 -72.58980 ', '42.1015,-72.5898'],
      ['+42;-0.0', '42,0'],
      [{ latitude: 42.1015, longitude: '-72.5898' }, '42.1015,-72.5898'],
      ['42.10151234567, 1.00000005', '42.1015123,1.0000001'],
      ['-89.99999996, 0', '-90,0'],
      ['90,180', '90,180'],
    ];
    for (const [typed, kept] of cases) expect(parse('geo', typed), JSON.stringify(typed)).to.equal(kept);
    // What is no place stays as it is, for validation to name.
    for (const wrong of ['90.1, 0', '0, 180.0000001', '42', '42,1,2', 'north, south', { latitude: 1 }]) expect(parse('geo', wrong)).to.deep.equal(wrong);
  });

  it('write every value to a file or a form as a text that is read back the same', () => {
    const kinds = Object.entries(kindFields('sample')).map(([name, schema]) => [name, FIELD_TYPES[fieldKind(schema)]] as const);
    const id = '01900000-0000-7000-8000-00000000000b';
    const values = { name: 'colors', values: ['red', 'sky-blue', 'green'].map((code) => ({ code, label: code })) };
    const numRuns = 500;
    fc.assert(
      fc.property(kindValues([id], [id], [id]), (given) => {
        for (const [name, type] of kinds) {
          const value = type.parse(given[name] ?? null, { ...FACTS, values });
          expect(type.parse(type.csv(value), { ...FACTS, values }), name).to.deep.equal(value);
        }
      }),
      { numRuns },
    );
    process.stdout.write(`      ${String(numRuns)} records of ${String(kinds.length)} kinds\n`);
  });

  it('take "" and blanks for nothing', () => {
    const kinds = Object.keys(FIELD_TYPES).filter((kind) => kind !== 'formula' && kind !== 'rollup');
    for (const [kind, type] of Object.entries(FIELD_TYPES))
      if (kinds.includes(kind)) for (const blank of ['', '   ', null]) expect(type.parse(blank, FACTS), kind).to.equal(null);
  });

  it('parsing is idempotent, whatever comes in', () => {
    const input = fc.oneof(
      fc.string(),
      fc.double(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(fc.string()),
      fc.dictionary(fc.string(), fc.string()),
    );
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(FIELD_TYPES)), input, (type, value) => {
        const once = type.parse(value, FACTS);
        expect(type.parse(once, FACTS)).to.deep.equal(once);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('values of every kind through the database', () => {
  let database: TestDatabase;
  let fields: ReadonlyMap<string, FieldModel>;
  let table: string;
  let validate: (values: Readonly<Record<string, unknown>>) => readonly unknown[];

  before(async () => {
    database = await makeTestDatabase();
    const store = makeModelStore({ db: database.db, clock: systemClock, extensions: {} });
    const properties: Record<string, FieldSchema> = {
      text: { type: 'string' },
      longText: { type: 'string', format: 'multiline' },
      integer: { type: 'integer' },
      money: { type: 'string', format: 'money' },
      boolean: { type: 'boolean' },
      date: { type: 'string', format: 'date' },
      instant: { type: 'string', format: 'date-time' },
      time: { type: 'string', format: 'time' },
      duration: { type: 'string', format: 'duration' },
      textList: { type: 'array', items: { type: 'string' } },
      address: { type: 'object', format: 'address' },
      json: { type: 'object' },
      owner: { type: 'string', format: 'uuid', 'x-ref': { to: ['User'] } },
    };
    await store.apply(setOf({ Sample: objectFile('Sample', properties) }), 'test');
    const sample = (await store.current()).objects.get('Sample');
    if (sample === undefined) throw new Error('no Sample');
    fields = sample.fields;
    table = sample.table;
    validate = sample.validate;
  });

  after(() => database.drop());

  it('come back as they were: format(stored) is what was parsed', async () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((value) => value.trim() !== '' && !value.includes('\u0000'));
    const day = fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true });
    const inputs = fc.record(
      {
        text,
        longText: text,
        integer: fc.maxSafeInteger(),
        money: fc
          .tuple(fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }), fc.nat(99))
          .map(([whole, cents]) => `${String(whole)}.${String(cents).padStart(2, '0')}`),
        boolean: fc.boolean(),
        date: day.map((value) => value.toISOString().slice(0, 10)),
        instant: day.map((value) => value.toISOString()),
        time: fc.tuple(fc.nat(23), fc.nat(59)).map(([hour, minute]) => `${String(hour)}:${String(minute).padStart(2, '0')}`),
        duration: fc.constantFrom('P3M', 'P2BD', 'P1Y6M', 'PT36H'),
        textList: fc.array(text, { minLength: 1, maxLength: 4 }),
        address: fc.record({ line1: text, postalCode: fc.constantFrom('01101', '011011234') }),
        json: fc.dictionary(fc.constantFrom('a', 'b'), fc.integer(), { minKeys: 1 }),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(inputs, async (input) => {
        const parsed = new Map(Object.entries(input).map(([name, value]) => [name, fieldOf(name, (field) => fieldType(field).parse(value, field))]));
        const kept = Object.fromEntries([...parsed].filter(([, value]) => value !== null));
        expect(validate(kept)).to.deep.equal([]);
        const id = uuidV7(systemClock.nowMs());
        const columns = ['id', 'created_at', 'created_by', 'updated_at', 'updated_by'];
        const values = [sql`${id}`, sql`now()`, sql`'test'`, sql`now()`, sql`'test'`];
        for (const [name, value] of Object.entries(kept)) {
          fieldOf(name, (field) => {
            const type = fieldType(field);
            columns.push(field.column ?? '');
            values.push(sql`${type.bind(value)}::${keyword(type.column?.cast ?? '')}`);
          });
        }
        const on = ident(schemaOf(database.db), table);
        await run(database.db, sql`insert into ${on} (${joinSql(columns.map((column) => ident(column)))}) values (${joinSql(values)})`);
        const [row] = await rows(database.db, sql`select * from ${on} where id = ${id}::uuid`);
        for (const [name, value] of Object.entries(kept))
          fieldOf(name, (field) => expect(fieldType(field).format(row?.[field.column ?? '']), name).to.deep.equal(value));
      }),
      { numRuns: 60 },
    );
  });

  function fieldOf<T>(name: string, work: (field: FieldModel) => T): T {
    const field = fields.get(name);
    if (field === undefined) throw new Error(`no field ${name}`);
    return work(field);
  }
});
