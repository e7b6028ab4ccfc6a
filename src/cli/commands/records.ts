import type { Knex } from 'knex';
import { didYouMean } from '../../platform/expression/suggest.ts';
import type { Model } from '../../platform/model/types.ts';
import type { ReadQuery } from '../../platform/query/types.ts';
import { succeedRecord } from '../../platform/record/succeed.ts';
import type { App } from '../../main.ts';
import { JSON_OPTION, UsageError, type Call, type Command } from '../command.ts';
import { commandContext, withApp } from '../open-app.ts';
import { cellText, printJson, printTable } from '../print.ts';

export const FILTER = { value: 'CEL', help: 'Only records that fit, as "status == \'active\'".' };
export const FIELDS = { value: 'a,b', help: 'Only these fields.' };
export const EFFECTIVE_ON = { value: 'DAY', help: 'Only facts in force on this day.' };

export const RECORD_COMMANDS: readonly Command[] = [
  {
    name: 'list',
    summary: 'Lists records of an object.',
    usage: 'OBJECT',
    example: 'npx credenza list Provider --filter "status == \'active\'" --fields name,npi --limit 20',
    positionals: [1, 1],
    options: {
      filter: FILTER,
      fields: FIELDS,
      sort: { value: '-a,b', help: 'Fields to sort by; a minus turns round.' },
      search: { value: 'TEXT', help: 'Words to look for.' },
      limit: { value: 'N', help: 'At most this many (default 50).' },
      'effective-on': EFFECTIVE_ON,
      json: JSON_OPTION,
    },
    run: (call) => withApp(call, (app) => list(call, app)),
  },
  {
    name: 'get',
    summary: 'Shows one record.',
    usage: 'OBJECT ID',
    example: 'npx credenza get Provider 0190b6f0-0000-7000-8000-000000000001 --json',
    positionals: [2, 2],
    options: {
      fields: FIELDS,
      expand: { value: 'a,b.c', help: 'Related records to show along.' },
      'effective-on': EFFECTIVE_ON,
      'recorded-at': { value: 'MOMENT', help: 'As it was known then: a day (its end), or an instant with its zone.' },
      'as-of': { value: 'MOMENT', help: '--effective-on and --recorded-at at once.' },
      json: JSON_OPTION,
    },
    run: (call) => withApp(call, (app) => get(call, app)),
  },
  {
    name: 'set',
    summary: 'Changes fields of one record; an empty value clears.',
    usage: 'OBJECT ID FIELD=VALUE...',
    example: 'npx credenza set Provider 0190b6f0-0000-7000-8000-000000000001 phone=413-555-0100',
    positionals: [3, 100],
    options: { json: JSON_OPTION, 'dry-run': { help: 'Check the change and write nothing.' } },
    run: (call) => withApp(call, (app) => set(call, app)),
  },
  {
    name: 'succeed',
    summary: 'Ends an effective-dated record on the day before, and opens the one that follows it.',
    usage: 'OBJECT ID FIELD=VALUE...',
    example: 'npx credenza succeed Rate 0190b6f0-0000-7000-8000-000000000001 effectiveFrom=2027-07-01 amount=120',
    positionals: [3, 100],
    options: { json: JSON_OPTION, 'dry-run': { help: 'Check the change and write nothing.' } },
    run: (call) => withApp(call, (app) => succeed(call, app)),
  },
];

/** An object by the name that was typed. @throws UsageError with what was probably meant */
export function objectName(model: Model, typed: string): string {
  if (model.objects.has(typed)) return typed;
  throw new UsageError(`There is no object ${typed}. ${didYouMean(typed, model.objects.keys()) ?? ''}`.trim());
}

/** Names separated by commas. */
export const split = (text: string | null): readonly string[] | null => (text === null ? null : text.split(',').map((part) => part.trim()));

