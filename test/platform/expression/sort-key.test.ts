import { expect } from 'chai';
import fc from 'fast-check';
import { compareCodePoints, sortKey, sortKeyStart } from '../../../src/platform/expression/sort-key.ts';

/** Characters that the key changes, drops or joins with others, beside ones that it leaves alone. */
const character = fc.oneof(
  fc.constantFrom(
    'a',
    'B',
    'i',
    'I',
    'Σ',
    'ς',
    'ß',
    'İ',
    'é',
    '\u0301',
    '\u0338',
    'ﬁ',
    '①',
    '０',
    '0',
    '7',
    ' ',
    '\u00a0',
    '\t',
    '-',
    '%',
    '_',
    '\\',
    '😀',
    '각',
  ),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
);
const text = fc.array(character, { maxLength: 12 }).map((parts) => parts.join(''));

describe('the start of a sort key', () => {
  it('is what the key of every text begins with that begins so', () => {
    fc.assert(
      fc.property(text, text, (start, rest) => {
        const key = sortKey(start + rest);
        const known = sortKeyStart(start);
        expect(key.startsWith(known), `${JSON.stringify(start + rest)} has ${JSON.stringify(key)}, not ${JSON.stringify(known)}`).to.equal(true);
        expect(compareCodePoints(known, key)).to.be.at.most(0);
      }),
      { numRuns: 20_000 },
    );
  });

  it('ends before what may still change', () => {
    expect(['Bo', "O'Neil-", 'St. ', 'St. Mary', 'Route 66', '7th', ' x', 'É', 'Jos\u0301', ''].map(sortKeyStart)).to.deep.equal([
      'bo',
      "o'neil-",
      'st.',
      'st. mary',
      'route',
      '',
      '',
      '',
      'jos',
      '',
    ]);
  });
});
