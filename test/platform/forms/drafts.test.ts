import { expect } from 'chai';
import { isAppError } from '../../../src/platform/errors.ts';
import { seenOn } from '../../../src/platform/forms/seen.ts';
import type { OpenForm } from '../../../src/platform/forms/submissions.ts';
import type { RecordData } from '../../../src/platform/query/types.ts';
import type { PageInput, Seen, Sender, TypedFields } from '../../../src/platform/forms/types.ts';
import { guestsOn, namesIn, startMarina, type Marina } from './support/marina.ts';

const NOTHING: PageInput = { fields: {}, repeats: {} };
const BOAT: PageInput = { fields: { boat: 'Heron', withGuests: 'true', insured: 'false' }, repeats: {} };
const guests = (...rows: readonly TypedFields[]): PageInput => ({ fields: {}, repeats: { guests: rows } });

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (isAppError(error)) return error.code;
    throw error;
  }
  return 'nothing was refused';
}

describe('forms: drafts', () => {
  let marina: Marina;
  let id: string;
  let views = 0;
  before(async () => {
    marina = await startMarina();
  });
  after(() => marina.stop());
  beforeEach(async () => {
    id = await marina.newMooring();
  });

  /** A device that opened a page: what it showed, sent along with what is typed. */
  async function device(page: string): Promise<{ readonly seen: Seen; readonly rows: readonly TypedFields[]; readonly opened: OpenForm }> {
    const opened = await marina.open(id);
    const view = opened.pages.find((entry) => entry.name === page);
    if (view === undefined) throw new Error(`There is no page ${page}.`);
    const rows = guestsOn(opened).map((row) => ({ id: row.id, ...Object.fromEntries(row.questions.map((question) => [question.field, question.value])) }));
    return { seen: seenOn(view, `view ${String((views += 1))}`), rows, opened };
  }
  const from = (seen: Seen | null, input: PageInput, more: Partial<Sender> = {}): PageInput => ({ ...input, sender: { seen, number: 0, ...more } });

  describe('begin with the first save', () => {
    it('a read writes nothing, and says under which id and version the draft will be', async () => {
      const first = await marina.open(id);
      expect(first.submission).to.include({ begun: false, version: 0, updatedAt: null, state: 'draft' });
      expect(first.submission.data.fields).to.deep.equal({ boat: 'Heron' });
      expect(await marina.stored(id)).to.deep.equal([]);
      const saved = await marina.save(id, 'boat', BOAT);
      expect(saved.submission).to.include({ begun: true, id: first.submission.id, version: 1 });
      expect(await marina.stored(id)).to.have.length(1);
    });

    it('a read of a form that was never begun and is over writes nothing', async () => {
      const context = await marina.system();
      await marina.test.app.engine.writeOne(marina.test.app.db, context, 'Mooring', { kind: 'transition', id, transition: 'send' });
      expect(await marina.open(id)).to.include({ editable: false });
      expect(await marina.stored(id)).to.deep.equal([]);
      expect(await refusal(marina.save(id, 'boat', BOAT))).to.equal('conflict_state');
      expect(await refusal(marina.submit(id))).to.equal('conflict_state');
      expect(await marina.stored(id)).to.deep.equal([]);
    });

    it('a form that came back is read without a write, and begun anew by the first save', async () => {
      await marina.save(id, 'boat', { ...BOAT, fields: { ...BOAT.fields, withGuests: 'false' } });
      const sent = await marina.submit(id);
      await marina.sendBack(id);
      const stored = await marina.stored(id);
      const again = await marina.open(id);
      expect(again.submission).to.include({ begun: false, version: sent.submission.version + 1, state: 'draft' });
      expect(await marina.stored(id)).to.deep.equal(stored);
      await marina.save(id, 'boat', { fields: { boat: 'Grebe' }, repeats: {} });
      expect((await marina.stored(id)).map((row) => row['state'])).to.deep.equal(['submitted', 'draft']);
      expect((await marina.open(id)).submission.id)
        .to.equal(again.submission.id)
        .and.not.equal(sent.submission.id);
    });

    it('once, by two devices that save first at the same moment', async () => {
      await Promise.all([
        marina.save(id, 'boat', { fields: { boat: 'Grebe' }, repeats: {} }),
        marina.save(id, 'boat', { fields: { logbook: 'Calm' }, repeats: {} }),
      ]);
      expect(await marina.stored(id)).to.have.length(1);
      expect((await marina.open(id)).submission.data.fields).to.deep.equal({ boat: 'Grebe', logbook: 'Calm' });
    });

    it('a form that is complete from its record is sent without a save, once by two at the same moment', async () => {
      const { app } = marina.test;
      const values = { insured: false, withGuests: false };
      await app.engine.writeOne(app.db, await marina.system(), 'Mooring', { kind: 'update', id, version: 1, values });
      const answers = await Promise.all([refusal(marina.submit(id)), refusal(marina.submit(id))]);
      expect([...answers].sort()).to.deep.equal(['conflict_state', 'nothing was refused']);
      expect((await marina.stored(id)).map((row) => row['state'])).to.deep.equal(['submitted']);
    });

    it('a save that changes nothing leaves the version and writes nothing', async () => {
      const { submission } = await marina.save(id, 'boat', BOAT);
      const stored = await marina.stored(id);
      expect((await marina.save(id, 'boat', BOAT)).submission.version).to.equal(submission.version);
      expect(await marina.stored(id)).to.deep.equal(stored);
    });
  });

  describe('two devices', () => {
    beforeEach(() => marina.save(id, 'boat', BOAT));

    it('each add a guest to the same page: both are kept', async () => {
      await marina.save(id, 'guests', guests({ name: 'Ada' }));
      const [desk, phone] = [await device('guests'), await device('guests')];
      await marina.save(id, 'guests', from(desk.seen, guests(...desk.rows, { id: 'new-desk', name: 'Ben' })));
      const after = await marina.save(id, 'guests', from(phone.seen, guests(...phone.rows, { id: 'new-phone', name: 'Cleo' })));
      expect(namesIn(after)).to.deep.equal(['Ada', 'Ben', 'Cleo']);
      expect(after.errors).to.deep.equal([]);
    });

    it('each fill in the blank row that the empty page begins with: both guests are kept', async () => {
      const [desk, phone] = [await device('guests'), await device('guests')];
      await marina.save(id, 'guests', from(desk.seen, guests({ ...desk.rows[0], name: 'Ada' })));
      const after = await marina.save(id, 'guests', from(phone.seen, guests({ ...phone.rows[0], name: 'Ben' })));
      expect(namesIn(after)).to.deep.equal(['Ada', 'Ben']);
    });

    it('a page that only showed a row does not undo what was typed in it elsewhere, field by field', async () => {
      await marina.save(id, 'guests', guests({ name: 'Ada' }));
      const [desk, phone] = [await device('guests'), await device('guests')];
      await marina.save(id, 'guests', from(desk.seen, guests({ ...desk.rows[0], name: 'Adah' })));
      const after = await marina.save(id, 'guests', from(phone.seen, guests({ ...phone.rows[0], minor: 'false' })));
      expect(after.submission.data.repeats['guests']).to.deep.equal([{ ...phone.rows[0], name: 'Adah', minor: 'false' }]);
      const page = await device('boat');
      await marina.save(id, 'boat', { fields: { logbook: 'Calm', equipment: ['raft'] }, repeats: {} });
      const stale = await marina.save(id, 'boat', from(page.seen, { fields: { boat: 'Grebe', logbook: '', equipment: [] }, repeats: {} }));
      expect(stale.submission.data.fields)
        .to.include({ boat: 'Grebe', logbook: 'Calm' })
        .and.deep.include({ equipment: ['raft'] });
    });

    it('type different answers to one question: both are shown, nothing is sent until somebody chooses', async () => {
      const [desk, phone] = [await device('boat'), await device('boat')];
      await marina.save(id, 'boat', from(desk.seen, { fields: { boat: 'Grebe', withGuests: 'false' }, repeats: {} }));
      const after = await marina.save(id, 'boat', from(phone.seen, { fields: { boat: 'Swan' }, repeats: {} }));
      expect(after.submission.data.fields['boat']).to.equal('Swan');
      const question = after.pages[0]?.parts.flatMap((part) => (part.kind === 'fields' ? part.questions : [])).find(({ field }) => field === 'boat');
      expect(question?.others).to.deep.equal([{ value: 'Grebe', display: 'Grebe' }]);
      expect(after.errors.map((error) => error.message)).to.deep.equal(['Choose one of the answers that were given: boat']);
      expect(await refusal(marina.submit(id))).to.equal('validation_failed');
      const digest = (await device('boat')).seen.fields['boat'] ?? '';
      const kept = await marina.save(id, 'boat', from(null, NOTHING, { choice: { path: 'boat', digest: null } }));
      expect([kept.submission.data.fields['boat'], kept.errors]).to.deep.equal(['Swan', []]);
      await marina.save(id, 'boat', from(desk.seen, { fields: { boat: 'Coot' }, repeats: {} }));
      const taken = await marina.save(id, 'boat', from(null, NOTHING, { choice: { path: 'boat', digest } }));
      expect([taken.submission.data.fields['boat'], taken.errors]).to.deep.equal(['Swan', []]);
      const late = await marina.save(id, 'boat', from(null, NOTHING, { choice: { path: 'boat', digest: 'gone' } }));
      expect(late.submission.data).to.deep.equal(taken.submission.data);
      expect(await marina.submit(id)).to.include({ editable: false });
    });

    it('type on and on at one question: no more than one answer of each is kept', async () => {
      const [desk, phone] = [await device('boat'), await device('boat')];
      let [deskSeen, phoneSeen] = [desk.seen, phone.seen];
      for (const text of ['S', 'Sw', 'Swa', 'Swan']) {
        await marina.save(id, 'boat', from(deskSeen, { fields: { boat: `desk ${text}` }, repeats: {} }));
        deskSeen = { ...(await device('boat')).seen, view: desk.seen.view };
        await marina.save(id, 'boat', from(phoneSeen, { fields: { boat: `phone ${text}` }, repeats: {} }));
        phoneSeen = { ...(await device('boat')).seen, view: phone.seen.view };
      }
      const { data } = (await marina.open(id)).submission;
      expect([data.fields['boat'], data.others['boat']]).to.deep.equal(['phone Swan', ['desk Swan']]);
    });

    it('one takes a guest out that the other does not touch: it stays out', async () => {
      await marina.save(id, 'guests', guests({ name: 'Ada' }, { name: 'Ben' }));
      const [desk, phone] = [await device('guests'), await device('guests')];
      await marina.save(id, 'guests', from(desk.seen, guests(...desk.rows), { removed: { guests: [String(desk.rows[1]?.['id'])] } }));
      const after = await marina.save(id, 'guests', from(phone.seen, guests({ ...phone.rows[0], name: 'Adah' }, phone.rows[1] ?? {})));
      expect(namesIn(after)).to.deep.equal(['Adah']);
    });

    it('one takes a guest out that the other changed, in either order: it is asked for', async () => {
      await marina.save(id, 'guests', guests({ name: 'Ada' }, { name: 'Ben' }));
      for (const outFirst of [true, false]) {
        const [desk, phone] = [await device('guests'), await device('guests')];
        const ben = String(desk.rows[1]?.['id']);
        const takeOut = (): Promise<OpenForm> => marina.save(id, 'guests', from(desk.seen, guests(...desk.rows), { removed: { guests: [ben] } }));
        const change = (): Promise<OpenForm> =>
          marina.save(id, 'guests', from(phone.seen, guests(phone.rows[0] ?? {}, { ...phone.rows[1], name: `Benjamin ${String(outFirst)}` })));
        const after = outFirst ? (await takeOut(), await change()) : (await change(), await takeOut());
        expect(namesIn(after)).to.deep.equal(['Ada', `Benjamin ${String(outFirst)}`]);
        expect(guestsOn(after).map((row) => row.contested)).to.deep.equal([false, true]);
        expect(after.errors.map((error) => [error.name, error.message])).to.deep.equal([
          ['guests.1', 'Keep or remove guest 2: it was removed on one device and changed on another'],
        ]);
        const kept = await marina.save(id, 'guests', from(null, NOTHING, { choice: { path: `guests/${ben}`, digest: null } }));
        expect([namesIn(kept).length, kept.errors]).to.deep.equal([2, []]);
      }
      const page = await device('guests');
      const ben = String(page.rows[1]?.['id']);
      const gone = await marina.save(id, 'guests', from(page.seen, guests(...page.rows), { removed: { guests: [ben] } }));
      expect([namesIn(gone), gone.submission.data.others]).to.deep.equal([['Ada'], {}]);
    });

    it('a view whose answer got lost on the way sends again without a clash, and what comes late changes nothing', async () => {
      const { seen } = await device('boat');
      const typed = (text: string, number: number): Promise<OpenForm> =>
        marina.save(id, 'boat', from(seen, { fields: { logbook: text }, repeats: {} }, { number }));
      await typed('Fine', 1);
      await typed('Fine weather', 3);
      const late = await typed('Fine weat', 2);
      expect([late.submission.data.fields['logbook'], late.submission.data.others]).to.deep.equal(['Fine weather', {}]);
      const undone = await typed('', 4);
      expect([undone.submission.data.fields['logbook'], undone.submission.data.others]).to.deep.equal(['', {}]);
    });

    it('above the most rows are all kept, and the form says so', async () => {
      await marina.save(id, 'guests', guests({ name: 'A' }, { name: 'B' }, { name: 'C' }));
      const [desk, phone] = [await device('guests'), await device('guests')];
      await marina.save(id, 'guests', from(desk.seen, guests(...desk.rows, { id: 'new-d', name: 'D' })));
      const after = await marina.save(id, 'guests', from(phone.seen, guests(...phone.rows, { id: 'new-e', name: 'E' })));
      expect(namesIn(after)).to.deep.equal(['A', 'B', 'C', 'D', 'E']);
      expect(after.errors.map((error) => error.message)).to.deep.equal(['Remove some, at most 4: guest']);
    });

    it('a page that was hidden meanwhile by an answer elsewhere is kept all the same', async () => {
      const { seen, rows } = await device('guests');
      await marina.save(id, 'boat', { fields: { withGuests: 'false' }, repeats: {} });
      const kept = await marina.save(id, 'guests', from(seen, guests({ ...rows[0], name: 'Ada' })));
      expect(kept.pages.map((page) => page.name)).to.deep.equal(['boat']);
      expect(namesIn(kept)).to.deep.equal(['Ada']);
    });
  });

  describe('lists sent whole, without a page', () => {
    beforeEach(async () => {
      await marina.save(id, 'boat', BOAT);
      await marina.save(id, 'guests', guests({ name: 'Ada' }, { name: 'Ben' }));
    });

    it('may be sent again as they are, and change rows by their ids', async () => {
      const before = (await marina.open(id)).submission;
      expect((await marina.save(id, 'guests', guests({ name: 'Ada' }, { name: 'Ben' }))).submission.version).to.equal(before.version);
      const rows = before.data.repeats['guests'] ?? [];
      const after = await marina.save(id, 'guests', guests(...rows.map((row) => ({ ...row, minor: 'false' })), { name: 'Cleo' }));
      expect(namesIn(after)).to.deep.equal(['Ada', 'Ben', 'Cleo']);
      expect(after.submission.data.repeats['guests']?.slice(0, 2).map((row) => row['id'])).to.deep.equal(rows.map((row) => row['id']));
    });

    it('drop no row that somebody may have added meanwhile: only with the version that was read', async () => {
      expect(await refusal(marina.save(id, 'guests', guests({ name: 'Ada' })))).to.equal('precondition_required');
      expect(await refusal(marina.save(id, 'guests', guests()))).to.equal('precondition_required');
      const { version } = (await marina.open(id)).submission;
      await marina.save(id, 'guests', guests({ name: 'Ada' }, { name: 'Ben' }, { name: 'Cleo' }));
      expect(await refusal(marina.save(id, 'guests', { ...guests({ name: 'Ada' }), version }))).to.equal('conflict_version');
      expect(namesIn(await marina.open(id))).to.deep.equal(['Ada', 'Ben', 'Cleo']);
      const read = (await marina.open(id)).submission.version;
      expect(namesIn(await marina.save(id, 'guests', { ...guests({ name: 'Ada' }), version: read }))).to.deep.equal(['Ada']);
    });

    it('name no row twice and none of another record', async () => {
      const [row] = (await marina.open(id)).submission.data.repeats['guests'] ?? [];
      expect(await refusal(marina.save(id, 'guests', guests({ ...row }, { ...row })))).to.equal('bad_request');
      const other = await marina.newMooring();
      const { app } = marina.test;
      const values = { mooring: other, name: 'Zoe' };
      const foreign = (await app.engine.writeOne(app.db, await marina.system(), 'Guest', { kind: 'create', values })).id;
      expect(await refusal(marina.save(id, 'guests', guests({ id: foreign, name: 'Mine' })))).to.equal('not_found');
      expect(await refusal(marina.save(id, 'guests', guests({ id: 'anything', name: 'Mine' })))).to.equal('not_found');
    });
  });

  describe('sent', () => {
    async function fill(): Promise<void> {
      await marina.save(id, 'boat', { ...BOAT, fields: { ...BOAT.fields, insured: 'true' } }, true);
      await marina.save(id, 'guests', guests({ name: 'Ada', minor: 'true', guardian: 'Ben' }, { name: 'Cleo' }), true);
      await marina.upload(id, 'first.png');
    }
    async function sendAgain(): Promise<void> {
      await marina.submit(id, (await marina.open(id)).submission.version);
    }

    it('is refused for a version that was not read over', async () => {
      await fill();
      const { version } = (await marina.open(id)).submission;
      await marina.save(id, 'boat', { fields: { boat: 'Grebe' }, repeats: {} });
      expect(await refusal(marina.submit(id, version))).to.equal('conflict_version');
      expect(await marina.of('Guest', id)).to.deep.equal([]);
      await marina.submit(id, version + 1);
      expect((await marina.of('Guest', id)).map((guest) => guest['name'])).to.have.members(['Ada', 'Cleo']);
    });

    it('puts the document in the trash that an earlier submission wrote and this one replaces, and no other', async () => {
      await fill();
      await marina.submit(id);
      const [first] = await marina.of('Paper', id);
      const { app } = marina.test;
      const other = await marina.newMooring();
      await marina.save(other, 'boat', { ...BOAT, fields: { ...BOAT.fields, insured: 'true', withGuests: 'false' } });
      const added = (await marina.upload(other, 'of staff.png')).submission.data.documents['insurance']?.fileId;
      const values = { mooring: id, type: 'insurance', file: added };
      await app.engine.writeOne(app.db, await marina.system(), 'Paper', { kind: 'create', values });
      await marina.sendBack(id);
      await marina.upload(id, 'second.png');
      await sendAgain();
      expect((await marina.trashOf('Paper', id)).map((paper) => paper.id)).to.deep.equal([first?.id]);
      const files = (await marina.of('Paper', id)).map((paper) => paper['file']);
      expect(files).to.have.length(2).and.include(added).and.not.include(first?.['file']);
      await marina.sendBack(id);
      await sendAgain();
      expect((await marina.of('Paper', id)).map((paper) => paper['file'])).to.deep.equal(files);
    });

    it('puts a document in the trash that is no longer asked for, and brings one back when it is', async () => {
      await fill();
      await marina.submit(id);
      await marina.sendBack(id);
      await marina.save(id, 'boat', { fields: { insured: 'false' }, repeats: {} });
      await marina.submit(id);
      expect([await marina.of('Paper', id), (await marina.trashOf('Paper', id)).length]).to.deep.equal([[], 1]);
      await marina.sendBack(id);
      await marina.save(id, 'boat', { fields: { insured: 'true' }, repeats: {} });
      await marina.submit(id);
      expect((await marina.of('Paper', id)).length).to.equal(1);
    });

    it('writes no rows that a condition hides, and puts those in the trash that were written before', async () => {
      await fill();
      await marina.save(id, 'boat', { fields: { withGuests: 'false' }, repeats: {} });
      await marina.submit(id);
      expect(await marina.of('Guest', id)).to.deep.equal([]);
      await marina.sendBack(id);
      await marina.save(id, 'boat', { fields: { withGuests: 'true' }, repeats: {} });
      await marina.save(id, 'guests', guests({ name: 'Ada' }, { name: 'Cleo' }));
      await marina.submit(id);
      expect(await marina.of('Guest', id)).to.have.length(2);
      await marina.sendBack(id);
      await marina.save(id, 'boat', { fields: { withGuests: 'false' }, repeats: {} });
      await marina.submit(id);
      expect([await marina.of('Guest', id), (await marina.trashOf('Guest', id)).length]).to.deep.equal([[], 2]);
    });

    it('shows rows in the order in which they were typed when it comes back', async () => {
      await marina.save(id, 'boat', { ...BOAT, fields: { ...BOAT.fields, insured: 'false' } });
      const names = ['Dora', 'Ada', 'Cleo', 'Ben'];
      await marina.save(id, 'guests', guests(...names.map((name) => ({ name }))));
      await marina.submit(id);
      await marina.sendBack(id);
      expect(namesIn(await marina.open(id))).to.deep.equal(names);
    });

    it('clears answers of a row that are no longer asked for, trashes rows that were taken out, and leaves those of others', async () => {
      await fill();
      await marina.submit(id);
      const byName = async (name: string): Promise<RecordData | undefined> => (await marina.of('Guest', id)).find((guest) => guest['name'] === name);
      const [ada, cleo] = [await byName('Ada'), await byName('Cleo')];
      expect(ada).to.include({ name: 'Ada', minor: true, guardian: 'Ben' });
      await marina.sendBack(id);
      const { seen, rows } = await device('guests');
      await marina.save(id, 'guests', from(seen, guests({ id: ada?.id ?? '', minor: 'false' }), { removed: { guests: [cleo?.id ?? ''] } }));
      const { app } = marina.test;
      const zoe = (await app.engine.writeOne(app.db, await marina.system(), 'Guest', { kind: 'create', values: { mooring: id, name: 'Zoe' } })).id;
      await marina.submit(id);
      expect(rows).to.have.length(2);
      const left = await marina.of('Guest', id);
      expect(left.map((guest) => [guest.id, guest['name'], guest['guardian']])).to.have.deep.members([
        [ada?.id, 'Ada', null],
        [zoe, 'Zoe', null],
      ]);
      expect((await marina.trashOf('Guest', id)).map((guest) => guest.id)).to.deep.equal([cleo?.id]);
    });
  });
});
