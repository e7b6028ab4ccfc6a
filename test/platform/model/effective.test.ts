import { expect } from 'chai';
import type { FieldSchema, ObjectFile } from '../../../src/platform/metadata/types.ts';
import { checkMetadata } from '../../../src/platform/model/check.ts';
import { objectFile, setOf } from '../schema/builders.ts';

const day: FieldSchema = { type: 'string', format: 'date' };
const fields: Readonly<Record<string, FieldSchema>> = {
  provider: { type: 'string', format: 'uuid', 'x-ref': { to: 'Other', as: 'rates' } },
  about: { type: 'string', format: 'uuid', 'x-ref': { to: ['Other', 'User'] } },
  code: { type: 'string' },
  seats: { type: 'integer' },
  notes: { type: 'string', format: 'multiline' },
  since: day,
  until: day,
  decided: { type: 'string', format: 'date-time' },
  made: { type: 'string', format: 'date', 'x-formula': 'since' },
};

const findings = (dated: ObjectFile['x-effective'], required: readonly string[] = ['since']): string =>
  checkMetadata(
    setOf({
      Rate: objectFile('Rate', fields, { required, ...(dated === undefined ? {} : { 'x-effective': dated }) }),
      Other: objectFile('Other', { name: { type: 'string' } }),
    }),
  )
    .map((entry) => `${entry.pointer.split('#')[1] ?? ''} ${entry.detail}`)
    .join('\n');

describe('effective dating in metadata', () => {
  it('names two days and a key', () => {
    expect(findings({ from: 'since', through: 'until', key: ['provider', 'code'] })).to.equal('');
    expect(findings({ from: 'since', through: 'until', key: ['seats'] }, ['since', 'seats'])).to.equal('');
  });

  const wrong: readonly (readonly [string, NonNullable<ObjectFile['x-effective']>, readonly string[], RegExp])[] = [
    ['a field that is not there', { from: 'sinse', through: 'until', key: ['code'] }, [], /\/x-effective\/from Rate has no field "sinse"/],
    ['a day that is none', { from: 'since', through: 'decided', key: ['code'] }, ['since'], /"decided" is no day that people set/],
    ['a day that is computed', { from: 'made', through: 'until', key: ['code'] }, ['since'], /"made" is no day that people set/],
    ['a first day that may be missing', { from: 'since', through: 'until', key: ['code'] }, [], /"since" must be required/],
    ['a last day that may not', { from: 'since', through: 'until', key: ['code'] }, ['since', 'until'], /"until" cannot be required/],
    ['a day in the key', { from: 'since', through: 'until', key: ['since'] }, ['since'], /not part of the key/],
    ['long text in the key', { from: 'since', through: 'until', key: ['notes'] }, ['since'], /"notes" cannot be part of the key/],
    ['a reference to one of several objects in the key', { from: 'since', through: 'until', key: ['about'] }, ['since'], /"about" cannot be part/],
    ['a number in the key that may be missing', { from: 'since', through: 'until', key: ['seats'] }, ['since'], /"seats" must be required/],
  ];
  for (const [what, dated, required, expected] of wrong) it(`refuses ${what}`, () => expect(findings(dated, required)).to.match(expected));
});
