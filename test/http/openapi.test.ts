import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'chai';
import { EXTENSIONS, metadataDirectories } from '../../src/extensions.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { FORMATS } from '../../src/platform/model/formats.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../support/app.ts';
import { openTestPool } from '../support/database.ts';

const NOBODY = '00000000-0000-7000-8000-000000000000';

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly value: unknown;
}

const members = (value: unknown): readonly (readonly [string, unknown])[] => (typeof value === 'object' && value !== null ? Object.entries(value) : []);

function operationsOf(document: unknown): readonly Operation[] {
  return members(at(document, 'paths')).flatMap(([path, item]) => members(item).map(([method, value]) => ({ method, path, value })));
}

const keyOf = ({ method, path }: Operation): string => `${method} ${path}`;

/** Every value below a member of that name. */
function everything(value: unknown, name: string): readonly unknown[] {
  return members(value).flatMap(([key, child]) => [...(key === name ? [child] : []), ...everything(child, name)]);
}

/** A body that passes the shape of the address, so that rights are what decides. */
function bodyFor({ method, path }: Operation): unknown {
  if (method === 'get' || method === 'delete') return undefined;
  if (path.endsWith('/bulk')) return { items: [{ op: 'delete', id: NOBODY, version: 1 }] };
  if (path.endsWith('/aggregate')) return { measures: [{ as: 'n', op: 'count' }] };
  if (path.includes('/signing/')) return { name: 'Me', consent: true, seenHash: null };
  if (path.endsWith('/users')) return { email: 'x@plan.example', name: 'X', permissionSets: [] };
  if (path.endsWith('/tokens')) return { name: 'A token' };
  if (path.endsWith('/sign-in')) return { email: 'x@plan.example', password: 'x' };
  if (path.endsWith('/accept')) return { secret: 'x', password: 'x' };
  return {};
}

