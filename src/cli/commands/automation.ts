import type { PartResult } from '../../platform/automation/explain-parts.ts';
import { dryRun, explain, explainRecord } from '../../platform/automation/explain.ts';
import { makeEvaluator } from '../../platform/automation/evaluate.ts';
import { loadRows } from '../../platform/automation/records.sql.ts';
import { runDue } from '../../platform/automation/run-due.ts';
import { strandedRuns } from '../../platform/automation/runs.sql.ts';
import { inTransaction } from '../../platform/db.ts';
import { decideEvent, stoppedEvents } from '../../platform/jobs/stopped-events.sql.ts';
import { isUuid } from '../../platform/ids.ts';
import { accountStates } from '../../platform/mail/fetch.sql.ts';
import { deliveriesInState, isSandbox } from '../../platform/mail/mail.sql.ts';
import { sqlContext } from '../../platform/access/secure.sql.ts';
import { AppError } from '../../platform/errors.ts';
import { compileJs } from '../../platform/expression/to-js.ts';
import { compileValueSql } from '../../platform/expression/to-sql.sql.ts';
import type { ExprType } from '../../platform/expression/types.ts';
import type { App } from '../../main.ts';
import { JSON_OPTION, UsageError, type Call, type Command } from '../command.ts';
import { commandContext, standingClock, withApp } from '../open-app.ts';
import { cellText, printJson, printTable } from '../print.ts';

