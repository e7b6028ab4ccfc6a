import { expect } from 'chai';
import fc from 'fast-check';
import { isAppError } from '../../../src/platform/errors.ts';
import { mergePage, rowId } from '../../../src/platform/forms/merge.ts';
import { digestOf, isSame, readSeen } from '../../../src/platform/forms/seen.ts';
import type { DraftData, PageInput, Seen, Typed, TypedFields } from '../../../src/platform/forms/types.ts';

const RUNS = 2_000;
const FIELDS = ['name', 'note'];
const DEVICES = 3;

/** A page that stays open on a device: what it showed when it was opened, and what is typed in it now. */
interface Device {
  readonly seen: Seen;
  readonly fields: Record<string, Typed>;
  rows: Record<string, Typed>[];
  readonly out: Set<string>;
  sent: number;
}

type Act =
  | { readonly kind: 'type'; readonly device: number; readonly field: number }
  | { readonly kind: 'typeInRow'; readonly device: number; readonly row: number; readonly field: number }
  | { readonly kind: 'add' | 'takeOut'; readonly device: number; readonly row: number }
  | { readonly kind: 'save'; readonly device: number };

const device = fc.nat(DEVICES - 1);
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ kind: fc.constant('type' as const), device, field: fc.nat(1) }),
  fc.record({ kind: fc.constant('typeInRow' as const), device, row: fc.nat(4), field: fc.nat(1) }),
  fc.record({ kind: fc.constantFrom('add' as const, 'takeOut' as const), device, row: fc.nat(4) }),
  fc.record({ kind: fc.constant('save' as const), device }),
  fc.record({ kind: fc.constant('save' as const), device }),
);

const BEGUN: DraftData = {
  fields: { name: 'first', note: '' },
  repeats: {
    rows: [
      { id: 'a', name: 'row a', note: '' },
      { id: 'b', name: 'row b', note: 'seen' },
    ],
  },
  documents: {},
  removed: {},
  writers: {},
  others: {},
};

function openPage(data: DraftData, view: string): Device {
  const digests = (typed: TypedFields): Record<string, string> => Object.fromEntries(FIELDS.map((name) => [name, digestOf(typed[name] ?? '')]));
  const rows = data.repeats['rows'] ?? [];
  return {
    seen: { view, fields: digests(data.fields), rows: { rows: Object.fromEntries(rows.map((row) => [rowId(row), digests(row)])) } },
    fields: { ...data.fields },
    rows: rows.map((row) => ({ ...row })),
    out: new Set(),
    sent: 0,
  };
}

function sendPage(data: DraftData, page: Device): DraftData {
  page.sent += 1;
  const input: PageInput = {
    fields: page.fields,
    repeats: { rows: page.rows },
    sender: { seen: page.seen, number: page.sent, removed: { rows: [...page.out] } },
  };
  return mergePage(data, input, () => 'unused');
}

/** Everything that the draft holds at a path: the answer that stands and those beside it. */
function heldAt(data: DraftData, path: string): readonly Typed[] {
  const [, id, name] = path.split('/');
  const stands = name === undefined ? data.fields[path] : data.repeats['rows']?.find((row) => rowId(row) === id)?.[name];
  return [...(stands === undefined ? [] : [stands]), ...(data.others[path] ?? [])];
}

describe('forms: merging pages', () => {
  it(`loses no word: whatever ${String(DEVICES)} devices type, add, take out and save in any order is kept or asked for`, () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
        const pages = Array.from({ length: DEVICES }, (_, index) => openPage(BEGUN, `view ${String(index)}`));
        const last = pages.map(() => new Map<string, string>());
        let words = 0;
        let data = BEGUN;
        for (const step of acts) {
          const page = pages[step.device];
          const typed = last[step.device];
          if (page === undefined || typed === undefined) continue;
          const field = FIELDS['field' in step ? step.field : 0] ?? '';
          const row = 'row' in step ? page.rows[step.row] : undefined;
          words += 1;
          const word = `word ${String(words)}`;
          if (step.kind === 'type') {
            page.fields[field] = word;
            typed.set(field, word);
          } else if (step.kind === 'typeInRow' && row !== undefined) {
            row[field] = word;
            typed.set(`rows/${rowId(row)}/${field}`, word);
          } else if (step.kind === 'add') {
            const id = `new-${String(step.device)}-${String(words)}`;
            page.rows.push({ id, name: word, note: '' });
            typed.set(`rows/${id}/name`, word);
          } else if (step.kind === 'takeOut' && row !== undefined) {
            page.rows = page.rows.filter((entry) => entry !== row);
            page.out.add(rowId(row));
            for (const name of FIELDS) typed.delete(`rows/${rowId(row)}/${name}`);
          } else if (step.kind === 'save') data = sendPage(data, page);
        }
        for (const page of pages) data = sendPage(data, page);
        for (const typed of last) for (const [path, word] of typed) expect(heldAt(data, path), `${path} ${JSON.stringify(acts)}`).to.include(word);
      }),
      { numRuns: RUNS },
    );
  });

  it('changes nothing when a page comes back as it was shown, and nothing more when it comes twice', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 20 }), (acts) => {
        const untouched = openPage(BEGUN, 'untouched');
        const page = openPage(BEGUN, 'typing');
        for (const step of acts) {
          if (step.kind === 'type') page.fields[FIELDS[step.field] ?? ''] = `word ${String(step.field)}`;
          if (step.kind === 'add') page.rows.push({ id: `new-${String(page.rows.length)}`, name: 'added', note: '' });
        }
        const once = sendPage(BEGUN, page);
        expect(sendPage(once, untouched)).to.deep.equal(once);
        const { writers: first, ...rest } = once;
        const { writers: second, ...again } = sendPage(once, page);
        expect(again).to.deep.equal(rest);
        expect(Object.keys(second)).to.deep.equal(Object.keys(first));
      }),
      { numRuns: 500 },
    );
  });

  it('takes answers for the same that a browser cannot tell apart, and no others', () => {
    for (const [left, right, same] of [
      ['one\ntwo', 'one\r\ntwo', true],
      ['\n\none', 'one', true],
      ['', [], true],
      ['  ', '', true],
      ['one', 'One', false],
      ['one ', 'one', false],
      [['a', 'b'], ['b', 'a'], false],
      ['a', ['a'], false],
    ] as const) {
      expect(isSame(left, right), JSON.stringify([left, right])).to.equal(same);
    }
  });

  it('refuses a page that does not say what it showed in the way that it was told', () => {
    const seen: Seen = { view: 'v', fields: { name: 'abc' }, rows: { rows: { a: { name: '' } } } };
    expect(readSeen(JSON.stringify(seen))).to.deep.equal(seen);
    for (const text of ['', '{', '[]', 'null', '{"view":"v"}', '{"view":"v","fields":[],"rows":{}}', '{"view":"v","fields":{},"rows":{"rows":7}}']) {
      let code = '';
      try {
        readSeen(text);
      } catch (error) {
        if (!isAppError(error)) throw error;
        code = error.code;
      }
      expect(code, text).to.equal('bad_request');
    }
  });
});
