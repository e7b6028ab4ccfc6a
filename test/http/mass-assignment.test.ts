import { expect } from 'chai';
import { at, startTestApp, type Client, type TestApp } from '../support/app.ts';

describe('values that nobody is asked for (quality.md, row 49)', () => {
  let test: TestApp;
  let admin: Client;
  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
  });
  after(() => test.stop());

  const NETWORK = '{"name":"N","code":"MASS","type":"hmo","lineOfBusiness":"commercial"';
  const KEYS: readonly (readonly [string, string])[] = [
    ...['id', 'createdAt', 'createdBy', 'updatedAt', 'updatedBy', 'deletedAt', 'displayName', 'version'].map(
      (name) => [name, '"00000000-0000-7000-8000-000000000001"'] as const,
    ),
    ...[
      'role',
      'roles',
      'permissionSets',
      'tenant',
      'schema',
      'isAdmin',
      'table',
      'object',
      'expanded',
      'constructor',
      'prototype',
      'toString',
      'hasOwnProperty',
    ].map((name) => [name, '"administrator"'] as const),
    ['__proto__', '{"isAdmin":true,"version":99}'],
    ['constructor', '{"prototype":{"isAdmin":true}}'],
    ['name', '{"$ne":null}'],
    ['name', '["a","b"]'],
    ['name', '{"__proto__":{"isAdmin":true}}'],
    ['ownerId', '{"permissionSets":["administrator"]}'],
    ['ownerId', '"nobody"'],
    ['ownerId', '["00000000-0000-7000-8000-000000000001"]'],
    ['ownerId', '"00000000-0000-7000-8000-000000000001"'],
    ['ownerId', '7'],
  ];

  it('are refused one by one wherever a record is written, and touch no prototype', async () => {
    const made = await admin('POST', '/api/v1/records/Network', `${NETWORK}}`);
    const path = `/api/v1/records/Network/${String(at(made.body, 'data.id'))}`;
    let sent = 0;
    for (const [key, value] of KEYS) {
      const member = `${JSON.stringify(key)}:${value}`;
      const fresh = `${NETWORK.replace('MASS', 'OTHER').replace(key === 'name' ? '"name":"N",' : /^$/, '')},${member}}`;
      for (const send of [
        () => admin('POST', '/api/v1/records/Network', fresh),
        () => admin('PATCH', path, `{${member}}`, { 'if-match': '"v1"' }),
        () => admin('POST', '/api/v1/records/Network/bulk', `{"mode":"atomic","items":[{"op":"create","values":${fresh}}]}`),
      ]) {
        const answer = await send();
        sent += 1;
        expect([answer.status, answer.body['code']], `${member} ${answer.text}`).to.deep.equal([422, 'validation_failed']);
        expect(String(at(answer.body, 'errors.0.pointer'))).to.match(new RegExp(`/${key}$`));
      }
    }
    for (const name of ['isAdmin', 'version']) expect(Object.prototype).to.not.have.property(name);
    expect(at((await admin('GET', path)).body, 'data.version')).to.equal(1);
    expect(at((await admin('GET', '/api/v1/records/Network?count=exact')).body, 'meta.count')).to.equal(1);
    process.stdout.write(`      ${String(sent)} requests with ${String(KEYS.length)} values\n`);
  });
});