export const AUTOMATION_COMMANDS: readonly Command[] = [
  {
    name: 'run-due',
    summary: 'Does everything that is due, then ends; a moment in the future only in a sandbox.',
    usage: '',
    example: 'npx credenza run-due --at 2027-03-01T09:00:00Z',
    positionals: [0, 0],
    options: { at: { value: 'INSTANT', help: 'Do what is due by then (default: now).' }, json: JSON_OPTION },
    run: runDueCommand,
  },
  {
    name: 'explain',
    summary: 'Why a rule started for a record, or why not; without a rule, what each rule on the object came to.',
    usage: '[RULE] RECORD',
    example: 'npx credenza explain license-expiring 0190b6f0-0000-7000-8000-000000000001',
    positionals: [1, 2],
    options: { object: { value: 'OBJECT', help: 'Of a record, when no rule is named.' }, json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        if (call.positionals.length === 1) return explainAll(call, app);
        const [rule = '', record = ''] = call.positionals;
        const found = await explain(app.db, await commandContext(app, 'explain'), rule, record);
        if (call.isSet('json')) {
          printJson(call.io, found);
          return;
        }
        call.io.out(
          `${found.rule} is ${found.enabled ? 'on' : 'off'}; for the record as it is now its condition ${found.now.holds ? 'holds' : 'does not hold'}.\n`,
        );
        for (const operand of found.now.operands) printPart(call, operand, 1);
        for (const event of found.events)
          call.io.out(`${event.at}  ${event.kind}: ${event.started ? 'started the rule' : (event.reason ?? 'did not start it')}\n`);
        for (const fire of found.fires) call.io.out(`${fire.at}  ${fire.past ? 'was' : 'will be'} due (${fire.offset})\n`);
        for (const run of found.runs) call.io.out(`${run.dueAt}  run ${run.state}${run.error === null ? '' : `: ${run.error}`}\n`);
      }),
  },
  {
    name: 'rule dry-run',
    summary: 'Runs a rule over past events without any effect.',
    usage: 'RULE',
    example: 'npx credenza rule dry-run member-responded --since 2027-01-01',
    positionals: [1, 1],
    options: { since: { value: 'DAY', help: 'The first day to look at.' }, json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const since = call.option('since');
        if (since === null || !/^\d{4}-\d{2}-\d{2}$/.test(since)) throw new UsageError('Say from when: --since 2027-01-01.');
        const result = await dryRun(app.db, await commandContext(app, 'rule dry-run'), call.positionals[0] ?? '', `${since}T00:00:00.000Z`);
        if (call.isSet('json')) printJson(call.io, result);
        else {
          call.io.out(`${String(result.events)} events looked at, ${String(result.matches.length)} would start the rule.\n`);
          for (const [reason, count] of Object.entries(result.reasons)) call.io.out(`  ${String(count)} x ${reason}\n`);
        }
      }),
  },
  {
    name: 'rule runs',
    summary: 'Runs of rules that failed for good or were stopped, newest first.',
    usage: '',
    example: 'npx credenza rule runs',
    positionals: [0, 0],
    options: { json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const runs = await strandedRuns(app.db);
        if (call.isSet('json')) printJson(call.io, runs);
        else
          printTable(
            call.io,
            ['id', 'state', 'rule', 'record', 'attempts', 'error'],
            runs.map(({ id, state, rule, recordId, attempts, error }) => [id, state, rule, recordId ?? '', attempts, error ?? '']),
          );
      }),
  },
  {
    name: 'rule replay',
    summary: 'Has runs done again that failed or were stopped; the worker does them.',
    usage: 'RUN...',
    example: 'npx credenza rule replay 0190b6f0-0000-7000-8000-000000000001',
    positionals: [1, 1000],
    options: {},
    run: (call) =>
      withApp(call, async (app) => {
        for (const id of uuidsOf(call)) await app.automation.replayRun(app.db, id);
      }),
  },
  {
    name: 'event list',
    summary: 'Changes whose rules could not be looked at, however often it was tried; later ones of their records wait.',
    usage: '',
    example: 'npx credenza event list',
    positionals: [0, 0],
    options: { json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const events = await stoppedEvents(app.db);
        if (call.isSet('json')) printJson(call.io, events);
        else
          printTable(
            call.io,
            ['id', 'object', 'record', 'kind', 'tries', 'waiting', 'error'],
            events.map(({ id, object, recordId, kind, tries, waiting, error }) => [id, object, recordId ?? '', kind, tries, waiting ?? '', error]),
          );
      }),
  },
  {
    name: 'event replay',
    summary: 'Has such changes looked at again; the worker does it.',
    usage: 'EVENT...',
    example: 'npx credenza event replay 0190b6f0-0000-7000-8000-000000000001',
    positionals: [1, 1000],
    options: {},
    run: (call) => decideEvents(call, 'replayed'),
  },
  {
    name: 'event pass',
    summary: 'Lets later changes of their records go on; these start no rule.',
    usage: 'EVENT...',
    example: 'npx credenza event pass 0190b6f0-0000-7000-8000-000000000001',
    positionals: [1, 1000],
    options: {},
    run: (call) => decideEvents(call, 'passed'),
  },
  {
    name: 'mail list',
    summary: 'Mail of which nobody knows whether it arrived (unknown), or that was given up (failed), newest first.',
    usage: '',
    example: 'npx credenza mail list --state failed',
    positionals: [0, 0],
    options: { state: { value: 'STATE', help: 'unknown or failed (default: unknown).' }, json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const state = call.option('state') ?? 'unknown';
        if (state !== 'unknown' && state !== 'failed') throw new UsageError('--state is unknown or failed.');
        const mails = await deliveriesInState(app.db, state);
        if (call.isSet('json')) printJson(call.io, mails);
        else
          printTable(
            call.io,
            ['id', 'class', 'template', 'recipient', 'created', 'error'],
            mails.map((mail) => [mail.id, mail.class, mail.template, mail.recipient, mail.createdAt, mail.lastError ?? '']),
          );
      }),
  },
  {
    name: 'mail accounts',
    summary: 'Accounts that mail is fetched from by IMAP, with their failures and the messages that could not be filed.',
    usage: '',
    example: 'npx credenza mail accounts',
    positionals: [0, 0],
    options: { json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const accounts = await accountStates(app.db);
        if (call.isSet('json')) return printJson(call.io, accounts);
        printTable(
          call.io,
          ['account', 'fetched', 'failures', 'failure'],
          accounts.map(({ account, fetchedAt, failures, failure }) => [account, fetchedAt ?? '', String(failures), failures === 0 ? '' : (failure ?? '')]),
        );
        printTable(
          call.io,
          ['account', 'message', 'bytes', 'attempts', 'reason'],
          accounts.flatMap(({ account, unfiled }) =>
            unfiled.map(({ uid, bytes, attempts, reason }) => [account, uid, String(bytes), String(attempts), reason]),
          ),
        );
      }),
  },
  {
    name: 'mail settle',
    summary: 'Says of unknown mail that it arrived or did not, or has it sent again (failed mail too).',
    usage: 'MAIL...',
    example: 'npx credenza mail settle 0190b6f0-0000-7000-8000-000000000001 --as sent',
    positionals: [1, 1000],
    options: { as: { value: 'WHAT', help: 'sent, failed, or queued to send it again.' } },
    run: (call) =>
      withApp(call, async (app) => {
        const as = call.option('as');
        if (as !== 'sent' && as !== 'failed' && as !== 'queued') throw new UsageError('Say what became of it: --as sent, failed or queued.');
        for (const id of uuidsOf(call)) {
          if (!(await app.settleMail(app.db, id, as, 'system:cli'))) throw new AppError('not_found', `There is no mail ${id} that waits for such a decision.`);
        }
      }),
  },
  {
    name: 'eval',
    summary: 'The value of an expression, its type, and the SQL it becomes.',
    usage: 'EXPRESSION',
    example: `npx credenza eval "addBusinessDays(date('2026-11-25'), 4, 'federal')"`,
    positionals: [1, 1],
    options: {
      object: { value: 'OBJECT', help: 'The object whose fields it names.' },
      id: { value: 'ID', help: 'The record to look at.' },
      sql: { help: 'Show the SQL too.' },
      json: JSON_OPTION,
    },
    run: (call) => withApp(call, (app) => evaluate(call, app)),
  },
];

