import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import type { MailFindings, RunFindings } from '../../platform/automation/findings.sql.ts';
import { simulate } from '../../platform/automation/simulate.ts';
import { openDb } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { isSandbox } from '../../platform/mail/mail.sql.ts';
import { makeLog } from '../../platform/log.ts';
import { copySchema, dropSchema, schemasNamed } from '../../platform/schema/copy.sql.ts';
import { makeApp, type App } from '../../main.ts';
import { peopleNetwork } from '../../network/synthetic/network.ts';
import { checkVisits, type VisitFindings } from '../../network/synthetic/visit-check.ts';
import { JSON_OPTION, UsageError, type Call, type Command } from '../command.ts';
import { withApp } from '../open-app.ts';
import { printJson, printTable } from '../print.ts';
import { instantOf } from './automation.ts';

export const SANDBOX_COMMANDS: readonly Command[] = [
  {
    name: 'sandbox create',
    summary: 'A copy of this database that can send nothing; a schema of its own beside the original.',
    usage: 'NAME',
    example: 'npx credenza sandbox create trial',
    positionals: [1, 1],
    options: { json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const schema = sandboxSchema(app, call.positionals[0] ?? '');
        call.io.say('Copying ...');
        await copyMarked(app, schema);
        if (call.isSet('json')) printJson(call.io, { name: call.positionals[0], schema });
        else
          call.io.out(
            `The sandbox is schema ${schema}. Use it with DATABASE_SCHEMA=${schema} before any command, as:\n  DATABASE_SCHEMA=${schema} PORT=3001 npx credenza serve\n`,
          );
      }),
  },
  {
    name: 'sandbox list',
    summary: 'The sandboxes of this database.',
    usage: '',
    example: 'npx credenza sandbox list',
    positionals: [0, 0],
    options: { json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const prefix = `${app.config.schema}_sandbox_`;
        const found = (await schemasNamed(app.db, prefix)).map((schema) => ({ name: schema.slice(prefix.length), schema }));
        if (call.isSet('json')) printJson(call.io, found);
        else
          printTable(
            call.io,
            ['name', 'schema'],
            found.map((entry) => [entry.name, entry.schema]),
          );
      }),
  },
  {
    name: 'sandbox drop',
    summary: 'Removes a sandbox and all it holds.',
    usage: 'NAME',
    example: 'npx credenza sandbox drop trial',
    positionals: [1, 1],
    options: {},
    run: (call) =>
      withApp(call, async (app) => {
        const schema = sandboxSchema(app, call.positionals[0] ?? '');
        if (!(await schemasNamed(app.db, schema)).includes(schema))
          throw new AppError('not_found', `There is no sandbox ${call.positionals[0] ?? ''}. credenza sandbox list shows them.`);
        await inSchema(app, schema, async (db) => {
          if (!(await isSandbox(db))) throw new AppError('forbidden', `The schema ${schema} is not marked as a sandbox, so it is not dropped.`);
        });
        await dropSchema(app.db, schema);
        call.io.say(`Dropped ${schema}.`);
      }),
  },
  {
    name: 'simulate',
    summary: 'Runs a copy of this database under a virtual clock; no mail or HTTP leaves it.',
    usage: '',
    example: 'npx credenza simulate --from 2027-01-01 --to 2029-01-01 --seed 7',
    positionals: [0, 0],
    options: {
      from: { value: 'DAY', help: 'Where the clock starts.' },
      to: { value: 'DAY', help: 'Where it stops.' },
      seed: { value: 'N', help: 'Of the randomness: the same seed gives the same log (default 1).' },
      providers: { value: 'N', help: 'Add so many invented active providers, as many leads, and the people who deal with them.' },
      keep: { value: 'NAME', help: 'Keep the copy as a sandbox of this name.' },
      json: JSON_OPTION,
    },
    run: (call) => withApp(call, (app) => simulateCommand(call, app)),
  },
];

function sandboxSchema(app: App, name: string): string {
  if (!/^[a-z][a-z0-9_]{0,20}$/.test(name)) throw new UsageError(`A sandbox is named in lower-case letters, digits and _, not "${name}".`);
  const schema = `${app.config.schema}_sandbox_${name}`;
  if (schema.length > 60) throw new UsageError(`The name ${name} is too long.`);
  return schema;
}

/** Marked before anybody can see it: no process can send from it. */
function copyMarked(app: App, schema: string): Promise<void> {
  return copySchema(app.db, app.config.schema, schema, { sandbox: true });
}

