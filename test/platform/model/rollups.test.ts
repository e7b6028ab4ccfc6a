import { expect } from 'chai';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import { fileChecks } from '../../../src/platform/metadata/validator.ts';
import type { RollupAnnotation } from '../../../src/platform/metadata/annotations.ts';
import type { FieldSchema, MetadataSet } from '../../../src/platform/metadata/types.ts';
import { checkMetadata } from '../../../src/platform/model/check.ts';
import { compileModel } from '../../../src/platform/model/compile.ts';
import { planPhysicalNames } from '../../../src/platform/model/physical.ts';
import { objectFile, setOf } from '../schema/builders.ts';

const PLANT: Readonly<Record<string, FieldSchema>> = {
  label: { type: 'string' },
  garden: { type: 'string', format: 'uuid', 'x-ref': { to: 'Garden', as: 'plants' } },
  about: { type: 'string', format: 'uuid', 'x-ref': { to: ['Garden', 'Tool'], as: 'mentions' } },
  height: { type: 'integer' },
  price: { type: 'string', format: 'money' },
  plantedOn: { type: 'string', format: 'date' },
  kept: { type: 'boolean' },
  far: { type: 'string', 'x-formula': 'garden.name' },
  near: { type: 'integer', 'x-formula': 'height + 1' },
};

function gardens(garden: Readonly<Record<string, FieldSchema>>, plant: Readonly<Record<string, FieldSchema>> = {}): MetadataSet {
  return setOf({
    Garden: objectFile('Garden', { name: { type: 'string' }, region: { type: 'string', format: 'uuid', 'x-ref': { to: 'Region', as: 'gardens' } }, ...garden }),
    Plant: objectFile('Plant', { ...PLANT, ...plant }),
    Tool: objectFile('Tool', { name: { type: 'string' } }),
    Region: objectFile('Region', { name: { type: 'string' } }),
  });
}

const rolled = (type: FieldSchema['type'], rollup: RollupAnnotation, more: Partial<FieldSchema> = {}): FieldSchema => ({ type, 'x-rollup': rollup, ...more });
const findings = (garden: Readonly<Record<string, FieldSchema>>, plant: Readonly<Record<string, FieldSchema>> = {}): readonly string[] =>
  checkMetadata(gardens(garden, plant)).map((entry) => `${entry.pointer.split('#')[1] ?? ''} ${entry.detail}`);