async function explainAll(call: Call, app: App): Promise<void> {
  const [record = ''] = call.positionals;
  const object = call.option('object');
  if (object === null || !isUuid(record)) throw new UsageError('Name the rule and the record, or the record and its object: explain --object Lead RECORD.');
  const outcomes = await explainRecord(app.db, await commandContext(app, 'explain'), object, record);
  if (call.isSet('json')) printJson(call.io, outcomes);
  else
    printTable(
      call.io,
      ['rule', 'on', 'holds now', 'last change', 'last run'],
      outcomes.map(({ rule, enabled, now, lastEvent, lastRun }) => {
        const what = lastEvent === null ? '' : lastEvent.started ? 'started it' : (lastEvent.reason ?? '');
        return [rule, enabled ? 'on' : 'off', now.holds === true ? 'yes' : 'no', what, lastRun?.state ?? ''];
      }),
    );
}

/** A part of a condition, and below it what it is made of. */
function printPart(call: Call, part: PartResult, depth: number): void {
  const said = part.value === undefined ? (part.holds === true ? 'yes' : 'no ') : cellText(part.value);
  call.io.out(`${'  '.repeat(depth)}${said}  ${part.text}   ${cellText(part.values)}\n`);
  for (const inner of part.parts ?? []) printPart(call, inner, depth + 1);
  for (const { object, id, holds } of part.records ?? []) call.io.out(`${'  '.repeat(depth + 1)}${holds === true ? 'yes' : 'no '}  ${object} ${id}\n`);
}

function decideEvents(call: Call, decision: 'replayed' | 'passed'): Promise<number> {
  return withApp(call, async (app) => {
    for (const id of uuidsOf(call)) {
      if (!(await inTransaction(app.db, (tx) => decideEvent(tx, id, decision, 'system:cli', app.clock.now()))))
        throw new AppError('not_found', `There is no event ${id} that waits for such a decision.`);
    }
    return 0;
  });
}

function uuidsOf({ positionals }: Call): readonly string[] {
  const wrong = positionals.find((id) => !isUuid(id));
  if (wrong !== undefined) throw new UsageError(`"${wrong}" is not an id.`);
  return positionals;
}

async function runDueCommand(call: Call): Promise<void> {
  const at = call.option('at');
  const until = at === null ? null : instantOf(at);
  const clock = standingClock();
  const isFuture = until !== null && until > clock.now();
  const result = await withApp(
    call,
    async (app) => {
      if (isFuture && !(await isSandbox(app.db)))
        throw new AppError('forbidden', `${until} is in the future: what becomes due then can be done ahead only in a sandbox (credenza sandbox create).`);
      return runDue({ db: app.db, clock: app.clock, worker: app.worker, ...(until === null ? {} : { until }) });
    },
    isFuture ? { clock } : {},
  );
  if (call.isSet('json')) printJson(call.io, result);
  else printTable(call.io, Object.keys(result.counts), [Object.values(result.counts)]);
}

export function instantOf(text: string): string {
  const time = new Date(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text);
  if (Number.isNaN(time.getTime()) || !/^\d{4}-\d{2}-\d{2}(T.*(Z|[+-]\d{2}:\d{2}))?$/.test(text))
    throw new UsageError(`"${text}" is not an instant; write 2027-03-01T09:00:00Z.`);
  return time.toISOString();
}

async function evaluate(call: Call, app: App): Promise<void> {
  const context = await commandContext(app, 'eval');
  const { model } = context;
  const objectName = call.option('object');
  const id = call.option('id');
  if (id !== null && objectName === null) throw new UsageError('--id needs --object.');
  const typed = model.expression(call.positionals[0] ?? '', objectName);
  const row = objectName === null || id === null ? null : (await loadRows(app.db, model, objectName, [id])).get(id);
  if (row === undefined) throw new AppError('not_found', `There is no ${objectName ?? ''} ${id ?? ''}.`);
  const run = compileJs(typed, model.expressions);
  const value = objectName !== null && id === null ? undefined : await makeEvaluator(app.db, context).reading({}, (evaluation) => run(row ?? {}, evaluation));
  const wantsSql = call.isSet('sql');
  const statement = wantsSql && typed.sqlObstacle === null ? compileValueSql(typed, model.expressions, { alias: 't', context: sqlContext(context) }) : null;
  const answer = {
    ...(value === undefined ? {} : { value: jsonValue(value) }),
    type: typeText(typed.type),
    ...(wantsSql
      ? { sql: statement?.text ?? null, bindings: statement?.values ?? [], ...(typed.sqlObstacle === null ? {} : { sqlObstacle: typed.sqlObstacle }) }
      : {}),
  };
  if (call.isSet('json')) printJson(call.io, answer);
  else for (const [name, entry] of Object.entries(answer)) call.io.out(name === 'value' ? `${cellText(entry) || 'null'}\n` : `${name}: ${cellText(entry)}\n`);
}

function jsonValue(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'toJSON' in value ? JSON.parse(JSON.stringify(value)) : value;
}

function typeText(type: ExprType): string {
  switch (type.kind) {
    case 'list':
      return `list of ${typeText(type.of)}`;
    case 'record':
      return type.object;
    case 'struct':
      return `{${Object.entries(type.members)
        .map(([name, member]) => `${name}: ${typeText(member)}`)
        .join(', ')}}`;
    default:
      return type.kind;
  }
}
