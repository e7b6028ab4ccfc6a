import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { expect } from 'chai';
import { createTransport } from 'nodemailer';
import { EXTENSIONS, metadataDirectories } from '../../src/extensions.ts';
import type { CallContext, Cause } from '../../src/platform/access/types.ts';
import { makeAutomation, type Automation } from '../../src/platform/automation/automation.ts';
import { systemCall } from '../../src/platform/automation/call-context.ts';
import { listRuns } from '../../src/platform/automation/runs.sql.ts';
import { uuidV7 } from '../../src/platform/ids.ts';
import { makeImporter, type ImportRequest } from '../../src/platform/import/import.ts';
import { makeImportJobs } from '../../src/platform/import/jobs.ts';
import { makeInboundMail } from '../../src/platform/mail/inbound.ts';
import { makeMailQueue } from '../../src/platform/mail/queue.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import type { FieldSchema, ObjectFile, RuleFile } from '../../src/platform/metadata/types.ts';
import type { Model } from '../../src/platform/model/types.ts';
import { policyLookup } from '../../src/platform/policies/policies.ts';
import type { RecordData } from '../../src/platform/query/types.ts';
import { makeRecordEngine } from '../../src/platform/record/engine.ts';
import type { RecordHook } from '../../src/platform/record/types.ts';
import { makeModelStore } from '../../src/platform/schema/store.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { CONFIG } from '../platform/mail/fixtures/desk.ts';

const object = (title: string, id: string, properties: Readonly<Record<string, FieldSchema>>, description = 'As it was.'): ObjectFile => ({
  title,
  description,
  'x-object': { id, plural: `${title}s`, name: title },
  type: 'object',
  properties,
});

/** The metadata before and after: more values are good after it. */
const garden = (least: number, description?: string): ObjectFile =>
  object(
    'Garden',
    'gardengn0001',
    { name: { type: 'string', 'x-id': 'gardennm0001' }, area: { type: 'integer', 'x-id': 'gardenar0001', minimum: least } },
    description,
  );
const bed = (most: number): ObjectFile =>
  object('Bed', 'bedbedbd0001', { label: { type: 'string', 'x-id': 'bedlabel0001' }, depth: { type: 'integer', 'x-id': 'beddepth0001', maximum: most } });
const rule = (name: string, depth: string): RuleFile => ({
  id: `rule${name}`.padEnd(12, '0'),
  name,
  on: { created: 'Garden' },
  do: [{ step: 'create', object: 'Bed', values: { label: `'${name} of ' + name`, depth } }],
});

