import { existsSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { EXTENSIONS, metadataDirectories } from '../../extensions.ts';
import { AppError, isAppError } from '../../platform/errors.ts';
import { assignIds, idsOf } from '../../platform/metadata/assign-ids.ts';
import { differences, type Difference } from '../../platform/metadata/differences.ts';
import { loadMetadata, loadPackage } from '../../platform/metadata/load.ts';
import type { MergeConflict } from '../../platform/metadata/merge.ts';
import { kindNamed, newFile } from '../../platform/metadata/new-file.ts';
import { packageFiles, writePackage } from '../../platform/metadata/write-files.ts';
import { dictionaryOf } from '../../platform/schema/dictionary.ts';
import { reportDrift } from '../../platform/schema/drift.ts';
import { findLoops, type Loop } from '../../platform/automation/loops.ts';
import { remarksOn, type Remark } from '../../platform/schema/remarks.ts';
import type { ApplyOptions } from '../../platform/schema/change.ts';
import type { Wish } from '../../platform/schema/planner.ts';
import { shownStep } from '../../platform/schema/shown-step.ts';
import type { App } from '../../main.ts';
import { JSON_OPTION, UsageError, type Call, type Command, type Option } from '../command.ts';
import { withApp } from '../open-app.ts';
import { printJson, printTable, writeOut } from '../print.ts';
import { printPlan } from '../print-plan.ts';

const DIR = '[DIR]';
const SHIPPED: Option = { help: 'Leave out the package that was applied last; without DIR it stays.' };
const DESTRUCTIVE: Option = { help: 'Also drop what has been hidden for 90 days.' };
const DRY: Option = { help: 'Say what would be done, and do nothing.' };
const HASH: Option = { value: 'HASH', help: 'Do it only if the plan is still the one with this hash.' };

export const METADATA_COMMANDS: readonly Command[] = [
  {
    name: 'metadata check',
    summary: 'Checks every metadata file: shape, references, expressions, rules; and remarks on what is unused, not shown or in conflict.',
    usage: DIR,
    example: 'npx credenza metadata check ./my-package',
    positionals: [0, 1],
    options: { json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        try {
          const model = await app.store.preview(wishOf(call));
          const remarks = [...remarksOn(model, EXTENSIONS), ...findLoops(model)];
          if (call.isSet('json')) printJson(call.io, { ok: true, errors: [], remarks });
          else {
            call.io.out('The metadata is in order.\n');
            printRemarks(call, remarks);
          }
          return 0;
        } catch (error) {
          if (!call.isSet('json') || !isAppError(error, 'metadata_invalid')) throw error;
          printJson(call.io, { ok: false, errors: error.errors });
          return 1;
        }
      }),
  },
  {
    name: 'metadata plan',
    summary: 'What applying the metadata would do to the database, step by step.',
    usage: DIR,
    example: 'npx credenza metadata plan ./my-package --json',
    positionals: [0, 1],
    options: { json: JSON_OPTION, shipped: SHIPPED, 'allow-destructive': DESTRUCTIVE },
    run: (call) => withApp(call, (app) => showPlan(call, app, wishOf(call))),
  },
  {
    name: 'metadata apply',
    summary: 'Brings the database to the metadata; running servers follow within a second.',
    usage: DIR,
    example: 'npx credenza metadata apply ./my-package',
    positionals: [0, 1],
    options: {
      json: JSON_OPTION,
      'dry-run': DRY,
      shipped: SHIPPED,
      'allow-destructive': DESTRUCTIVE,
      hash: HASH,
      locked: { help: 'Refuse a package whose files lack ids, instead of writing them into the files.' },
    },
    run: (call) =>
      withApp(call, async (app) => {
        const directory = directoryOf(call);
        if (call.isSet('locked') && directory !== null) assignIds(directory, true);
        if (call.isSet('dry-run')) return showPlan(call, app, wishOf(call));
        const code = await apply(call, app, wishOf(call));
        if (code === 0 && directory !== null) await writeIds(call, app, directory);
        return code;
      }),
  },
  {
    name: 'metadata diff',
    summary: 'How the files differ from what is in force, and which local changes lie over them.',
    usage: DIR,
    example: 'npx credenza metadata diff ./my-package --exit-code',
    positionals: [0, 1],
    options: { json: JSON_OPTION, shipped: SHIPPED, 'exit-code': { help: 'Exit with 1 when something differs.' } },
    run: (call) => withApp(call, (app) => showDifferences(call, app)),
  },
  {
    name: 'metadata rollback',
    summary: 'Goes back to a version of the metadata (the one before, without a number), with the data that is kept of it.',
    usage: '[VERSION]',
    example: 'npx credenza metadata rollback 12',
    positionals: [0, 1],
    options: { json: JSON_OPTION, 'dry-run': DRY, hash: HASH },
    run: (call) =>
      withApp(call, async (app) => {
        const wish: Wish = { kind: 'return', version: await versionOf(call, app) };
        return call.isSet('dry-run') ? showPlan(call, app, wish) : apply(call, app, wish);
      }),
  },
  {
    name: 'metadata pull',
    summary: 'Writes the local changes as a package of files, for git; all metadata with --all.',
    usage: DIR,
    example: 'npx credenza metadata pull ./my-package',
    positionals: [0, 1],
    options: { json: JSON_OPTION, all: { help: 'Write every file, not only those that differ from the shipped ones.' }, 'dry-run': DRY },
    run: (call) => withApp(call, (app) => pull(call, app)),
  },
  {
    name: 'metadata dictionary',
    summary: 'The data dictionary of what is in force, as Markdown: objects, fields, lists, paths, keys, checks and rules.',
    usage: '',
    example: 'npx credenza metadata dictionary --out dictionary.md',
    positionals: [0, 0],
    options: { out: { value: 'FILE', help: 'Where to write it (default: standard output).' } },
    run: (call) => withApp(call, async (app) => writeOut(call, dictionaryOf(await app.store.current()))),
  },
  {
    name: 'metadata new',
    summary: 'Makes a new metadata file with its ids.',
    usage: 'KIND NAME [DIR]',
    example: 'npx credenza metadata new rule license-expiring ./my-package',
    positionals: [2, 3],
    options: { 'dry-run': DRY },
    run: (call) => Promise.resolve(makeFile(call)),
  },
  {
    name: 'metadata drift',
    summary: 'Where the database is not as recorded, and what it still keeps of what was hidden. Exits with 1 when it drifted.',
    usage: '',
    example: 'npx credenza metadata drift',
    positionals: [0, 0],
    options: { json: JSON_OPTION },
    run: (call) => withApp(call, (app) => showDrift(call, app)),
  },
  {
    name: 'metadata versions',
    summary: 'The versions of the metadata that were in force, the newest first.',
    usage: '',
    example: 'npx credenza metadata versions --limit 5',
    positionals: [0, 0],
    options: { json: JSON_OPTION, limit: { value: 'N', help: 'At most this many (default 20).' } },
    run: (call) => withApp(call, (app) => showVersions(call, app)),
  },
];

