import { expect } from 'chai';
import { withCheckDigit } from '../../src/network/npi/npi.ts';
import { at, startTestApp, type Answer, type TestApp } from '../support/app.ts';
import { preparedNames } from '../support/prepared-names.ts';

const POOL = 4;
const OFTEN = [1, 2, 3, 4, 5, 6];

const garden = (index: boolean) => ({
  title: 'Garden',
  'x-object': { id: 'gardengn0001', plural: 'Gardens', name: '{name}' },
  type: 'object',
  properties: { name: { type: 'string', 'x-id': 'gardennm0001', ...(index ? { 'x-unique': true } : {}) } },
});

/** Walks the main roads of the product, each as often as a text needs to be given a name. */
async function walk(test: TestApp): Promise<void> {
  const staff = await test.caller('network', 'recruiting', 'administrator');
  const ask = async (status: number, method: string, path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> => {
    const answer = await staff(method, `/api/v1/${path}`, body, headers);
    expect(answer.status, `${method} ${path} ${answer.text}`).to.equal(status);
    return answer;
  };
  for (const number of OFTEN) {
    const lead = await ask(201, 'POST', 'records/Lead', { npi: withCheckDigit(`12345678${String(number)}`), entityType: 'individual', lastName: 'Miller' });
    const id = String(at(lead.body, 'data.id'));
    await ask(200, 'PATCH', `records/Lead/${id}`, { lastName: `Miller ${String(number)}` }, { 'if-match': '"v1"' });
    await test.app.worker.drain();
    expect(at((await ask(200, 'GET', `records/Lead/${id}`)).body, 'data.name'), 'a rule made the name').to.equal(`Miller ${String(number)}`);
    expect(at((await ask(200, 'GET', `records/Lead?filter=${encodeURIComponent(`lastName == 'Miller ${String(number)}'`)}`)).body, 'data')).to.have.length(1);
    expect(at((await ask(200, 'GET', 'search?q=miller')).body, 'data')).to.have.length(number);
    const items = [{ op: 'create', values: { npi: withCheckDigit(`22345678${String(number)}`), entityType: 'individual', lastName: 'Smith' } }];
    await ask(200, 'POST', 'records/Lead/bulk', { mode: 'atomic', items });
  }

  const form = new FormData();
  form.set('object', 'Network');
  form.set('file', new Blob(['name,code,type,lineOfBusiness\nGold,G1,hmo,commercial\nSilver,S1,ppo,commercial\n']), 'networks.csv');
  const sent = await fetch(`${test.url}/api/v1/imports`, { method: 'POST', headers: { authorization: `Bearer ${staff.token}` }, body: form });
  const job = `imports/${String(at(await sent.json(), 'data.id'))}`;
  await test.app.worker.drain();
  for (const act of ['check', 'start']) {
    await ask(202, 'POST', `${job}/${act}`);
    await test.app.worker.drain();
  }
  expect(at((await ask(200, 'GET', 'records/Network?count=exact')).body, 'meta.count')).to.equal(2);

  await ask(200, 'POST', 'metadata/apply', { files: { objects: { Garden: garden(false) } } });
  await ask(201, 'POST', 'records/Garden', { name: 'Rosary' });
  const changed = await ask(200, 'POST', 'metadata/apply', { files: { objects: { Garden: garden(true) } } });
  expect(changed.text, 'made beside running work').to.contain('index');
  await ask(409, 'POST', 'records/Garden', { name: 'Rosary' });
}

describe('DATABASE_PREPARED_STATEMENTS', () => {
  let test: TestApp;
  afterEach(() => test.stop());

  const start = (setting: string): Promise<TestApp> => startTestApp({ environment: { DATABASE_PREPARED_STATEMENTS: setting, DATABASE_POOL: String(POOL) } });

  it('off: no road of the product leaves a name on any connection', async () => {
    test = await start('off');
    await walk(test);
    expect(await preparedNames(test.app.db, POOL)).to.deep.equal(Array.from({ length: POOL }, () => []));
  });

  it('on: what is sent often has names', async () => {
    test = await start('on');
    await walk(test);
    const names = (await preparedNames(test.app.db, POOL)).flat();
    for (const kind of ['recurring', 'direct', 'before', 'lock', 'insert', 'update', 'side', 'process']) {
      expect(
        names.filter((name) => name.startsWith(`${kind}_`)),
        kind,
      ).not.to.have.length(0);
    }
  });
});
