import { once } from 'node:events';
import { createReadStream, createWriteStream, existsSync, type WriteStream } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { App } from '../../main.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { AppError } from '../../platform/errors.ts';
import { errorHeader, errorLine } from '../../platform/import/error-file.ts';
import { exportRecords, type ExportQuery } from '../../platform/import/export.ts';
import type { JobView } from '../../platform/import/jobs.ts';
import { JSON_OPTION, UsageError, type Call, type Command, type Io } from '../command.ts';
import { commandContext, withApp } from '../open-app.ts';
import { printJson, printTable } from '../print.ts';
import { EFFECTIVE_ON, FIELDS, FILTER, objectName, split } from './records.ts';

export const TRANSFER_COMMANDS: readonly Command[] = [
  {
    name: 'import',
    summary: 'Imports a CSV, NDJSON or XLSX file; rejected rows are told with line, column and reason. An import that was killed goes on.',
    usage: 'OBJECT FILE',
    example: 'npx credenza import Lead providers.csv --map nppes --errors rejected.csv',
    positionals: [2, 2],
    options: {
      map: { value: 'NAME', help: 'A named import map; default: columns by field name.' },
      key: { value: 'a,b', help: 'Fields that find existing records; default: those of the map, else id, else the unique field.' },
      existing: { value: 'update|skip', help: 'What happens with rows whose record exists (default: update).' },
      missing: { value: 'create|skip', help: 'What happens with rows that have no record yet (default: create).' },
      'dry-run': { help: 'Check every row and write nothing.' },
      errors: { value: 'FILE', help: 'Where rejected rows go, as CSV with their reasons; corrected, it can be imported itself.' },
      rules: { value: 'all|none', help: 'Whether rules see what was written (default: all).' },
      json: JSON_OPTION,
    },
    run: (call) => withApp(call, (app) => importFile(call, app)),
  },
  {
    name: 'import list',
    summary: 'Lists imports, the newest first.',
    usage: '',
    example: 'npx credenza import list',
    positionals: [0, 0],
    options: { json: JSON_OPTION },
    run: (call) => withApp(call, (app) => listImports(call, app)),
  },
  {
    name: 'import cancel',
    summary: 'Stops an import; what is written stays and can be undone.',
    usage: 'JOB',
    example: 'npx credenza import cancel 0190b6f0-0000-7000-8000-000000000001',
    positionals: [1, 1],
    options: { json: JSON_OPTION },
    run: (call) => withApp(call, (app) => settleImport(call, app, (context, id) => app.imports.cancel(app.db, context, id))),
  },
  {
    name: 'import undo',
    summary: 'Takes back what an import wrote; what was edited since stays.',
    usage: 'JOB',
    example: 'npx credenza import undo 0190b6f0-0000-7000-8000-000000000001',
    positionals: [1, 1],
    options: { json: JSON_OPTION },
    run: (call) => withApp(call, (app) => settleImport(call, app, (context, id) => app.imports.undo(app.db, context, id))),
  },
  {
    name: 'export',
    summary: 'Streams all records of an object.',
    usage: 'OBJECT',
    example: 'npx credenza export Provider --filter "status == \'active\'" --format csv > providers.csv',
    positionals: [1, 1],
    options: {
      filter: FILTER,
      fields: FIELDS,
      'effective-on': EFFECTIVE_ON,
      format: { value: 'csv|ndjson|xlsx', help: 'Default: csv.' },
      out: { value: 'FILE', help: 'Default: standard output.' },
    },
    run: (call) => withApp(call, (app) => exportFile(call, app)),
  },
];

const SHOWN = 20;

/** One of the given words, or null when the option is not set. @throws UsageError */
function choice<T extends string>(call: Call, name: string, words: readonly [T, T]): T | null {
  const typed = call.option(name);
  const found = words.find((word) => word === typed);
  if (typed !== null && found === undefined) throw new UsageError(`--${name} is ${words.join(' or ')}.`);
  return found ?? null;
}