function directoryOf({ positionals, io }: Call): string | null {
  const [directory] = positionals;
  return directory === undefined ? null : resolve(io.directory, directory);
}

/** The shipped files with the configured packages, and the package that the command names or that was applied last. */
function wishOf(call: Call): Wish {
  const directory = directoryOf(call);
  const laid = directory === null ? (call.isSet('shipped') ? null : ('kept' as const)) : loadPackage(directory);
  return { kind: 'files', set: shippedSet(call), package: laid };
}

function shippedSet({ config, io }: Call) {
  return loadMetadata(metadataDirectories(config.packages.map((entry) => resolve(io.directory, entry))));
}

function printRemarks(call: Call, remarks: readonly (Remark | Loop)[]): void {
  for (const { pointer, detail, fix } of remarks) call.io.out(`Remark: ${detail} ${fix} (${pointer})\n`);
}

async function showPlan(call: Call, app: App, wish: Wish): Promise<number> {
  const { steps, hash, conflicts } = await app.store.plan(wish, { allowDestructive: call.isSet('allow-destructive') });
  const remarks = findLoops(await app.store.preview(wish));
  if (call.isSet('json')) printJson(call.io, { steps: steps.map(shownStep), hash, conflicts, remarks });
  else {
    printPlan(call.io, steps, hash);
    printRemarks(call, remarks);
  }
  sayConflicts(call, conflicts);
  return steps.some((step) => step.class === 'refused') ? 1 : 0;
}

async function apply(call: Call, app: App, wish: Wish): Promise<number> {
  const hash = call.option('hash');
  const options: ApplyOptions = { allowDestructive: call.isSet('allow-destructive'), ...(hash === null ? {} : { hash }) };
  const result = await app.store.apply(wish, 'system:cli', options);
  if (call.isSet('json')) printJson(call.io, { ...result, steps: result.steps.map(shownStep) });
  else {
    printPlan(call.io, result.steps, result.hash);
    if (result.steps.length > 0) call.io.say(`Version ${String(result.version)} is in force.`);
  }
  sayConflicts(call, result.conflicts);
  return 0;
}

function sayConflicts(call: Call, conflicts: readonly MergeConflict[]): void {
  for (const { pointer, files, local } of conflicts) call.io.say(`Local change kept at ${pointer}: ${shown(local)}, where the files now say ${shown(files)}.`);
}

