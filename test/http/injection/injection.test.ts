import { expect } from 'chai';
import pg from 'pg';
import { ident, rows, run, sql } from '../../../src/platform/sql.ts';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../../support/app.ts';
import { injectionPayloads } from './payloads.ts';

/** Payloads in all; the full number by the environment, as INJECTION_PAYLOADS=5000. */
const COUNT = Number(process.env['INJECTION_PAYLOADS'] ?? 220);
const TRAPS = '/api/v1/records/Trap';
/** As many as one apply puts into its files. */
const AT_ONCE = 100;

/** Collects the state of every error that PostgreSQL sends to this process, whoever asked. */
function watchErrors(): { readonly states: string[]; readonly stop: () => void } {
  const states: string[] = [];
  const handler: unknown = Reflect.get(pg.Client.prototype, '_handleErrorMessage');
  if (typeof handler !== 'function') throw new TypeError('The PostgreSQL driver has no handler of errors.');
  Reflect.set(pg.Client.prototype, '_handleErrorMessage', function noting(this: unknown, message: unknown): unknown {
    states.push(typeof message === 'object' && message !== null && 'code' in message ? String(message.code) : 'unknown');
    return Reflect.apply(handler, this, [message]);
  });
  return { states, stop: () => void Reflect.set(pg.Client.prototype, '_handleErrorMessage', handler) };
}

const literal = (text: string): string => JSON.stringify(text);
const storable = (text: string): boolean => !text.includes('\u0000');
const id = (kind: string, number: number): string => `${kind}${String(number).padStart(12 - kind.length, '0')}`;