async function inSchema<T>(app: App, schema: string, work: (db: Knex) => Promise<T>): Promise<T> {
  const { databaseUrl: url, prepares, directUrl, idleTransactionMs } = app.config;
  const db = openDb({ url, schema, poolSize: 4, statementTimeoutMs: 120_000, prepares, directUrl, idleTransactionMs });
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}

async function simulateCommand(call: Call, app: App): Promise<void> {
  const [from, to, seed, keep] = [call.option('from'), call.option('to'), call.option('seed') ?? '1', call.option('keep')];
  if (from === null || to === null) throw new UsageError('Say from when to when: --from 2027-01-01 --to 2029-01-01.');
  if (!/^\d{1,9}$/.test(seed)) throw new UsageError('--seed is a whole number.');
  const providers = call.option('providers');
  if (providers !== null && !/^\d{1,5}$/.test(providers)) throw new UsageError('--providers is a whole number.');
  const schema = sandboxSchema(app, keep ?? `sim_${randomBytes(4).toString('hex')}`);
  const started = performance.now();
  call.io.say('Copying ...');
  await copyMarked(app, schema);
  try {
    const result = await inSchema(app, schema, async (db) => {
      const opened: App[] = [];
      try {
        const simulated = await simulate({
          db,
          from: instantOf(from),
          to: instantOf(to),
          seed: Number(seed),
          wire: (clock, random) => {
            const copy = makeApp({ ...app.config, schema, smtpUrl: null, smtpListenPort: null, mailAccounts: [] }, { db, clock, random, log: makeLog('warn') });
            opened.push(copy);
            return providers === null ? copy.worker : peopleNetwork({ ...copy, clock }, random, Number(providers));
          },
          ...(call.io.isTerminal ? { afterMoment: (_db: Knex, now: string) => progress(call, now) } : {}),
        });
        const [copy] = opened;
        return { ...simulated, ...(providers === null || copy === undefined ? {} : { visits: await visitsOf(copy) }) };
      } finally {
        for (const copy of opened) await copy.stop();
      }
    });
    const answer = { ...result, seconds: Math.round((performance.now() - started) / 100) / 10 };
    if (call.isSet('json')) printJson(call.io, answer);
    else {
      printTable(call.io, Object.keys(result.counts), [Object.values(result.counts)]);
      if (result.visits !== undefined) call.io.out(describeVisits(result.visits));
      call.io.out(describeMails(result.mails));
      call.io.out(describeRuns(result.runs));
      call.io.out(`${String(result.moments)} moments, ${String(result.lines)} log lines, ${String(answer.seconds)} s, log ${result.hash}\n`);
    }
  } finally {
    if (keep === null) await dropSchema(app.db, schema);
  }
}

let lastShown = '';
function progress(call: Call, now: string): Promise<void> {
  if (now.slice(0, 7) !== lastShown) call.io.say(now.slice(0, 7));
  lastShown = now.slice(0, 7);
  return delay(0);
}

async function visitsOf(copy: App): Promise<VisitFindings> {
  return checkVisits(copy.db, await copy.contextFor({ kind: 'system', name: 'simulate' }, { kind: 'command', name: 'simulate' }), copy.reader);
}

function describeMails({ made, states, templates, twice }: MailFindings): string {
  const [worst] = twice;
  const found =
    worst === undefined
      ? 'none sent twice'
      : `${String(twice.length)} sent twice, the first: ${worst.template} about ${worst.object ?? 'nothing'} ${worst.record ?? ''} (${worst.occasion})`;
  return `${String(made)} mails of ${String(Object.keys(templates).length)} templates (${tally(states)}), ${found}\n`;
}

function describeRuns({ states, repeated }: RunFindings): string {
  const [worst] = repeated;
  const found =
    worst === undefined
      ? 'none repeated'
      : `${String(repeated.length)} repeated, the first: ${worst.rule} for ${worst.object ?? 'nothing'} ${worst.record ?? ''} (${worst.cause})`;
  return `${String(Object.values(states).reduce((sum, count) => sum + count, 0))} runs of rules (${tally(states)}), ${found}\n`;
}

function tally(counts: Readonly<Record<string, number>>): string {
  return Object.keys(counts).length === 0
    ? 'none'
    : Object.entries(counts)
        .map(([name, count]) => `${String(count)} ${name}`)
        .join(', ');
}

function describeVisits({ scheduled, counted, gaps }: VisitFindings): string {
  const [worst] = gaps;
  const found = worst === undefined ? 'no gap above policy' : `${String(gaps.length)} gaps above policy, the first: NPI ${worst.npi}, due ${worst.dueOn}`;
  return `${String(scheduled)} providers on a visit schedule, ${String(counted)} counted visits, ${found}\n`;
}