describe('roll-ups in metadata', () => {
  it('compile over references, also over those that may point at several objects', () => {
    const set = completeIds(
      gardens({
        plantCount: rolled('integer', { relation: 'plants', op: 'count', filter: 'kept == true && near > 3' }),
        total: rolled('string', { relation: 'plants', op: 'sum', value: 'price', hot: true }, { format: 'money' }),
        lastName: rolled('string', { relation: 'mentions', op: 'last', value: 'label', orderBy: 'plantedOn' }),
      }),
    );
    const model = compileModel({ set, physical: planPhysicalNames(set, new Map()), version: 1, schema: 'test', extensions: {} });
    const garden = model.objects.get('Garden');
    expect(garden?.fields.get('plantCount')).to.include({ kind: 'rollup', valueKind: 'integer', readOnly: true });
    expect(garden?.fields.get('plantCount')?.column).to.be.a('string');
    expect(garden?.fields.get('total')?.rollup?.deltas?.text).to.equal('"test"."rollup_delta"');
    expect(garden?.fields.get('lastName')?.rollup).to.include({ object: 'Plant', via: 'about', orderBy: 'plantedOn', deltas: null });
    expect(garden?.fields.get('lastName')?.sortColumn).to.be.a('string');
    // In the other object that the reference may lead to, the relation is there too.
    expect(model.objects.get('Tool')?.toMany.has('mentions')).to.equal(true);
    expect(model.expressions.table('Garden').text).to.match(/^\(select .* from "test"\."garden_\w+" as "r"\)$/);
    expect(model.expressions.table('Plant').text).to.match(/^"test"\."plant_\w+"$/);
  });

  const refused: readonly (readonly [string, FieldSchema, RegExp])[] = [
    ['a list that is not there', rolled('integer', { relation: 'plant', op: 'count' }), /no list of records "plant"/],
    ['a count of something', rolled('integer', { relation: 'plants', op: 'count', value: 'height' }), /takes no value/],
    ['a count that is text', rolled('string', { relation: 'plants', op: 'count' }), /whole number/],
    ['a sum of nothing', rolled('number', { relation: 'plants', op: 'sum' }), /needs the value/],
    ['a sum of text', rolled('number', { relation: 'plants', op: 'sum', value: 'label' }), /text where number/],
    ['an average kept whole', rolled('integer', { relation: 'plants', op: 'avg', value: 'height' }), /decimal number/],
    ['money kept whole', rolled('integer', { relation: 'plants', op: 'sum', value: 'price' }), /stay whole/],
    ['a sum of days', rolled('string', { relation: 'plants', op: 'sum', value: 'plantedOn' }, { format: 'date' }), /gives a number/],
    ['the last of an expression', rolled('integer', { relation: 'plants', op: 'last', value: 'height + 1' }), /one stored field/],
    ['the last of another kind', rolled('string', { relation: 'plants', op: 'last', value: 'height' }), /Plant.height is integer/],
    ['the last by a text', rolled('integer', { relation: 'plants', op: 'last', value: 'height', orderBy: 'label' }), /no stored number, day or instant/],
    ['an order where none is asked for', rolled('integer', { relation: 'plants', op: 'count', orderBy: 'plantedOn' }), /asks for none/],
    ['what other records say', rolled('integer', { relation: 'plants', op: 'count', filter: "far == 'x'" }), /reads garden.name/],
    ['what the clock says', rolled('integer', { relation: 'plants', op: 'count', filter: 'plantedOn < today()' }), /depends on the clock/],
    ['a filter that is no condition', rolled('integer', { relation: 'plants', op: 'count', filter: 'height' }), /number where boolean/],
    ['deltas of an extreme', rolled('integer', { relation: 'plants', op: 'max', value: 'height', hot: true }), /cannot be kept by deltas/],
    ['deltas with an index', rolled('integer', { relation: 'plants', op: 'count', hot: true }, { 'x-index': true }), /cannot be indexed/],
    ['a unique roll-up', rolled('integer', { relation: 'plants', op: 'count' }, { 'x-unique': true }), /cannot have x-unique/],
    ['a default', rolled('integer', { relation: 'plants', op: 'count' }, { 'x-default': '1' }), /x-default and x-rollup exclude/],
    ['also a formula', rolled('integer', { relation: 'plants', op: 'count' }, { 'x-formula': '1' }), /exclude each other/],
  ];
  for (const [what, field, expected] of refused) it(`refuse ${what}`, () => expect(findings({ made: field }).join('\n')).to.match(expected));

  it('refuse to need each other in a circle, and to be made of hot ones', () => {
    const circle = checkMetadata(
      setOf({
        Node: objectFile('Node', {
          name: { type: 'string' },
          up: { type: 'string', format: 'uuid', 'x-ref': { to: 'Node', as: 'below' } },
          weight: rolled('number', { relation: 'below', op: 'sum', value: 'weight' }),
        }),
      }),
    );
    expect(circle.map((entry) => entry.detail).join()).to.match(/Node.weight -> Node.weight need each other in a circle/);
    const hot = setOf({
      Region: objectFile('Region', { name: { type: 'string' }, plants: rolled('integer', { relation: 'gardens', op: 'sum', value: 'plantCount' }) }),
      Garden: objectFile('Garden', {
        name: { type: 'string' },
        region: { type: 'string', format: 'uuid', 'x-ref': { to: 'Region', as: 'gardens' } },
        plantCount: rolled('integer', { relation: 'plants', op: 'count', hot: true }),
      }),
      Plant: objectFile('Plant', { label: { type: 'string' }, garden: { type: 'string', format: 'uuid', 'x-ref': { to: 'Garden', as: 'plants' } } }),
    });
    expect(
      checkMetadata(hot)
        .map((entry) => entry.detail)
        .join(),
    ).to.match(/Garden.plantCount is hot/);
  });

  it('are checked as files', () => {
    const garden = objectFile('Garden', { made: { type: 'integer', 'x-rollup': { relation: 'plants', op: 'count' } } });
    const check = fileChecks().get('objects');
    expect(check?.(garden, 'Garden.json')).to.deep.equal([]);
    const wrong = { ...garden, properties: { made: { type: 'integer', 'x-rollup': { relation: 'plants', op: 'counts' } } } };
    expect(check?.(wrong, 'Garden.json')[0]?.pointer).to.equal('Garden.json#/properties/made/x-rollup/op');
  });
});

describe('stored formulas', () => {
  it('are those that are indexed or unique; the others are computed when read', () => {
    const set = completeIds(gardens({ a: { type: 'string', 'x-formula': "name + '!'" }, b: { type: 'string', 'x-formula': "name + '?'", 'x-index': true } }));
    const model = compileModel({ set, physical: planPhysicalNames(set, new Map()), version: 1, schema: 'test', extensions: {} });
    expect(model.objects.get('Garden')?.fields.get('a')).to.include({ column: null, readOnly: true });
    const b = model.objects.get('Garden')?.fields.get('b');
    expect([b?.kind, b?.readOnly, typeof b?.column, typeof b?.sortColumn]).to.deep.equal(['formula', true, 'string', 'string']);
  });

  it('refuse what they could not be kept up with', () => {
    const of = (formula: string): string => findings({}, { made: { type: 'string', 'x-formula': formula, 'x-index': true } }).join('\n');
    expect(of('garden.name')).to.match(/is stored when its record is written: "garden.name" reads garden.name/);
    expect(findings({}, { made: { type: 'integer', 'x-formula': 'days(plantedOn, today())', 'x-index': true } }).join()).to.match(/depends on the clock/);
    const onRollup = findings({
      plantCount: rolled('integer', { relation: 'plants', op: 'count' }),
      made: { type: 'number', 'x-formula': 'plantCount * 2', 'x-index': true },
    });
    expect(onRollup.join()).to.match(/cannot read the roll-up plantCount/);
    const circle = findings({ a: { type: 'number', 'x-formula': 'b + 1', 'x-index': true }, b: { type: 'number', 'x-formula': 'a + 1', 'x-index': true } });
    expect(circle.join()).to.match(/Garden.a -> Garden.b -> Garden.a need each other in a circle/);
  });
});