describe('texts that would like to be SQL, over HTTP (quality.md, row 50)', function () {
  this.timeout(900_000);
  let watch: ReturnType<typeof watchErrors>;
  let test: TestApp;
  let admin: Client;
  const payloads = injectionPayloads(COUNT);
  before(async () => {
    // Before there are connections, which take the driver's handler along; not earlier, for what other tests provoke is theirs.
    watch = watchErrors();
    test = await startTestApp();
    admin = await test.caller('administrator');
    await run(test.app.db, sql`create sequence ${ident('credenza', 'canary')}`);
  });
  after(async () => {
    watch.stop();
    await test.stop();
  });

  /** Refused or taken, but never a failure. */
  function answered(answer: Answer, text: string): Answer {
    expect(answer.status, `${literal(text)}: ${answer.text.slice(0, 300)}`).to.be.lessThan(500);
    return answer;
  }
  async function expectNoEffect(): Promise<void> {
    expect(
      watch.states.filter((state) => state.startsWith('42')),
      'syntax errors and unknown names at the server',
    ).to.deep.equal([]);
    const [canary] = await rows(test.app.db, sql`select is_called from ${ident('credenza', 'canary')}`);
    expect(canary?.['is_called'], 'what a payload asks for was run').to.equal(false);
    const [people] = await rows(test.app.db, sql`select count(*)::int as n from ${ident('credenza', 'app_user')} where name = 'owned'`);
    expect(people?.['n']).to.equal(0);
  }

  it('are seen by this test, were they run: a wrong statement and the sequence are noticed', async () => {
    const failed: unknown = await rows(test.app.db, sql`selec`).then(
      () => null,
      (error: unknown) => error,
    );
    expect(failed).to.be.instanceOf(Error);
    expect(watch.states.splice(0)).to.deep.equal(['42601']);
    expect(new Set(payloads).size).to.equal(COUNT);
    expect(payloads.filter((text) => /nextval/i.test(text)).length).to.be.greaterThan(COUNT / 5);
  });

  /** Metadata with a payload in every text that people give: titles, descriptions, helps, defaults, formulas, labels, messages, views. */
  function trap(texts: readonly string[]): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
    const text = (index: number): string => texts[index % texts.length] ?? '';
    const fields = texts.map((payload, index) => [
      `field${String(index)}`,
      {
        title: payload.slice(0, 80),
        description: payload,
        type: 'string',
        'x-id': id('trapf', index),
        'x-help': payload,
        ...(index % 2 === 0 ? { 'x-default': literal(payload) } : { 'x-formula': `${literal(payload)} + coalesce(field0, '')`, 'x-index': index % 10 === 1 }),
      },
    ]);
    const choice = { type: 'string', title: 'Choice', 'x-values': 'trap', 'x-id': 'trapch0ce001' };
    const checks = texts.slice(0, 20).map((payload, index) => ({
      name: `check-${String(index)}`,
      assert: `choice != ${literal(payload)}`,
      field: 'choice',
      message: payload,
      fix: payload,
    }));
    const object = {
      title: text(1),
      description: text(2),
      'x-object': { id: 'trapbject001', plural: text(3), name: `{field0} ${text(4).replaceAll(/[{}]/g, '')}`, sharing: 'public' },
      type: 'object',
      properties: { ...Object.fromEntries(fields), choice },
      'x-checks': checks,
    };
    const values = texts.map((payload, index) => ({ code: `code-${String(index)}`, label: payload.slice(0, 80) }));
    const view = {
      id: 'trapv1ew0001',
      name: 'traps',
      label: text(5),
      object: 'Trap',
      columns: ['field0', 'field1', 'choice'],
      filter: `field0 != ${literal(text(6))}`,
    };
    const rule = {
      id: 'trapr13e0001',
      name: 'trap-made',
      label: text(7),
      on: { created: 'Trap' },
      when: `field0 == ${literal(text(8))}`,
      do: [{ step: 'create', object: 'Task', values: { subject: literal(text(9)) } }],
    };
    return {
      objects: { Trap: object },
      'value-sets': { trap: { id: 'trapva1es001', name: 'trap', label: text(0), values } },
      views: { traps: view },
      rules: { 'trap-made': rule },
    };
  }

  it(`stay texts in the metadata: ${String(COUNT)} in titles, helps, defaults, formulas, labels, messages, views and rules`, async () => {
    const usable = payloads.filter(storable);
    for (let from = 0; from < usable.length; from += AT_ONCE) {
      // The last ones are filled up with some that came before.
      const start = Math.max(0, Math.min(from, usable.length - AT_ONCE));
      const texts = usable.slice(start, start + AT_ONCE);
      const applied = await admin('POST', '/api/v1/metadata/apply', { files: trap(texts), allowDestructive: true });
      expect(applied.status, applied.text.slice(0, 1_500)).to.equal(200);
      const made = await admin('POST', TRAPS, { choice: 'code-1' });
      expect(made.status, made.text.slice(0, 500)).to.equal(201);
      for (const [index, text] of texts.entries()) {
        // Values are kept without blanks around them; what a formula makes is not.
        const wanted = index % 2 === 0 ? text.trim() : `${text}${(texts[0] ?? '').trim()}`;
        expect(at(made.body, 'data')).to.have.property(`field${String(index)}`, wanted);
      }
      const path = `${TRAPS}?view=traps&filter=${encodeURIComponent(`field2 == ${literal(texts[2] ?? '')}`)}&sort=-field1,field3&expand=`;
      answered(await admin('GET', path), path);
      const listed = answered(await admin('GET', `${TRAPS}?fields=field0,field1,choice,displayName&sort=field1&limit=1`), 'list');
      expect(listed.status, listed.text).to.equal(200);
      for (const part of ['/api/v1/openapi.json', '/api/v1/search?q=code', '/api/v1/exports/Trap?format=csv']) answered(await admin('GET', part), part);
    }
    await expectNoEffect();
  });

  it(`stay texts in requests: ${String(COUNT)} as values, codes, filters, orders, cursors, searches, measures and names`, async () => {
    const e = encodeURIComponent;
    const kinds: readonly ((text: string) => Promise<Answer>)[] = [
      (text) => admin('POST', TRAPS, { field0: text }),
      (text) => admin('POST', TRAPS, { choice: text }),
      (text) => admin('GET', `${TRAPS}?filter=${e(`field0 == ${literal(text)}`)}&sort=field0`),
      (text) => admin('GET', `${TRAPS}?filter=${e(text)}`),
      (text) => admin('GET', `${TRAPS}?filter=${e(`field0.contains(${literal(text)}) || field2 in [${literal(text)}]`)}`),
      (text) => admin('GET', `${TRAPS}?field0=${e(text)}`),
      (text) => admin('GET', `${TRAPS}?${e(text)}=1`),
      (text) => admin('GET', `${TRAPS}?sort=${e(text)}`),
      (text) => admin('GET', `${TRAPS}?fields=${e(text)}`),
      (text) => admin('GET', `${TRAPS}?expand=${e(text)}`),
      (text) => admin('GET', `${TRAPS}?cursor=${e(text)}`),
      (text) => admin('GET', `${TRAPS}?cursor=${Buffer.from(JSON.stringify({ v: 1, h: text, k: [text, text] })).toString('base64url')}`),
      (text) => admin('GET', `${TRAPS}?limit=${e(text)}`),
      (text) => admin('GET', `${TRAPS}?search=${e(text)}`),
      (text) => admin('GET', `/api/v1/search?q=${e(text)}`),
      (text) => admin('GET', `${TRAPS}/${e(text)}`),
      (text) => admin('GET', `/api/v1/records/${e(text)}`),
      (text) => admin('POST', `${TRAPS}/aggregate`, { groupBy: [text], measures: [{ as: 'n', op: 'count' }] }),
      (text) => admin('POST', `${TRAPS}/aggregate`, { groupBy: ['choice'], measures: [{ as: text, op: 'count' }] }),
      (text) => admin('POST', `${TRAPS}/aggregate`, { measures: [{ as: 'n', op: text, field: text }] }),
      (text) =>
        admin('POST', '/api/v1/metadata/plan', { files: { objects: { [text]: { title: 'X', type: 'object', properties: { [text]: { type: 'string' } } } } } }),
      (text) =>
        admin('POST', '/api/v1/metadata/plan', { files: { 'value-sets': { odd: { name: 'odd', label: 'Odd', values: [{ code: text, label: 'X' }] } } } }),
    ];
    const statuses = new Map<number, number>();
    for (const [index, text] of payloads.entries()) {
      const answer = answered((await kinds[index % kinds.length]?.(text)) ?? (await admin('GET', TRAPS)), text);
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    }
    process.stdout.write(
      `      ${[...statuses]
        .sort(([a], [b]) => a - b)
        .map(([status, count]) => `${String(count)} x ${String(status)}`)
        .join(', ')}; errors of PostgreSQL: ${watch.states.join(', ') || 'none'}\n`,
    );
    expect(statuses.get(200) ?? 0).to.be.greaterThan(COUNT / 20);
    await expectNoEffect();
  });
});
