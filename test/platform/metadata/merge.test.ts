import { expect } from 'chai';
import fc from 'fast-check';
import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import { differences } from '../../../src/platform/metadata/differences.ts';
import { emptySet } from '../../../src/platform/metadata/kinds.ts';
import { mergeSets } from '../../../src/platform/metadata/merge.ts';
import { toStored } from '../../../src/platform/metadata/store-form.ts';
import type { FieldSchema, MetadataSet, ObjectFile, RuleFile } from '../../../src/platform/metadata/types.ts';

const field = (id: string, title: string): FieldSchema => ({ type: 'string', title, 'x-id': id });
const object = (properties: Readonly<Record<string, FieldSchema>>, more: Partial<ObjectFile> = {}): ObjectFile => ({
  title: 'Garden',
  type: 'object',
  'x-object': { id: 'garden', plural: 'Gardens', name: '{name}' },
  properties,
  ...more,
});
const rule = (label: string): RuleFile => ({ id: 'rule', name: 'weed', label, on: { created: 'Garden' }, do: [{ step: 'update', values: { name: 'name' } }] });
const set = (garden: ObjectFile, weed: RuleFile | null = rule('Weed')): MetadataSet => ({
  ...emptySet(),
  objects: new Map([['Garden', garden]]),
  rules: new Map(weed === null ? [] : [['weed', weed]]),
});

describe('three-way merge', () => {
  const before = set(object({ name: field('a', 'Name'), area: field('b', 'Area') }, { required: ['area'] }));

  it('takes over what the files changed and keeps what was changed locally, also in one field', () => {
    const local = set(
      object({ name: field('a', 'Name'), area: { ...field('b', 'Surface'), 'x-index': true }, soil: field('c', 'Soil') }, { required: ['area', 'soil'] }),
    );
    const files = set(
      object({ name: field('a', 'Name'), size: { ...field('b', 'Area'), 'x-help': 'In ares.' }, owner: field('d', 'Owner') }, { required: ['size'] }),
    );
    const { set: merged, conflicts } = mergeSets(before, local, files);
    expect(conflicts).to.deep.equal([]);
    const garden = merged.objects.get('Garden');
    expect(garden?.properties).to.deep.equal({
      name: field('a', 'Name'),
      size: { type: 'string', title: 'Surface', 'x-id': 'b', 'x-help': 'In ares.', 'x-index': true },
      soil: field('c', 'Soil'),
      owner: field('d', 'Owner'),
    });
    expect(Object.keys(garden?.properties ?? {})).to.deep.equal(['name', 'size', 'soil', 'owner']);
    expect(garden?.required).to.have.members(['size', 'soil']);
  });

  it('lists what both changed differently; the local change stays', () => {
    const local = set(object({ name: field('a', 'Title'), area: field('b', 'Area') }, { required: ['area'] }), null);
    const files = set(object({ name: field('a', 'Label'), area: field('b', 'Area') }, { required: ['area'] }), rule('Weed out'));
    const { set: merged, conflicts } = mergeSets(before, local, files);
    expect(merged.objects.get('Garden')?.properties['name']?.title).to.equal('Title');
    expect(merged.rules.size).to.equal(0);
    expect(conflicts.map(({ pointer, before: was, files: theirs, local: mine }) => [pointer, was === undefined, theirs !== undefined, mine])).to.deep.equal([
      ['metadata/objects/Garden.json#/properties/a/title', false, true, 'Title'],
      ['metadata/rules/weed.json#', false, true, undefined],
    ]);
  });

  it('keeps a thing that was changed locally when the files drop it, and says so', () => {
    const local = set(before.objects.get('Garden') ?? object({}), rule('Weed by hand'));
    const { set: merged, conflicts } = mergeSets(before, local, set(before.objects.get('Garden') ?? object({}), null));
    expect(merged.rules.get('weed')?.label).to.equal('Weed by hand');
    expect(conflicts.map((conflict) => conflict.pointer)).to.deep.equal(['metadata/rules/weed.json#']);
  });

  it('gives the files where nothing was changed locally, and the local state where the files are as before', () => {
    const texts = fc.constantFrom('A', 'B', 'C');
    const fields = fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e'), texts), { selector: ([id]) => id, maxLength: 5 });
    const sets = fc
      .record({ fields, title: texts, required: fc.subarray(['fa', 'fb']), rule: fc.option(texts) })
      .map((made) =>
        set(
          object(Object.fromEntries(made.fields.map(([id, title]) => [`f${id}`, field(id, title)])), { title: made.title, required: made.required }),
          made.rule === null ? null : rule(made.rule),
        ),
      );
    const same = (left: MetadataSet, right: MetadataSet): void => {
      expect(differences(completeIds(left), completeIds(right)).map((entry) => entry.name)).to.deep.equal([]);
    };
    const result = fc.check(
      fc.property(sets, sets, sets, (base, one, other) => {
        same(mergeSets(base, base, one).set, one);
        same(mergeSets(base, one, base).set, one);
        const { set: merged, conflicts } = mergeSets(base, one, other);
        // Whoever merges again with the same files has nothing more to take over.
        same(mergeSets(other, merged, other).set, merged);
        expect(toStored(mergeSets(base, one, one).set)).to.deep.equal(toStored(one));
        return conflicts.every((conflict) => conflict.pointer !== '');
      }),
      { numRuns: 500 },
    );
    expect(result.failed, fc.defaultReportMessage(result)).to.equal(false);
  });
});
