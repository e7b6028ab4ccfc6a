import { expect } from 'chai';
import type { Knex } from 'knex';
import { ident, rows, run, sql } from '../../src/platform/sql.ts';
import { untilBlocked } from '../platform/record/fixtures/blocked.ts';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../support/app.ts';

const PROVIDERS = '/api/v1/records/Provider';
const terms = (count: number, operator: string): string => Array.from({ length: count }, (_, index) => `lastName == 'name ${String(index)}'`).join(operator);
const nested = (depth: number, around: (inner: string) => string): string =>
  Array.from({ length: depth }).reduce((inner: string) => around(inner), "lastName == 'x'");

/** Requests that would cost the database much, by what they ask for too much of; each is refused by the code. */
const COSTLY: Readonly<Record<string, (send: Client) => Promise<Answer>>> = {
  '1,000 conditions joined by or': (send) => send('POST', `${PROVIDERS}/query`, { filter: terms(1000, ' || ') }),
  '1,000 conditions joined by and': (send) => send('POST', `${PROVIDERS}/query`, { filter: terms(1000, ' && ') }),
  'a filter in 500 brackets': (send) => send('POST', `${PROVIDERS}/query`, { filter: `${'('.repeat(500)}lastName == 'x'${')'.repeat(500)}` }),
  'not not not ..., 2,000 times': (send) => send('POST', `${PROVIDERS}/query`, { filter: `${'!'.repeat(2000)}(lastName == 'x')` }),
  'choices in choices, 200 deep': (send) => send('POST', `${PROVIDERS}/query`, { filter: nested(200, (inner) => `(npi == '1' ? ${inner} : true)`) }),
  'a list of 2,000 values': (send) => send('POST', `${PROVIDERS}/query`, { filter: `lastName in [${Array.from({ length: 2000 }, () => "'x'").join()}]` }),
  'a text of 100,000 characters': (send) => send('POST', `${PROVIDERS}/query`, { filter: `lastName == '${'x'.repeat(100_000)}'` }),
  'questions about relations in one another, 8 deep': (send) =>
    send('POST', `${PROVIDERS}/query`, {
      filter: Array.from({ length: 8 }).reduce((inner: string, _, index) => `contracts.exists(c${String(index)}, ${inner})`, "lastName == 'x'"),
    }),
  'a page of 501': (send) => send('GET', `${PROVIDERS}?limit=501`),
  'a page of 1e9': (send) => send('GET', `${PROVIDERS}?limit=1000000000`),
  'an order by five fields': (send) => send('GET', `${PROVIDERS}?sort=lastName,firstName,npi,createdAt,updatedAt`),
  'an expansion of nine levels': (send) =>
    send('GET', `${PROVIDERS}?expand=${Array.from({ length: 9 }, (_, index) => (index % 2 === 0 ? 'contracts' : 'provider')).join('.')}`),
  'one hundred expansions': (send) => send('POST', `${PROVIDERS}/query`, { expand: Array.from({ length: 100 }, (_, index) => `r${String(index)}`) }),
  '500 fields': (send) => send('POST', `${PROVIDERS}/query`, { fields: Array.from({ length: 500 }, (_, index) => `f${String(index)}`) }),
  'a search of 10,000 characters': (send) => send('POST', `${PROVIDERS}/query`, { search: 'x '.repeat(5000) }),
  'groups by twenty fields': (send) =>
    send('POST', `${PROVIDERS}/aggregate`, { groupBy: Array.from({ length: 20 }, () => 'lastName'), measures: [{ as: 'n', op: 'count' }] }),
  'a cursor of 10,000 characters': (send) => send('POST', `${PROVIDERS}/query`, { cursor: 'x'.repeat(10_000) }),
  'JSON 10,000 deep': (send) => send('POST', `${PROVIDERS}/query`, `${'{"filter":'.repeat(10_000)}1${'}'.repeat(10_000)}`),
};

/** What the refusals say: that it is too much, and how much may be. */
const WORDS = /longer than \d|levels deep|has more than \d|; 4 are allowed|at most \d|whole number|not a cursor|more than 200 items|must be string/i;

describe('requests that ask for too much (quality.md, row 65)', () => {
  let test: TestApp;
  let admin: Client;
  let lock: Knex.Transaction | null = null;
  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
    const table = (await test.app.store.current()).objects.get('Provider')?.table ?? '';
    lock = await test.app.db.transaction();
    await run(lock, sql`lock table ${ident('credenza', table)} in access exclusive mode`);
  });
  after(async () => {
    await lock?.rollback();
    await test.stop();
  });

  // Nobody else can look at the table: whatever asks the database of providers is not answered.
  for (const [title, send] of Object.entries(COSTLY)) {
    it(`${title}: refused with what may be at most, without a look at the table`, async () => {
      const answer = await send(admin);
      expect([answer.status, answer.body['code']], answer.text).to.be.deep.oneOf([
        [400, 'invalid_query'],
        [400, 'bad_request'],
      ]);
      expect(String(answer.body['detail'])).to.match(WORDS);
    });
  }

  it('a plain list waits for the table', async () => {
    const list = admin('GET', `${PROVIDERS}?limit=1`);
    await untilBlocked(test.app.db);
    await lock?.rollback();
    lock = null;
    expect((await list).status).to.equal(200);
  });
});

describe('one who presses fifty times (quality.md, row 18)', () => {
  let test: TestApp;
  before(async () => {
    test = await startTestApp();
  });
  after(() => test.stop());

  it('makes one record and is given fifty equal answers', async () => {
    const admin = await test.caller('administrator');
    const body = { name: 'Once', code: 'ONCE', type: 'hmo', lineOfBusiness: 'commercial' };
    const answers = await Promise.all(Array.from({ length: 50 }, () => admin('POST', '/api/v1/records/Network', body, { 'idempotency-key': 'fifty' })));
    expect(new Set(answers.map(({ status, text, headers }) => `${String(status)} ${text} ${String(headers.get('etag'))}`)).size).to.equal(1);
    expect(answers[0]?.status).to.equal(201);
    const [found] = await rows(
      test.app.db,
      sql`select count(*)::int as n from credenza.record_history where record_id = ${String(at(answers[0]?.body, 'data.id'))}::uuid`,
    );
    expect(found?.['n']).to.equal(1);
    expect(at((await admin('GET', '/api/v1/records/Network?code=ONCE&count=exact')).body, 'meta.count')).to.equal(1);
  });
});
