import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'chai';
import { EXTENSIONS, metadataDirectories } from '../../src/extensions.ts';
import { clientOf } from '../../src/http/openapi/client.ts';
import { openApiOf } from '../../src/http/openapi/document.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import { FORMATS } from '../../src/platform/model/formats.ts';
import type { ObjectModel } from '../../src/platform/model/types.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { at, startTestApp, type Answer, type Client, type TestApp } from '../support/app.ts';
import { openTestPool } from '../support/database.ts';
import { lintOpenApi } from '../support/openapi-lint.ts';

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
  if (path.endsWith('/merge')) return { sources: [{ id: NOBODY.replace(/.$/, '1'), version: 1 }] };
  if (path.endsWith('/v1/views')) return { object: 'User', label: 'Mine', columns: ['name'] };
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
    const query = /^get .*v1\/(duplicates|views)$/.test(`${operation.method} ${operation.path}`)
      ? '?object=User'
      : operation.path.endsWith('/search')
        ? '?q=x'
        : operation.path.endsWith('/explain')
          ? '?rule=x'
          : operation.path.endsWith('/files')
            ? '?name=a.txt'
            : '';
    const address = operation.path.replace('/objects/{object}', '/objects/User').replaceAll(/\{\w+\}/g, NOBODY) + query;
    const headers = { 'if-match': '"v1"', ...(operation.path.endsWith('/files') ? { 'content-type': 'text/plain' } : {}) };
    return client(operation.method.toUpperCase(), address, operation.path.endsWith('/files') ? 'text' : bodyFor(operation), headers);
  }

  it('passes a public linter without errors or warnings, for every permission set; the linter sees a wrong document', async () => {
    for (const sets of [['administrator'], ['recruiting'], ['relations', 'advocate'], []]) {
      const document = (await (await test.caller(...sets))('GET', '/api/v1/openapi.json')).body;
      expect(await lintOpenApi(document), sets.join()).to.deep.equal([]);
    }
    const document = await documentOf(admin);
    const wrong = JSON.stringify(document).replaceAll('"name":"id","in":"path"', '"name":"it","in":"path"');
    expect((await lintOpenApi(JSON.parse(wrong))).filter((finding) => finding.startsWith('error')).length).to.be.greaterThan(10);
  }).timeout(120_000);

  it('holds schemas of JSON Schema 2020-12, references that lead somewhere, and the errors of each address by status', async () => {
    const document = await documentOf(admin);
    expect(at(document, 'openapi')).to.match(/^3\.1\.\d$/);
    const named = (part: string): readonly string[] => members(at(document, `components.${part}`)).map(([name]) => `#/components/${part}/${name}`);
    const known = new Set([
      ...named('schemas'),
      ...named('responses'),
      ...members(at(document, 'components.schemas.Form.$defs')).map(([name]) => `#/components/schemas/Form/$defs/${name}`),
    ]);
    expect(everything(document, '$ref').filter((target) => !known.has(String(target)))).to.deep.equal([]);
    for (const operation of operationsOf(document)) {
      const statuses = members(at(operation.value, 'responses')).map(([status]) => status);
      expect(statuses.filter((status) => status.startsWith('2')).length, keyOf(operation)).to.be.greaterThan(0);
      expect(statuses, keyOf(operation)).to.include.members(['400', '503']);
      expect(statuses, keyOf(operation)).to.not.include('default');
    }
    const ajv = new Ajv2020({ strict: false, formats: FORMATS });
    ajv.addVocabulary(['openapi', 'info', 'servers', 'security', 'tags', 'paths', 'components']);
    ajv.addSchema(Object(document), 'document');
    // One schema that names all others: compiling each by itself takes half a minute.
    const texts = new Set(everything(at(document, 'paths'), 'schema').map((schema) => JSON.stringify(schema).replaceAll('"#/', '"document#/')));
    const parts: unknown[] = [...named('schemas').map((target) => ({ $ref: `document${target}` })), ...[...texts].map((text): unknown => JSON.parse(text))];
    expect(() => ajv.compile({ anyOf: parts })).to.not.throw();
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
    ajv.addVocabulary(['openapi', 'info', 'servers', 'security', 'tags', 'paths', 'components']);
    ajv.addSchema(Object(await documentOf(admin)), 'document');
    const validate = ajv.compile({ $ref: 'document#/components/schemas/Network' });
    expect(validate(made.body['data']), JSON.stringify(validate.errors)).to.equal(true);
    const isProblem = ajv.compile({ $ref: 'document#/components/schemas/Problem' });
    const refused = await admin('POST', '/api/v1/records/Network', { colour: 'red' });
    expect(isProblem(refused.body), JSON.stringify(isProblem.errors)).to.equal(true);
  });

  it('keeps its own names apart from those of objects that are called alike', async () => {
    const context = await test.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    const lead = context.model.objects.get('Lead');
    if (lead === undefined) return expect.fail('no Lead');
    const alike = ['Session', 'Account', 'Problem', 'LeadPage', 'Report'].map(
      (name) => [name, { ...lead, name, label: name, path: null, toMany: new Map() }] as const,
    );
    const model = { ...context.model, objects: new Map<string, ObjectModel>([...context.model.objects, ...alike]) };
    const document = openApiOf({ ...context, model }, { publicUrl: 'https://crm.plan.example', sendsMail: true });
    const target = (path: string): unknown => at(document, `paths./api/v1/${path}.responses.200.content.application/json.schema.properties.data.$ref`);
    expect(target('me.get')).to.equal('#/components/schemas/Session_');
    expect(target('records/Session/{id}.get')).to.equal('#/components/schemas/Session');
    expect(at(document, 'paths./api/v1/records/Lead.get.responses.200.content.application/json.schema.$ref')).to.equal('#/components/schemas/LeadPage_');
    const ids = operationsOf(document).map(({ value }) => String(at(value, 'operationId')));
    expect(new Set(ids).size).to.equal(ids.length);
    expect(await lintOpenApi(document)).to.deep.equal([]);
    expect(() => clientOf(document)).to.not.throw();
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
      const isThere = async (): Promise<boolean> =>
        at(await documentOf(admin), 'components.schemas.Network.properties.mascot') !== undefined &&
        (await admin('GET', '/api/v1/client.ts')).text.includes('mascot');
      while (!(await isThere())) expect(performance.now() - applied, 'ms without the field').to.be.lessThan(1_500);
      const made = await admin('POST', '/api/v1/records/Network', { name: 'M', code: 'MASC', type: 'hmo', lineOfBusiness: 'commercial', mascot: 'Quokka' });
      expect([made.status, at(made.body, 'data.mascot')], made.text).to.deep.equal([201, 'Quokka']);
    } finally {
      await other.destroy();
    }
  });
});