async function importFile(call: Call, app: App): Promise<void> {
  const [typed = '', file = ''] = call.positionals;
  const context = await commandContext(app, 'import');
  const [rules, existing, missing] = [
    choice(call, 'rules', ['all', 'none']) ?? 'all',
    choice(call, 'existing', ['update', 'skip']),
    choice(call, 'missing', ['create', 'skip']),
  ];
  const errorsPath = call.option('errors');
  const errors = errorsPath === null ? null : await openFile(resolve(call.io.directory, errorsPath), `--errors ${errorsPath}`);
  let shown = 0;
  const request = {
    object: objectName(context.model, typed),
    map: call.option('map'),
    key: split(call.option('key')),
    fileName: file === '-' ? 'standard input' : basename(file),
    content: openInput(call.io, file),
    dryRun: call.isSet('dry-run'),
    rules,
    ...(existing === null ? {} : { existing }),
    ...(missing === null ? {} : { missing }),
    ...(call.io.isTerminal ? { onProgress: (done: number) => call.io.say(`${String(done)} rows ...`) } : {}),
    onJob: (id: string, isResumed: boolean) => {
      if (isResumed) call.io.say(`This file was begun before: going on with import ${id}.`);
    },
  } as const;
  const result = await app.importer.run(app.db, context, request, (row, header) => {
    if (errors !== null) {
      if (shown === 0) errors.write(errorHeader(header));
      errors.write(errorLine(row));
    } else if (shown < SHOWN) call.io.say(`line ${String(row.line)}${row.column === null ? '' : `, column ${row.column}`}: ${row.reason}`);
    shown += 1;
  });
  if (errors !== null) {
    errors.end();
    await finished(errors);
  } else if (shown > SHOWN) call.io.say(`... and ${String(shown - SHOWN)} more; --errors FILE writes them all.`);
  if (call.isSet('json')) printJson(call.io, result);
  else printTable(call.io, Object.keys(result), [Object.values(result)]);
}

/** A file open for writing, before anything is done: a path that cannot be written is said at once. */
async function openFile(path: string, what: string): Promise<WriteStream> {
  const stream = createWriteStream(path);
  try {
    await once(stream, 'open');
  } catch (error) {
    throw new UsageError(`${what} cannot be written: ${error instanceof Error ? error.message : 'unknown reason'}.`);
  }
  return stream;
}

function openInput(io: Io, file: string): Readable {
  if (file === '-') {
    if (!('read' in io.stdin) || !('readableFlowing' in io.stdin)) throw new UsageError('There is no standard input.');
    return process.stdin;
  }
  const path = resolve(io.directory, file);
  if (!existsSync(path)) throw new AppError('not_found', `There is no file ${file}.`);
  return createReadStream(path);
}

const COLUMNS = ['id', 'object', 'fileName', 'state', 'rows', 'created', 'updated', 'unchanged', 'rejected'] as const;

function rowOf(job: JobView): readonly unknown[] {
  const { id, object, fileName, state, rows, counts } = job;
  return [id, object, fileName, state, rows, counts?.created, counts?.updated, counts?.unchanged, counts?.rejected];
}

async function listImports(call: Call, app: App): Promise<void> {
  const jobs = await app.imports.list(app.db, await commandContext(app, 'import'));
  if (call.isSet('json')) printJson(call.io, jobs);
  else printTable(call.io, COLUMNS, jobs.map(rowOf));
}

const AT_WORK: readonly JobView['state'][] = ['reading', 'checking', 'running', 'undoing'];

/** Asks for something that is done between two blocks, and sees it to its end: this command works for want of a worker. */
async function settleImport(call: Call, app: App, ask: (context: CallContext, id: string) => Promise<JobView>): Promise<void> {
  const context = await commandContext(app, 'import');
  const [id = ''] = call.positionals;
  let job = await ask(context, id);
  while (AT_WORK.includes(job.state)) {
    if ((await app.imports.run(app.db)) === 0) {
      call.io.say('Another process works on this import; it stops before its next block.');
      break;
    }
    job = await app.imports.get(app.db, context, id);
  }
  if (call.isSet('json')) {
    printJson(call.io, job);
    return;
  }
  printTable(call.io, COLUMNS, [rowOf(job)]);
  if (job.undone !== null) printTable(call.io, ['removed', 'restored', 'kept'], [[job.undone.removed, job.undone.restored, job.undone.kept]]);
  for (const { recordId, reason } of await app.imports.kept(app.db, context, id)) call.io.say(`${recordId ?? ''}: ${reason}`);
}

async function exportFile(call: Call, app: App): Promise<void> {
  const format = call.option('format') ?? 'csv';
  if (format !== 'csv' && format !== 'ndjson' && format !== 'xlsx') throw new UsageError('--format is csv, ndjson or xlsx.');
  const context = await commandContext(app, 'export');
  const object = objectName(context.model, call.positionals[0] ?? '');
  const [fields, filter, effectiveOn, path] = [split(call.option('fields')), call.option('filter'), call.option('effective-on'), call.option('out')];
  if (format === 'xlsx' && path === null) throw new UsageError('An XLSX file is no text: say where it goes, with --out FILE.');
  const query: ExportQuery = {
    object,
    format,
    ...(fields === null ? {} : { fields }),
    ...(filter === null ? {} : { filter }),
    ...(effectiveOn === null ? {} : { effectiveOn }),
  };
  const { content } = await exportRecords(app.db, context, query);
  if (path === null) {
    for await (const piece of content) call.io.out(piece.toString());
    return;
  }
  const out = await openFile(resolve(call.io.directory, path), `--out ${path}`);
  for await (const piece of content) if (!out.write(piece)) await once(out, 'drain');
  out.end();
  await finished(out);
}
