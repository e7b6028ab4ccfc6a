import { join } from 'node:path';
import { metadataDirectories } from '../../../../src/extensions.ts';
import type { CallContext } from '../../../../src/platform/access/types.ts';
import { inTransaction } from '../../../../src/platform/db.ts';
import type { OpenForm } from '../../../../src/platform/forms/submissions.ts';
import type { PageInput, RepeatRow } from '../../../../src/platform/forms/types.ts';
import { loadMetadata } from '../../../../src/platform/metadata/load.ts';
import type { RecordData } from '../../../../src/platform/query/types.ts';
import { packageRoot } from '../../../../src/platform/root.ts';
import { rows, sql } from '../../../../src/platform/sql.ts';
import { startTestApp, type TestApp, type TestAppOptions } from '../../../support/app.ts';

export const FORM = 'mooring-request';

/** A harbour with a form that has conditional pages, a conditional group of rows and a conditional document. */
export interface Marina {
  readonly test: TestApp;
  /** A new mooring that nobody has asked for yet. */
  newMooring(): Promise<string>;
  system(): Promise<CallContext>;
  skipper(id: string): Promise<CallContext>;
  open(id: string): Promise<OpenForm>;
  save(id: string, page: string, input: PageInput, leave?: boolean): Promise<OpenForm>;
  upload(id: string, name: string): Promise<OpenForm>;
  submit(id: string, version?: number): Promise<OpenForm>;
  sendBack(id: string): Promise<void>;
  /** Live records of an object that belong to the mooring. */
  of(object: string, id: string): Promise<readonly RecordData[]>;
  trashOf(object: string, id: string): Promise<readonly RecordData[]>;
  /** What is stored of the form for a mooring. */
  stored(id: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  stop(): Promise<void>;
}

/** The rows of the group of guests as a page shows them. */
export function guestsOn(opened: OpenForm): readonly RepeatRow[] {
  return opened.pages.flatMap((page) => page.parts).flatMap((part) => (part.kind === 'repeat' ? part.rows : []));
}

/** What the guests are called in the draft, in order. */
export function namesIn(opened: OpenForm): readonly unknown[] {
  return (opened.submission.data.repeats['guests'] ?? []).map((row) => row['name']);
}

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

export async function startMarina(options: TestAppOptions = {}): Promise<Marina> {
  const test = await startTestApp(options);
  const { app } = test;
  const directories = metadataDirectories([join(packageRoot(), 'test', 'platform', 'forms', 'fixtures', 'marina')]);
  await app.store.apply(loadMetadata(directories), 'test');
  const system = (): Promise<CallContext> => app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
  const skipper = (id: string): Promise<CallContext> =>
    app.contextFor({ kind: 'portal', permissionSets: ['skipper'], subject: { object: 'Mooring', id }, linkId: id }, { kind: 'command', name: 'test' });
  const list = async (object: string, id: string, trash: boolean): Promise<readonly RecordData[]> =>
    (await app.reader.list(app.db, await system(), { object, equals: { mooring: id }, sort: ['createdAt'], ...(trash ? { trash } : {}) })).data;
  return {
    test,
    system,
    skipper,
    newMooring: async () => (await app.engine.writeOne(app.db, await system(), 'Mooring', { kind: 'create', values: { boat: 'Heron' } })).id,
    open: async (id) => app.forms.open(app.db, await skipper(id), FORM, id),
    save: async (id, page, input, leave = false) => app.forms.savePage(app.db, await skipper(id), FORM, id, page, input, leave),
    upload: async (id, name) =>
      app.forms.upload(app.db, await skipper(id), FORM, id, {
        type: 'insurance',
        name,
        mediaType: 'image/png',
        bytes: Buffer.concat([PNG, Buffer.from(name)]),
      }),
    submit: async (id, version) => app.forms.submit(app.db, await skipper(id), FORM, id, '', version),
    sendBack: async (id) => {
      const context = await system();
      await inTransaction(app.db, (tx) => app.engine.write(tx, context, 'Mooring', [{ kind: 'transition', id, transition: 'return' }]));
    },
    of: (object, id) => list(object, id, false),
    trashOf: (object, id) => list(object, id, true),
    stored: (id) => rows(app.db, sql`select *, xmin::text as written from credenza.submission where record_id = ${id}::uuid order by version`),
    stop: () => test.stop(),
  };
}