async function list(call: Call, app: App): Promise<void> {
  const context = await commandContext(app, 'list');
  const object = objectName(context.model, call.positionals[0] ?? '');
  const [limit, effectiveOn] = [call.option('limit'), call.option('effective-on')];
  if (limit !== null && !/^\d{1,3}$/.test(limit)) throw new UsageError('--limit is a number from 1 to 500.');
  const [filter, search, fields, sort] = [call.option('filter'), call.option('search'), split(call.option('fields')), split(call.option('sort'))];
  const query: ReadQuery = {
    object,
    ...(filter === null ? {} : { filter }),
    ...(search === null ? {} : { search }),
    ...(fields === null ? {} : { fields }),
    ...(sort === null ? {} : { sort }),
    ...(limit === null ? {} : { limit: Number(limit) }),
    ...(effectiveOn === null ? {} : { effectiveOn }),
  };
  const found = await app.reader.list(app.db, context, query);
  if (call.isSet('json')) {
    printJson(call.io, found);
    return;
  }
  const view = [...context.model.views.values()].find((entry) => entry.object === object);
  const columns = [
    'id',
    ...(
      fields ??
      view?.columns ??
      [...(context.model.objects.get(object)?.fields.values() ?? [])]
        .filter((field) => !field.system)
        .map((field) => field.name)
        .slice(0, 5)
    ).filter((name) => name !== 'id'),
  ];
  printTable(
    call.io,
    columns,
    found.data.map((record) => columns.map((name) => record[name])),
  );
  if (found.page.next !== null) call.io.say('There are more; narrow the filter or use export.');
}

async function get(call: Call, app: App): Promise<void> {
  const context = await commandContext(app, 'get');
  const [typed = '', id = ''] = call.positionals;
  const [fields, expand] = [split(call.option('fields')), split(call.option('expand'))];
  const [effectiveOn, recordedAt, asOf] = [call.option('effective-on'), call.option('recorded-at'), call.option('as-of')];
  const record = await app.reader.get(app.db, context, objectName(context.model, typed), id, {
    ...(fields === null ? {} : { fields }),
    ...(expand === null ? {} : { expand }),
    ...(effectiveOn === null ? {} : { effectiveOn }),
    ...(recordedAt === null ? {} : { recordedAt }),
    ...(asOf === null ? {} : { asOf }),
  });
  if (call.isSet('json')) printJson(call.io, record);
  else for (const [name, value] of Object.entries(record)) call.io.out(`${name}: ${cellText(value)}\n`);
}

/** Ends the transaction of a dry run; nothing of it stays. */
class DryRunDone extends Error {}

/** Does the work in a transaction of which nothing stays. */
async function tryOut(call: Call, app: App, work: (tx: Knex.Transaction) => Promise<unknown>): Promise<void> {
  await app.db
    .transaction(async (tx) => {
      await work(tx);
      throw new DryRunDone();
    })
    .catch((error: unknown) => {
      if (!(error instanceof DryRunDone)) throw error;
    });
  call.io.say('The change is possible; nothing was written.');
}

async function set(call: Call, app: App): Promise<void> {
  const context = await commandContext(app, 'set');
  const [typed = '', id = '', ...pairs] = call.positionals;
  const object = objectName(context.model, typed);
  const values = valuesOf(pairs);
  if (call.isSet('dry-run')) {
    await tryOut(call, app, (tx) => app.engine.writeOne(tx, context, object, { kind: 'update', id, values }));
    return;
  }
  const written = await app.engine.writeOne(app.db, context, object, { kind: 'update', id, values });
  if (call.isSet('json')) printJson(call.io, written.record);
  else call.io.out(`${object} ${id} is now version ${String(written.version)}.\n`);
}

/** `FIELD=VALUE` words as values; an empty value clears. */
function valuesOf(pairs: readonly string[]): Readonly<Record<string, string | null>> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new UsageError(`Write FIELD=VALUE, not "${pair}".`);
      const text = pair.slice(at + 1);
      return [pair.slice(0, at), text === '' ? null : text];
    }),
  );
}

async function succeed(call: Call, app: App): Promise<void> {
  const context = await commandContext(app, 'succeed');
  const [typed = '', id = '', ...pairs] = call.positionals;
  const object = objectName(context.model, typed);
  const item = { id, values: valuesOf(pairs) };
  if (call.isSet('dry-run')) {
    await tryOut(call, app, (tx) => succeedRecord(app.engine, tx, context, object, item));
    return;
  }
  const made = await succeedRecord(app.engine, app.db, context, object, item);
  if (call.isSet('json')) printJson(call.io, { record: made.record, closed: made.closed });
  else call.io.out(`${object} ${made.id} follows ${id}, which is now version ${String(made.closed.version)}.\n`);
}
