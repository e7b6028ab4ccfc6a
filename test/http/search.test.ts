import { expect } from 'chai';
import { withCheckDigit } from '../../src/network/npi/npi.ts';
import { at, startTestApp, type Client, type TestApp } from '../support/app.ts';

const NPI = withCheckDigit('123456789');

describe('search over HTTP', () => {
  let test: TestApp;
  let network: Client;

  before(async () => {
    test = await startTestApp();
    network = await test.caller('network');
    // The number of the first also stands in the name of the second, which was made later and would come first by its beginning.
    await add({ npi: NPI, name: 'Zoë Schmidt' });
    await add({ npi: withCheckDigit('123456780'), name: `${NPI} Street Practice` });
    await add({ npi: withCheckDigit('123456781'), name: 'Johnson Family Medicine' });
  });
  after(() => test.stop());

  async function add(values: Readonly<Record<string, unknown>>): Promise<void> {
    const answer = await network('POST', '/api/v1/records/Provider', { type: 'pcp', ...values });
    expect(answer.status, answer.text).to.equal(201);
  }
  const namesOf = async (text: string): Promise<readonly unknown[]> => {
    const answer = await network('GET', `/api/v1/search?q=${encodeURIComponent(text)}&objects=Provider`);
    expect(answer.status, answer.text).to.equal(200);
    const hits = at(answer.body, 'data');
    return Array.isArray(hits) ? hits.map((hit) => at(hit, 'name')) : [];
  };

  it('puts the record that the number identifies first', async () => {
    expect(await namesOf(NPI)).to.deep.equal(['Zoë Schmidt', `${NPI} Street Practice`]);
  });

  it('answers a record once, however often its object is named', async () => {
    const answer = await network('GET', '/api/v1/search?q=johnson&objects=Provider,Provider,Provider');
    expect(answer.status, answer.text).to.equal(200);
    expect(at(answer.body, 'data')).to.have.length(1);
  });

  it('finds a record at once that was just written, whatever the case and the marks', async () => {
    await add({ npi: withCheckDigit('123456782'), name: 'Íñigo Öztürk' });
    expect(await namesOf('inigo OZT')).to.deep.equal(['Íñigo Öztürk']);
  });

  it('finds what is misspelt only where nothing is spelt so', async () => {
    expect(await namesOf('jonson')).to.deep.equal(['Johnson Family Medicine']);
    expect(await namesOf('schimdt')).to.deep.equal(['Zoë Schmidt']);
    expect(await namesOf('johnson')).to.deep.equal(['Johnson Family Medicine']);
    expect(await namesOf('quetzalcoatl')).to.deep.equal([]);
    expect(await namesOf('jnn')).to.deep.equal([]);
  });
});
