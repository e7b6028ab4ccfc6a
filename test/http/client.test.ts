import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import ts from 'typescript';
import { packageRoot } from '../../src/platform/root.ts';
import { at, startTestApp, type TestApp } from '../support/app.ts';

/** As strict as TypeScript can be told to be. */
const STRICT: ts.CompilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitReturns: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  isolatedModules: true,
  allowImportingTsExtensions: true,
  noEmit: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  lib: ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
  types: [],
};

/** What a caller of the recruiting team writes; every line that must not compile says so. */
const USE = `
import { etagOf, makeClient, ProblemError, type Lead, type LeadValues } from './client.ts';
const client = makeClient({ baseUrl: 'http://localhost', token: 'x' });
const values: LeadValues = { npi: '1891798906', entityType: 'individual', firstName: null };
const made: { readonly data: Lead } = await client.createLead({ body: values, idempotencyKey: 'once' });
const changed = await client.changeLead(made.data.id, { ifMatch: etagOf(made.data), body: { email: 'ada@plan.example' } });
export const name: string | null | undefined = changed.data.firstName;
const page = await client.listLead({ query: { filter: "status == 'new'", limit: 10, count: 'exact', expand: 'practiceZipCode' } });
export const zip: string | null | undefined = page.data[0]?.expanded?.practiceZipCode?.county;
export const isStale = (error: unknown): boolean => error instanceof ProblemError && error.problem?.code === 'conflict_version';
// @ts-expect-error a change needs the version that was read
await client.changeLead(made.data.id, { body: {} });
// @ts-expect-error there is no such field
await client.createLead({ body: { colour: 'red' } });
// @ts-expect-error not one of the codes
await client.createLead({ body: { entityType: 'robot' } });
// @ts-expect-error not one of the ways to count
await client.listLead({ query: { count: 'twice' } });
// @ts-expect-error this team decides no applications
client.approveApplication;
// @ts-expect-error nor does it see what was disclosed
client.getApplication('x').then((application) => application.data.disclosureFelony);
// @ts-expect-error nor does it manage accounts
client.listAccounts;
`;

/** The parts of the generated module that the test calls. */
interface Generated {
  makeClient(options: { readonly baseUrl: string; readonly token: string }): Readonly<Record<string, (...words: unknown[]) => Promise<unknown>>>;
  etagOf(record: unknown): string;
}

describe('the TypeScript client', () => {
  let test: TestApp;
  let directory: string;
  before(async () => {
    test = await startTestApp();
    directory = mkdtempSync(join(tmpdir(), 'credenza-client-'));
    writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  });
  after(async () => {
    await test.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function sourceFor(...sets: readonly string[]): Promise<{ readonly source: string; readonly token: string }> {
    const client = await test.caller(...sets);
    const answer = await client('GET', '/api/v1/client.ts');
    expect([answer.status, answer.headers.get('content-type')]).to.deep.equal([200, 'text/typescript; charset=utf-8']);
    return { source: answer.text, token: client.token };
  }

  function diagnosticsOf(files: Readonly<Record<string, string>>): readonly string[] {
    const names = Object.entries(files).map(([name, text]) => {
      writeFileSync(join(directory, name), text);
      return join(directory, name);
    });
    const program = ts.createProgram(names, { ...STRICT, typeRoots: [join(packageRoot(), 'node_modules', '@types')] });
    return ts.getPreEmitDiagnostics(program).map(({ messageText, file, start }) => {
      const line = file === undefined || start === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line + 1;
      return `${file?.fileName ?? ''}:${String(line)} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
  }

  it('compiles under strict TypeScript for every permission set, and only what the caller may call is in it', async () => {
    const { source } = await sourceFor('recruiting');
    expect(diagnosticsOf({ 'client.ts': source, 'use.ts': USE })).to.deep.equal([]);
    const whole = await sourceFor('administrator');
    expect(diagnosticsOf({ 'client.ts': whole.source })).to.deep.equal([]);
    expect(whole.source).to.include('disclosureFelony');
    expect(source).to.not.include('disclosureFelony');
    expect(diagnosticsOf({ 'client.ts': (await sourceFor()).source })).to.deep.equal([]);
  }).timeout(120_000);

  it('makes real calls: create, read, change, list, and a problem as an error', async () => {
    const { source, token } = await sourceFor('recruiting');
    const file = join(directory, 'run.js');
    writeFileSync(file, ts.transpileModule(source, { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext } }).outputText);
    const loaded = (await import(pathToFileURL(file).href)) as Generated;
    const client = loaded.makeClient({ baseUrl: test.url, token });
    const call = (name: string, ...words: unknown[]): Promise<unknown> => client[name]?.(...words) ?? Promise.reject(new Error(`The client has no ${name}.`));
    const made = await call('createLead', { body: { npi: '1891798906', entityType: 'individual', firstName: 'Ada', lastName: 'Byron', source: 'nppes' } });
    const id = String(at(made, 'data.id'));
    expect(at(await call('getLead', id), 'data.name')).to.equal('Ada Byron');
    const changed = await call('changeLead', id, {
      ifMatch: loaded.etagOf(at(made, 'data')),
      body: { email: 'ada@plan.example' },
      changeReason: 'She called.',
    });
    expect([at(changed, 'data.version'), at(changed, 'data.email')]).to.deep.equal([2, 'ada@plan.example']);
    expect(at(await call('listLead', { query: { npi: '1891798906', count: 'exact' } }), 'meta.count')).to.equal(1);
    expect(at(await call('historyLead', id), 'data.0.reason')).to.equal('She called.');
    const refused = await call('changeLead', id, { ifMatch: loaded.etagOf(at(made, 'data')), body: { email: 'x@plan.example' } }).then(
      () => null,
      (error: unknown) => error,
    );
    expect([at(refused, 'name'), at(refused, 'status'), at(refused, 'problem.code')]).to.deep.equal(['ProblemError', 412, 'conflict_version']);
  });
});
