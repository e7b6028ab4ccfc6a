import { expect } from 'chai';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import type { OpenForm } from '../../../src/platform/forms/submissions.ts';
import type { TypedFields } from '../../../src/platform/forms/types.ts';
import type { WriteItem } from '../../../src/platform/record/types.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { CERTIFICATE, FAMILY_DOCTOR, SECOND_LOOK } from '../../flow/support/answers.ts';
import { startTestApp, type TestApp } from '../../support/app.ts';

const FORM = 'provider-application';
const NPI = '1234567893';

describe('forms: a form that was sent', () => {
  let test: TestApp;
  let id = '';

  before(async () => {
    test = await startTestApp();
  });
  after(() => test.stop());
  beforeEach(async () => {
    id = (await write({ kind: 'create', values: { npi: NPI, providerType: 'pcp', entityType: 'individual', email: 'a@practice.example' } })).id;
  });

  const system = (): Promise<CallContext> => test.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
  const applicant = async (): Promise<CallContext> => ({
    ...(await system()),
    principal: { kind: 'portal', permissionSets: ['provider'], subject: { object: 'Application', id }, linkId: id },
  });
  const write = async (item: WriteItem) => test.app.engine.writeOne(test.app.db, await system(), 'Application', item);
  const record = async () => test.app.reader.get(test.app.db, await system(), 'Application', id);
  const open = async (): Promise<OpenForm> => test.app.forms.open(test.app.db, await applicant(), FORM, id);
  const submit = async (version?: number): Promise<OpenForm> =>
    test.app.forms.submit(test.app.db, await applicant(), FORM, id, 'Ada Byron', ...(version === undefined ? [] : [version]));
  const refused = async (work: Promise<unknown>): Promise<string> => {
    try {
      await work;
    } catch (error) {
      if (isAppError(error)) return error.code;
      throw error;
    }
    return 'nothing was refused';
  };

  async function save(title: string, answers: Readonly<Record<string, unknown>>): Promise<void> {
    const opened = await open();
    const page = opened.pages.find((entry) => entry.title === title);
    if (page === undefined) throw new Error(`There is no page "${title}".`);
    const fields: Record<string, string | readonly string[]> = {};
    const repeats: Record<string, readonly TypedFields[]> = {};
    for (const [name, value] of Object.entries(answers)) {
      const typed = Array.isArray(value) ? value.map(String) : String(value);
      const [relation, index, field] = name.split('.');
      if (relation === undefined || index === undefined || field === undefined) fields[name] = typed;
      else {
        const known = repeats[relation] ?? opened.submission.data.repeats[relation] ?? [];
        repeats[relation] = [{ ...known[Number(index)], [field]: typed }];
      }
    }
    await test.app.forms.savePage(test.app.db, await applicant(), FORM, id, page.name, { fields, repeats }, true);
  }

  async function fillIn(): Promise<void> {
    for (const [title, answers] of FAMILY_DOCTOR) await save(title, answers);
    for (const [title, answers] of Object.entries(SECOND_LOOK)) await save(title, answers);
    await save('About you', { firstName: 'Ada', lastName: 'Byron' });
    await save('How we reach you', { mailingAddressLine1: '5 Main Street', mailingCity: 'Springfield', mailingState: 'MA', mailingZip: '01101' });
    await save('Professional numbers', { taxonomyCode: '207Q00000X' });
    const asked = (await open()).errors.filter((error) => error.name.startsWith('document.'));
    for (const { name } of asked)
      await test.app.forms.upload(test.app.db, await applicant(), FORM, id, { ...CERTIFICATE, type: name.slice('document.'.length) });
    const left = (await open()).errors;
    expect(left.map((error) => `${error.name}: ${error.message}`)).to.deep.equal([]);
  }

  async function sendBack(): Promise<void> {
    const context = await system();
    await inTransaction(test.app.db, (tx) =>
      test.app.engine.write(tx, context, 'Application', [
        { kind: 'transition', id, transition: 'return', values: { returnReason: 'The DEA number is wrong.' } },
      ]),
    );
  }
  const states = async (): Promise<readonly unknown[]> =>
    (await rows(test.app.db, sql`select state from credenza.submission where record_id = ${id}::uuid order by created_at, id`)).map((row) => row['state']);

  it('is written once when it is sent twice at the same moment', async () => {
    await fillIn();
    const answers = await Promise.all([refused(submit()), refused(submit())]);
    expect([...answers].sort()).to.deep.equal(['conflict_state', 'nothing was refused']);
    expect(await states()).to.deep.equal(['submitted']);
    const context = await system();
    for (const [object, expected] of [
      ['ApplicationLicense', 1],
      ['Document', 1],
    ] as const) {
      if (context.model.objects.get(object)?.fields.has('application') !== true) continue;
      const found = await test.app.reader.list(test.app.db, context, { object, equals: { application: id } });
      expect([object, found.data.length]).to.deep.equal([object, expected]);
    }
  });

  it('is not sent again by a page from before it was returned', async () => {
    await fillIn();
    await submit();
    await sendBack();
    expect(await refused(submit())).to.equal('conflict_state');
    expect(await record()).to.include({ status: 'returned' });
    const again = await open();
    expect(again).to.include({ editable: true });
    expect(await submit(again.submission.version)).to.include({ editable: false });
    expect(await states()).to.deep.equal(['submitted', 'submitted']);
  });

  it('takes answers out of the record that the form no longer asks for', async () => {
    await fillIn();
    await submit();
    expect(await record()).to.include({ prescribes: true, deaNumber: 'BA1234563' });
    await sendBack();
    await save('Professional numbers', { prescribes: 'false' });
    await submit();
    expect(await record()).to.include({ prescribes: false, deaNumber: null, deaState: null, deaExpiresOn: null });
  });
});