describe('the OpenAPI document', () => {
  let test: TestApp;
  let admin: Client;
  before(async () => {
    test = await startTestApp();
    admin = await test.caller('administrator');
  });
  after(() => test.stop());

  const documentOf = async (client: Client): Promise<unknown> => (await client('GET', '/api/v1/openapi.json')).body;
  function call(client: Client, operation: Operation): Promise<Answer> {
    const query = operation.path.endsWith('/search')
      ? '?q=x'
      : operation.path.endsWith('/explain')
        ? '?rule=x'
        : operation.path.endsWith('/files')
          ? '?name=a.txt'
          : '';
    const address = operation.path.replace('{object}', 'User').replaceAll(/\{\w+\}/g, NOBODY) + query;
    const headers = { 'if-match': '"v1"', ...(operation.path.endsWith('/files') ? { 'content-type': 'text/plain' } : {}) };
    return client(operation.method.toUpperCase(), address, operation.path.endsWith('/files') ? 'text' : bodyFor(operation), headers);
  }

  it('is a valid document of OpenAPI 3.1: names, parameters, references, and schemas of JSON Schema 2020-12', async () => {
    for (const client of [admin, await test.caller('recruiting')]) {
      const document = await documentOf(client);
      expect(at(document, 'openapi')).to.match(/^3\.1\.\d$/);
      for (const path of ['info.title', 'info.version', 'servers.0.url']) expect(at(document, path), path).to.be.a('string').and.not.equal('');
      const operations = operationsOf(document);
      const ids = operations.map(({ value }) => String(at(value, 'operationId')));
      expect(new Set(ids).size).to.equal(ids.length);
      for (const operation of operations) {
        expect(operation.path).to.match(/^\/api\/v1\/[\w/{}.-]+$/);
        expect(operation.method).to.be.oneOf(['get', 'post', 'patch', 'delete']);
        const parameters = members(at(operation.value, 'parameters')).map(([, parameter]) => parameter);
        const inPath = parameters.filter((parameter) => at(parameter, 'in') === 'path');
        expect(inPath.map((parameter) => at(parameter, 'name')).sort(), keyOf(operation)).to.deep.equal(
          [...operation.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort(),
        );
        expect(inPath.every((parameter) => at(parameter, 'required') === true)).to.equal(true);
        const names = parameters.map((parameter) => `${String(at(parameter, 'in'))} ${String(at(parameter, 'name'))}`);
        expect(new Set(names).size, keyOf(operation)).to.equal(names.length);
        expect(members(at(operation.value, 'responses')).length).to.be.greaterThan(1);
        for (const [, response] of members(at(operation.value, 'responses'))) expect(at(response, 'description')).to.be.a('string');
      }
      const known = new Set(members(at(document, 'components.schemas')).map(([name]) => `#/components/schemas/${name}`));
      expect(everything(document, '$ref').filter((target) => !known.has(String(target)))).to.deep.equal([]);
      const ajv = new Ajv2020({ strict: false, formats: FORMATS });
      ajv.addVocabulary(['openapi', 'info', 'servers', 'security', 'paths', 'components']);
      ajv.addSchema(Object(document), 'document');
      // One schema that names all others: compiling each by itself takes half a minute.
      const texts = new Set(everything(at(document, 'paths'), 'schema').map((schema) => JSON.stringify(schema).replaceAll('"#/', '"document#/')));
      const parts: unknown[] = [...[...known].map((target) => ({ $ref: `document${target}` })), ...[...texts].map((text): unknown => JSON.parse(text))];
      expect(() => ajv.compile({ anyOf: parts })).to.not.throw();
    }
  });

  for (const sets of [['recruiting'], ['contracting'], ['relations'], []]) {
    it(`lists exactly what ${sets[0] ?? 'a caller without rights'} may call`, async () => {
      const all = operationsOf(await documentOf(admin));
      const client = await test.caller(...sets);
      const listed = operationsOf(await documentOf(client));
      const keys = new Set(listed.map(keyOf));
      expect(all.map(keyOf)).to.include.members([...keys]);
      const wrong: string[] = [];
      for (const operation of all) {
        if (/sign-out$|\/tokens/.test(operation.path)) continue;
        const answer = await call(client, operation);
        const isShut = answer.status === 403 || /^There is (nothing at this address|no object)/.test(String(answer.body['detail']));
        const isListed = keys.has(keyOf(operation));
        if (isListed ? isShut : ![403, 404].includes(answer.status)) wrong.push(`${keyOf(operation)} listed: ${String(isListed)} ${answer.text}`);
      }
      expect(wrong).to.deep.equal([]);
      const ownFields = at(await documentOf(client), 'components.schemas.Application.properties') ?? {};
      expect(members(ownFields).some(([name]) => name.startsWith('disclosure'))).to.equal(false);
    });
  }

  it('describes the answers that are given: a record fits its schema', async () => {
    const made = await admin('POST', '/api/v1/records/Network', { name: 'Fits', code: 'FITS', type: 'hmo', lineOfBusiness: 'commercial' });
    expect(made.status, made.text).to.equal(201);
    const ajv = new Ajv2020({ strict: false, formats: FORMATS });
    ajv.addVocabulary(['openapi', 'info', 'servers', 'security', 'paths', 'components']);
    ajv.addSchema(Object(await documentOf(admin)), 'document');
    const validate = ajv.compile({ $ref: 'document#/components/schemas/Network' });
    expect(validate(made.body['data']), JSON.stringify(validate.errors)).to.equal(true);
    const isProblem = ajv.compile({ $ref: 'document#/components/schemas/Problem' });
    const refused = await admin('POST', '/api/v1/records/Network', { colour: 'red' });
    expect(isProblem(refused.body), JSON.stringify(isProblem.errors)).to.equal(true);
  });

  it('follows a field that another process applies within a second, and so does the record API', async () => {
    const other = openTestPool(test.app.config.databaseUrl, { poolSize: 2 });
    try {
      const set = loadMetadata(metadataDirectories([]));
      const network = set.objects.get('Network');
      if (network === undefined) return expect.fail('no Network');
      const wider = { ...network, properties: { ...network.properties, mascot: { title: 'Mascot', type: 'string', maxLength: 40 } as const } };
      const store = makeModelStore({ db: other, clock: test.app.clock, extensions: EXTENSIONS });
      await store.apply({ ...set, objects: new Map([...set.objects, ['Network', wider]]) }, 'system:test');
      const applied = performance.now();
      const isThere = async (): Promise<boolean> => at(await documentOf(admin), 'components.schemas.Network.properties.mascot') !== undefined;
      while (!(await isThere())) expect(performance.now() - applied, 'ms without the field').to.be.lessThan(1_500);
      const made = await admin('POST', '/api/v1/records/Network', { name: 'M', code: 'MASC', type: 'hmo', lineOfBusiness: 'commercial', mascot: 'Quokka' });
      expect([made.status, at(made.body, 'data.mascot')], made.text).to.deep.equal([201, 'Quokka']);
    } finally {
      await other.destroy();
    }
  });
});