function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Writes the ids that the package got into its files, so that things may be renamed in them from now on. */
async function writeIds(call: Call, app: App, directory: string): Promise<void> {
  const { files } = await app.store.recorded();
  try {
    const written = assignIds(directory, false, idsOf(files));
    if (written.length > 0) call.io.say(`Wrote new ids into ${written.join(', ')}.`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!['EACCES', 'EROFS', 'EPERM'].includes(code)) throw error;
    call.io.say(`The ids could not be written into the files of ${directory} (${code}): they are known by name until then.`);
  }
}

async function showDifferences(call: Call, app: App): Promise<number> {
  const plan = await app.store.plan(wishOf(call));
  const recorded = await app.store.recorded();
  const pending = differences(recorded.set, plan.wanted);
  const local = differences(recorded.files, recorded.set);
  if (call.isSet('json')) printJson(call.io, { pending, local, conflicts: plan.conflicts });
  else {
    call.io.out(pending.length === 0 ? 'The files say what is in force.\n' : `Applying the files would change:\n${pending.map(differenceText).join('')}`);
    if (local.length > 0) call.io.out(`Local changes over the files:\n${local.map(differenceText).join('')}`);
  }
  sayConflicts(call, plan.conflicts);
  return call.isSet('exit-code') && pending.length > 0 ? 1 : 0;
}

const SIGN = { added: '+', removed: '-', changed: '~' } as const;

function differenceText({ noun, name, change, renamedFrom, places }: Difference): string {
  const head = `  ${SIGN[change]} ${noun} ${name}${renamedFrom === undefined ? '' : ` (was ${renamedFrom})`}\n`;
  return head + places.map(({ pointer, from, to }) => `      ${pointer.split('#').at(-1) ?? pointer}: ${shown(from)} -> ${shown(to)}\n`).join('');
}

async function versionOf(call: Call, app: App): Promise<number> {
  const [word] = call.positionals;
  if (word !== undefined) {
    if (!/^[1-9]\d{0,8}$/.test(word)) throw new UsageError(`"${word}" is no version: versions are numbers, credenza metadata versions lists them.`);
    return Number(word);
  }
  const { version } = await app.store.load();
  if (version < 2) throw new AppError('not_found', 'There is no version before this one.');
  return version - 1;
}

async function pull(call: Call, app: App): Promise<void> {
  const directory = directoryOf(call) ?? call.io.directory;
  const { set, package: laid } = await app.store.recorded();
  const files = packageFiles(set, call.isSet('all') ? null : shippedSet(call));
  if (!call.isSet('dry-run')) writePackage(directory, files);
  const paths = [...files.keys()].sort();
  if (call.isSet('json')) printJson(call.io, { directory, files: paths, package: laid?.name ?? null });
  else call.io.out(paths.length === 0 ? 'Nothing differs from the shipped files.\n' : `${paths.join('\n')}\n`);
}

function makeFile(call: Call): void {
  const [kind = '', name = '', directory = '.'] = call.positionals;
  const entry = kindNamed(kind);
  const path = `metadata/${entry.folder}/${name}.json`;
  const content = newFile(entry, name);
  const root = resolve(call.io.directory, directory);
  const target = resolve(root, path);
  if (existsSync(target)) throw new AppError('conflict_state', `${relative(call.io.directory, target)} exists already.`);
  const text = `${JSON.stringify(content, null, 2)}\n`;
  if (call.isSet('dry-run')) call.io.out(text);
  else {
    writePackage(root, new Map([[path, text]]));
    call.io.out(`${relative(call.io.directory, target)}\n`);
  }
}

async function showDrift(call: Call, app: App): Promise<number> {
  const report = await reportDrift(app.db);
  if (call.isSet('json')) printJson(call.io, report);
  else {
    if (report.drift.length === 0) call.io.out(`The database is as version ${String(report.version)} says.\n`);
    for (const entry of report.drift) call.io.out(`${entry.what.padEnd(12)}${entry.place}: ${entry.detail}\n`);
    for (const entry of report.kept)
      call.io.out(`${'kept'.padEnd(12)}${entry.what}, hidden since ${entry.since.slice(0, 10)}, kept until ${entry.until} at least\n`);
  }
  return report.drift.length === 0 ? 0 : 1;
}

async function showVersions(call: Call, app: App): Promise<void> {
  const limit = call.option('limit') ?? '20';
  if (!/^[1-9]\d{0,5}$/.test(limit)) throw new UsageError('--limit is a whole number above 0.');
  const found = await app.store.versions(Number(limit));
  if (call.isSet('json')) printJson(call.io, found);
  else
    printTable(
      call.io,
      ['version', 'since', 'by', 'package', 'note'],
      found.map((entry) => [entry.version, entry.createdAt, entry.createdBy, entry.package, entry.note]),
    );
}