describe('work that began by metadata which another process replaces before it writes', () => {
  let test: TestApp;
  const shipped = loadMetadata(metadataDirectories([]));

  before(async () => {
    test = await startTestApp();
  });
  after(() => test.stop());

  interface State {
    readonly garden?: ObjectFile;
    readonly bed?: ObjectFile;
    readonly rules?: readonly RuleFile[];
  }
  /** What another process does: it puts metadata in force, and this one is not told. */
  const put = async (state: State): Promise<Model> => {
    const store = makeModelStore({ db: test.app.db, clock: test.app.clock, extensions: EXTENSIONS });
    const objects = new Map([...shipped.objects, ['Garden', state.garden ?? garden(1)], ['Bed', state.bed ?? bed(9)]]);
    const rules = new Map([...shipped.rules, ...(state.rules ?? []).map((entry) => [entry.name, entry] as const)]);
    await store.apply({ ...shipped, objects, rules }, 'test');
    return store.load();
  };

  /** A process that goes on with an old Model until it is told that there is another. */
  const processOn = (old: Model, hooks: readonly RecordHook[] = []) => {
    let isTold = false;
    let asked = 0;
    const store = makeModelStore({ db: test.app.db, clock: test.app.clock, extensions: EXTENSIONS });
    const currentModel = async (): Promise<Model> => {
      asked += 1;
      return isTold ? store.load() : old;
    };
    const onModelChanged = (): void => void (isTold = true);
    const engine = makeRecordEngine({ policies: policyLookup, onModelChanged, hooks });
    const context = async (cause: Cause = { kind: 'command', name: 'test' }): Promise<CallContext> =>
      systemCall(await currentModel(), test.app.clock, randomBytes, 'test', cause);
    return { engine, currentModel, onModelChanged, context, latestModel: () => store.load(), asked: () => asked, wasTold: () => isTold };
  };
  type Process = ReturnType<typeof processOn>;

  const queue = () => makeMailQueue({ newId: () => uuidV7(test.app.clock.nowMs()), random: randomBytes, config: CONFIG });
  const automationOf = (own: Process): Automation =>
    makeAutomation({ ...own, clock: test.app.clock, random: randomBytes, reader: test.app.reader, mail: queue(), log: test.app.log });

  const list = async (name: string): Promise<readonly RecordData[]> => {
    await test.app.store.load();
    const context = await test.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
    return (await test.app.reader.list(test.app.db, context, { object: name, sort: ['createdAt', 'id'], limit: 500 })).data;
  };
  const create = async (model: Model, name: string): Promise<void> => {
    const context = systemCall(model, test.app.clock, randomBytes, 'test', { kind: 'command', name: 'test' });
    await test.app.engine.writeOne(test.app.db, context, 'Garden', { kind: 'create', values: { name } });
  };
  const runsOf = async (name: string) =>
    (await listRuns(test.app.db, { limit: 100 })).filter((run) => run.rule === name).map(({ state, error }) => [state, error]);
  /** Turns open events into runs, by the metadata in force. */
  const handleEvents = async (model: Model): Promise<void> => {
    const automation = automationOf(processOn(model));
    while ((await automation.handleEvents(test.app.db)) > 0);
  };

  describe('rules', () => {
    it('a run is done once, over the metadata in force, by the text of its rule that it began with', async () => {
      const old = await put({ rules: [rule('plain', '3')] });
      await create(old, 'Rosary');
      await handleEvents(old);
      await put({ garden: garden(1, 'Changed.'), rules: [rule('plain', '4')] });
      const own = processOn(old);
      await automationOf(own).runRuns(test.app.db);
      expect([own.wasTold(), own.asked()]).to.deep.equal([true, 2]);
      expect((await list('Bed')).map((record) => [record['label'], record['depth']])).to.deep.equal([['plain of Rosary', 3]]);
      expect(await runsOf('plain')).to.deep.equal([['done', null]]);
    });

    it('a run that the old metadata refuses has not failed', async () => {
      const rules = [rule('deep', '50')];
      const old = await put({ rules });
      await create(old, 'Orchard');
      await handleEvents(old);
      await put({ bed: bed(99), rules });
      await automationOf(processOn(old)).runRuns(test.app.db);
      expect(await runsOf('deep')).to.deep.equal([['done', null]]);
      expect((await list('Bed')).filter((record) => record['depth'] === 50)).to.have.length(1);
    });

    it('a run of a rule that the old metadata does not have is not skipped', async () => {
      const old = await put({});
      const now = await put({ rules: [rule('late', '2')] });
      await create(now, 'Meadow');
      await handleEvents(now);
      await automationOf(processOn(old)).runRuns(test.app.db);
      expect(await runsOf('late')).to.deep.equal([['done', null]]);
    });
  });

  describe('imports', () => {
    const text = (name: string, area: number): string =>
      `name,area\n${Array.from({ length: 25 }, (_, index) => `${name} ${String(index)},${String(area + index)}`).join('\n')}\n`;
    const request = (name: string, content: string): ImportRequest => ({
      object: 'Garden',
      map: null,
      fileName: `${name}.csv`,
      content: Readable.from([content]),
    });
    const named = async (name: string) => (await list('Garden')).filter((record) => String(record['name']).startsWith(`${name} `));

    it('one in the foreground goes on where it is, and writes no row twice', async () => {
      const old = await put({});
      let change: Promise<unknown> | null = null;
      const hook: RecordHook = {
        object: 'Garden',
        // Nothing of the table changes, so that the change does not wait for the blocks that are being written.
        afterWrite: async () => void (await (change ??= put({ garden: garden(1, 'Changed while a file was read.') }))),
      };
      const own = processOn(old, [hook]);
      const importer = makeImporter({ engine: own.engine, latestModel: own.latestModel, blockRows: 10 });
      const result = await importer.run(test.app.db, await own.context(), request('Heath', text('Heath', 5)));
      expect(result).to.deep.include({ read: 25, created: 25, rejected: 0 });
      expect(own.wasTold()).to.equal(true);
      expect(await named('Heath')).to.have.length(25);
    });

    it('one of the command line goes on too, and rejects no row by the old metadata', async () => {
      await put({ garden: garden(1_000) });
      await test.app.store.load();
      const context = await test.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
      await put({ garden: garden(1) });
      const result = await test.app.importer.run(test.app.db, context, request('Moor', text('Moor', 5)));
      expect(result).to.deep.include({ read: 25, created: 25, rejected: 0 });
      expect(await named('Moor')).to.have.length(25);
    });

    it('one that the metadata in force refuses is refused by it', async () => {
      const old = await put({ garden: garden(1) });
      await put({ garden: garden(20) });
      const own = processOn(old);
      const importer = makeImporter({ engine: own.engine, latestModel: own.latestModel, blockRows: 10 });
      const result = await importer.run(test.app.db, await own.context(), request('Fen', text('Fen', 5)));
      expect(result).to.deep.include({ read: 25, created: 10, rejected: 15 });
    });

    it('one of the worker is taken up again by the metadata in force', async () => {
      const old = await put({ garden: garden(1_000) });
      const own = processOn(old);
      const jobs = makeImportJobs({
        ...own,
        clock: test.app.clock,
        log: test.app.log,
        limitBytes: 1_000_000,
        blockRows: 10,
        contextFor: (_who, job) => own.context({ kind: 'import', job }),
      });
      const caller = await own.context();
      const upload = await jobs.begin(test.app.db, caller, { object: 'Garden', fileName: 'Marsh.csv', settings: {} });
      await upload.write(Buffer.from(text('Marsh', 5)));
      await upload.end();
      await jobs.run(test.app.db);
      await jobs.start(test.app.db, caller, upload.id);
      await put({ garden: garden(1) });
      while ((await jobs.run(test.app.db)) > 0);
      await jobs.close();
      const job = await jobs.get(test.app.db, caller, upload.id);
      expect([job.state, job.counts?.created, job.counts?.rejected, own.wasTold()]).to.deep.equal(['done', 25, 0, true]);
      expect(await named('Marsh')).to.have.length(25);
    });
  });

  it('inbound mail is filed once, by the metadata in force', async () => {
    const old = await put({});
    await put({ garden: garden(1, 'Changed before the mail came.') });
    const own = processOn(old);
    const inbound = makeInboundMail({
      db: test.app.db,
      engine: own.engine,
      reader: test.app.reader,
      policies: policyLookup,
      queue: queue(),
      files: test.app.files,
      log: test.app.log,
      context: (cause) => own.context(cause),
    });
    const { port } = await inbound.listen(0, '127.0.0.1');
    const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
    try {
      await transport.sendMail({ from: 'ann@practice.example', to: 'inquiries@plan.example', subject: 'The old and the new', text: 'Hello.' });
    } finally {
      transport.close();
      await inbound.close();
    }
    expect(own.wasTold()).to.equal(true);
    expect((await list('Case')).filter((record) => record['subject'] === 'The old and the new')).to.have.length(1);
    expect((await list('Message')).filter((record) => record['subject'] === 'The old and the new')).to.have.length(1);
  });
});
