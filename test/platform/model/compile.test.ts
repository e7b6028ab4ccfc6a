import { expect } from 'chai';
import { isAppError, type ErrorDetail } from '../../../src/platform/errors.ts';
import { compileJs } from '../../../src/platform/expression/to-js.ts';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import type { FieldSchema, MetadataSet, ObjectFile } from '../../../src/platform/metadata/types.ts';
import { checkMetadata } from '../../../src/platform/model/check.ts';
import { compileModel } from '../../../src/platform/model/compile.ts';
import { planPhysicalNames } from '../../../src/platform/model/physical.ts';
import type { Model, ObjectModel } from '../../../src/platform/model/types.ts';
import { emitTypes } from '../../../src/platform/schema/types-export.ts';
import { objectFile, setOf } from '../schema/builders.ts';

function compiled(set: MetadataSet): Model {
  const complete = completeIds(set);
  return compileModel({ set: complete, physical: planPhysicalNames(complete, new Map()), version: 1, schema: 'test', extensions: {} });
}

function objectOf(model: Model, name: string): ObjectModel {
  const found = model.objects.get(name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

const withFields = (properties: Readonly<Record<string, FieldSchema>>, more: Partial<ObjectFile> = {}): MetadataSet =>
  setOf({ Garden: objectFile('Garden', { name: { type: 'string' }, ...properties }, more) });

function at(found: readonly ErrorDetail[], pointer: string): ErrorDetail | undefined {
  return found.find((entry) => entry.pointer === pointer);
}

describe('model', () => {
  it('gives every object its system fields, its own fields, and the ways back of references', () => {
    const model = compiled(
      setOf({
        Garden: objectFile('Garden', { name: { type: 'string', title: 'Called' } }),
        Plant: objectFile('Plant', {
          label: { type: 'string', 'x-search': true },
          plantedOn: { type: 'string', format: 'date' },
          garden: { type: 'string', format: 'uuid', 'x-ref': { to: 'Garden', as: 'plants' } },
          about: { type: 'string', format: 'uuid', 'x-ref': { to: ['Garden', 'User'], as: 'mentions' } },
        }),
      }),
    );
    const plant = objectOf(model, 'Plant');
    expect([...plant.fields.keys()].slice(0, 8)).to.deep.equal(['id', 'version', 'createdAt', 'createdBy', 'updatedAt', 'updatedBy', 'ownerId', 'deletedAt']);
    expect(plant.fields.get('plantedOn')?.label).to.equal('Planted on');
    expect(objectOf(model, 'Garden').fields.get('name')?.label).to.equal('Called');
    expect([...objectOf(model, 'Garden').toMany.keys()]).to.deep.equal(['plants', 'mentions']);
    expect([...objectOf(model, 'User').toMany.keys()]).to.deep.equal(['mentions']);
    const about = plant.fields.get('about');
    expect(about?.objectColumn).to.equal(`${about?.column ?? ''}_object`);
    expect(plant.search).to.deep.equal(['label']);
  });

  it('is frozen all the way down', () => {
    const model = compiled(withFields({ size: { type: 'integer', minimum: 1 } }));
    const garden = objectOf(model, 'Garden');
    expect(() => Object.assign(model, { version: 2 })).to.throw(TypeError);
    expect(() => Object.assign(garden.fields.get('size') ?? {}, { label: 'x' })).to.throw(TypeError);
    const change: unknown = Reflect.get(garden.fields, 'set');
    expect(typeof change === 'function' && (() => Reflect.apply(change, garden.fields, ['x', 1]) as unknown)).to.throw(TypeError);
    expect(() => Object.assign(model.source.objects.get('Garden') ?? {}, { title: 'x' })).to.throw(TypeError);
  });

  it('compiles formulas of formulas in the order of their need', () => {
    const model = compiled(
      withFields({ total: { type: 'number', 'x-formula': 'double + 1' }, double: { type: 'number', 'x-formula': 'size * 2' }, size: { type: 'integer' } }),
    );
    const total = objectOf(model, 'Garden').fields.get('total');
    expect(total).to.include({ kind: 'formula', valueKind: 'decimal', column: null, readOnly: true });
    if (total?.formula === null || total === undefined) throw new Error('no formula');
    const value = compileJs(total.formula, model.expressions)(
      { size: 4 },
      {
        now: '2027-01-01T00:00:00.000Z',
        today: '2027-01-01',
        user: null,
        subject: null,
        one: () => null,
        many: () => [],
        policy: () => null,
        calendars: model.calendarLookup,
      },
    );
    expect(String(value)).to.equal('9');
  });

  it('refuses formulas that need each other, and formulas of another type than declared', () => {
    const circle = checkMetadata(withFields({ a: { type: 'number', 'x-formula': 'b + 1' }, b: { type: 'number', 'x-formula': 'a + 1' } }));
    expect(circle.map((entry) => entry.detail).join()).to.match(/in a circle/);
    const mistyped = checkMetadata(withFields({ a: { type: 'boolean', 'x-formula': "'x'" } }));
    expect(at(mistyped, 'metadata/objects/Garden.json#/properties/a/x-formula')?.code).to.equal('wrong_type');
  });

  it('keeps checked expressions and refuses wrong ones with the place', () => {
    const model = compiled(withFields({ size: { type: 'integer' } }));
    expect(model.expression('size > 3', 'Garden')).to.equal(model.expression('size > 3', 'Garden'));
    expect(() => model.expression('siez > 3', 'Garden'))
      .to.throw()
      .that.satisfies((error: unknown) => isAppError(error, 'invalid_expression'));
  });

  it('refuses field names that the API uses, and objects that the platform has', () => {
    const found = checkMetadata(
      setOf({
        Garden: objectFile('Garden', { name: { type: 'string' }, filter: { type: 'string' }, ownerId: { type: 'string' } }),
        User: objectFile('User', { name: { type: 'string' } }),
      }),
    );
    for (const pointer of [
      'metadata/objects/Garden.json#/properties/filter',
      'metadata/objects/Garden.json#/properties/ownerId',
      'metadata/objects/User.json#',
    ]) {
      expect(at(found, pointer)?.code, pointer).to.equal('reserved_name');
    }
  });

  it('names every object that a reference lists and that is not there, also when none of them is', () => {
    const about: FieldSchema = { type: 'string', format: 'uuid', 'x-ref': { to: ['Plto', 'Growht'], as: 'mentions' } };
    const found = checkMetadata(withFields({ about }));
    expect(found.map(({ code, detail }) => `${code}: ${detail}`)).to.deep.equal([
      'unknown_object: There is no object "Plto".',
      'unknown_object: There is no object "Growht".',
    ]);
  });

  it('finds everything that points at nothing', () => {
    const set: MetadataSet = {
      ...withFields(
        { status: { type: 'string', 'x-values': 'growht' }, plot: { type: 'string', format: 'uuid', 'x-ref': { to: 'Plto' } } },
        { required: ['nmae'], 'x-unique': [['name', 'sort']] },
      ),
      valueSets: new Map([['growth', { name: 'growth', values: [{ code: 'young', label: 'Young' }] }]]),
      views: new Map([
        [
          'all',
          { name: 'all', label: 'All', object: 'Garden', columns: ['nam', 'ownerId.name', 'ownerId.naem'], sort: '-updatedAt,siez', filter: 'nam == null' },
        ],
      ]),
      layouts: new Map([
        ['garden', { name: 'garden', object: 'Garden', highlights: ['naem'], sections: [], related: [{ relation: 'plants', columns: ['label'] }] }],
      ]),
      forms: new Map([
        [
          'apply',
          {
            name: 'apply',
            title: 'Apply',
            object: 'Garden',
            submit: 'send',
            pages: [{ name: 'one', title: 'One', sections: [{ fields: [{ field: 'nmae' }], document: { type: 'x', label: 'X' } }] }],
          },
        ],
      ]),
      permissions: new Map([
        [
          'staff',
          {
            name: 'staff',
            label: 'Staff',
            audience: 'staff',
            objects: { Gardn: { read: true }, Garden: { read: { where: 'ownerId == usr' }, fields: ['nmae'], transitions: ['grow'] } },
          },
        ],
      ]),
      mailboxes: new Map([
        [
          'in',
          {
            name: 'in',
            label: 'In',
            address: 'in',
            acknowledge: { template: 'mail/thanks' },
            creates: { thread: { object: 'Garden', values: { name: 'mail.subjet' } }, message: { object: 'Letter', reference: 'garden', values: {} } },
          },
        ],
      ]),
      rules: new Map([
        [
          'hello',
          {
            name: 'hello',
            on: { created: 'Garden' },
            do: [{ step: 'send-mail', template: 'mail/hello', to: "'a@b.example'", class: 'transactional', mailbox: 'inn' }],
          },
        ],
      ]),
      policies: new Map([
        [
          'often',
          {
            name: 'often',
            object: 'Garden',
            match: 'first',
            results: { every: 'duration' },
            versions: [{ effective: '2027-02-30', approvedBy: 'x', rows: [{ band: 'a', when: 'name', then: { evry: 'P1M', every: 'monthly' } }] }],
          },
        ],
      ]),
      reports: new Map([['count', { name: 'count', label: 'Count', stages: [{ label: 'All', object: 'Garden', filter: 'size > 1' }] }]]),
    };
    const found = checkMetadata(set);
    const expected: readonly (readonly [string, string])[] = [
      ['objects/Garden.json#/properties/status/x-values', 'Did you mean growth?'],
      ['objects/Garden.json#/properties/plot/x-ref/to', ''],
      ['objects/Garden.json#/required/0', 'Did you mean name?'],
      ['objects/Garden.json#/x-unique/0/1', ''],
      ['views/all.json#/columns/0', 'Did you mean name?'],
      ['views/all.json#/columns/2', 'Did you mean name?'],
      ['views/all.json#/sort', ''],
      ['views/all.json#/filter', ''],
      ['layouts/garden.json#/highlights/0', 'Did you mean name?'],
      ['layouts/garden.json#/related/0/relation', ''],
      ['forms/apply.json#/submit', ''],
      ['forms/apply.json#/pages/0/sections/0/fields/0/field', 'Did you mean name?'],
      ['forms/apply.json#/pages/0/sections/0/document', ''],
      ['permissions/staff.json#/objects/Gardn', 'Did you mean Garden?'],
      ['permissions/staff.json#/objects/Garden/read/where', ''],
      ['permissions/staff.json#/objects/Garden/fields/0', 'Did you mean name?'],
      ['permissions/staff.json#/objects/Garden/transitions/0', ''],
      ['mailboxes/in.json#/acknowledge/template', ''],
      ['mailboxes/in.json#/creates/thread/values/name', ''],
      ['mailboxes/in.json#/creates/message/object', ''],
      ['rules/hello.json#/do/0/template', ''],
      ['rules/hello.json#/do/0/mailbox', 'Did you mean in?'],
      ['policies/often.json#/versions/0/effective', ''],
      ['policies/often.json#/versions/0/rows/0/when', ''],
      ['policies/often.json#/versions/0/rows/0/then/evry', 'Did you mean every?'],
      ['policies/often.json#/versions/0/rows/0/then/every', ''],
      ['reports/count.json#/stages/0/filter', ''],
    ];
    for (const [pointer, fix] of expected) {
      const finding = at(found, `metadata/${pointer}`);
      expect(finding, pointer).to.not.equal(undefined);
      if (fix !== '') expect(finding?.fix, pointer).to.equal(fix);
    }
    expect(at(found, 'metadata/views/all.json#/columns/1')).to.equal(undefined);
  });

  it('finds states that no transition leads to, and guards that are not conditions', () => {
    const set: MetadataSet = {
      ...withFields({ state: { type: 'string' }, size: { type: 'integer' } }),
      paths: new Map([
        [
          'growth',
          {
            name: 'growth',
            object: 'Garden',
            field: 'state',
            initial: 'young',
            states: [
              { name: 'young', label: 'Young', kind: 'open' },
              { name: 'old', label: 'Old', kind: 'won' },
              { name: 'lost', label: 'Lost', kind: 'lost' },
            ],
            transitions: [
              {
                name: 'age',
                label: 'Age',
                from: ['young'],
                to: 'old',
                guards: [{ name: 'big', assert: 'size', message: 'Too small.' }],
                set: { state: "'old'" },
              },
            ],
          },
        ],
      ]),
    };
    const found = checkMetadata(set);
    expect(at(found, 'metadata/paths/growth.json#/states/2')?.code).to.equal('unreachable_state');
    expect(at(found, 'metadata/paths/growth.json#/transitions/0/guards/0/assert')?.code).to.equal('wrong_type');
    expect(at(found, 'metadata/paths/growth.json#/transitions/0/set/state')?.code).to.equal('wrong_field');
  });

  it('takes the states of a path for the values of its field', () => {
    const model = compiled({
      ...withFields({ state: { type: 'string' } }),
      paths: new Map([
        [
          'growth',
          { name: 'growth', object: 'Garden', field: 'state', initial: 'young', states: [{ name: 'young', label: 'Young', kind: 'open' }], transitions: [] },
        ],
      ]),
    });
    const state = objectOf(model, 'Garden').fields.get('state');
    expect(state).to.include({ kind: 'picklist', readOnly: true });
    expect(state?.values?.values).to.deep.equal([{ code: 'young', label: 'Young' }]);
    expect(objectOf(model, 'Garden').validate({ name: 'x', state: 'yuong' })).to.deep.equal([
      { pointer: '/state', code: 'not_a_value', detail: 'State is not one of the values.', fix: 'Did you mean young?' },
    ]);
  });

  it('says what is wrong with a record in words of its own, all at once', () => {
    const model = compiled(
      withFields(
        {
          code: { type: 'string', maxLength: 3, minLength: 2 },
          size: { type: 'integer', minimum: 1, maximum: 9 },
          price: { type: 'string', format: 'money', minimum: 0.1 },
          on: { type: 'string', format: 'date' },
          mail: { type: 'string', format: 'email' },
          phone: { type: 'string', format: 'phone' },
          open: { type: 'boolean' },
          home: { type: 'object', format: 'address' },
          tags: { type: 'array', items: { type: 'string' } },
        },
        { required: ['name', 'tags'] },
      ),
    );
    const findings = objectOf(model, 'Garden').validate({
      tags: [],
      code: 'abcd',
      size: 10,
      price: '0.09999999999999999999',
      on: '2027-02-29',
      mail: 'x@',
      phone: '12',
      open: 'maybe',
      home: { street: 'x' },
      siez: 1,
    });
    expect(findings.map((finding) => [finding.pointer, finding.code])).to.have.deep.members([
      ['/name', 'required'],
      ['/tags', 'required'],
      ['/code', 'too_long'],
      ['/size', 'out_of_range'],
      ['/price', 'not_a_number'],
      ['/on', 'not_a_date'],
      ['/mail', 'not_an_email'],
      ['/phone', 'not_a_phone'],
      ['/open', 'not_a_boolean'],
      ['/home', 'not_an_address'],
      ['/siez', 'unknown_field'],
    ]);
    expect(findings.find((finding) => finding.pointer === '/siez')?.fix).to.equal('Did you mean size?');
    expect(JSON.stringify(findings)).to.not.match(/maybe|must NOT|should/);
    expect(objectOf(model, 'Garden').validate({ name: 'a', tags: ['x'], code: 'ab', size: 9, price: '0.1' })).to.deep.equal([]);
    expect(
      objectOf(model, 'Garden')
        .validate({ name: 'a', tags: ['x'], price: '0.09' })
        .map((finding) => finding.code),
    ).to.deep.equal(['out_of_range']);
  });

  it('writes the types of all objects', async () => {
    const text = await emitTypes(compiled(withFields({ size: { type: 'integer' } }, { required: ['name'] })));
    expect(text).to.match(/export interface Garden \{/);
    expect(text).to.match(/\bname: string;/);
    expect(text).to.match(/\bsize: number \| null;/);
  });
});
