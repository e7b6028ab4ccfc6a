import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Knex } from 'knex';
import { besideModule } from '../../../src/platform/child.ts';
import { ident, keyword, rows, sql } from '../../../src/platform/sql.ts';
import type { App } from '../../../src/main.ts';

export interface StoryProcess {
  readonly code: number | null;
  readonly signal: string | null;
  /** The last instant that the process came to, or null when it never moved. */
  readonly lastInstant: string | null;
  /** How many more visits each point of its plan would have needed. */
  readonly left: ReadonlyMap<string, number>;
  readonly complaints: string;
}

/** Runs the story in a process of its own until it ends or kills itself. */
export function runStory(databaseUrl: string, smtpUrl: string, start: string, plan: string, lastChapter = ''): Promise<StoryProcess> {
  const module = fileURLToPath(besideModule(import.meta.url, 'kill-process'));
  const loader = import.meta.url.endsWith('.ts') ? ['--import=tsx'] : [];
  const child = spawn(process.execPath, [...loader, module, databaseUrl, smtpUrl, start, plan, lastChapter], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let complaints = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const words = said.split('\n').map((line) => line.split(' '));
      resolve({
        code,
        signal,
        lastInstant: words.filter(([what]) => what === 'at').at(-1)?.[1] ?? null,
        left: new Map(words.filter(([what]) => what === 'left').map(([, point = '', left]) => [point, Number(left)])),
        complaints,
      });
    });
  });
}

/** Waits until the server has noticed that a killed process is gone. */
export async function untilGone(db: Knex): Promise<void> {
  const deadline = process.hrtime.bigint() + 20_000_000_000n;
  for (;;) {
    const [found] = await rows(db, sql`select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name = 'credenza'`);
    if (Number(found?.['n']) === 0) return;
    if (process.hrtime.bigint() > deadline) throw new Error('The server still holds connections of the killed process.');
  }
}

const SYSTEM_FIELDS = ['id', 'ownerId', 'createdBy', 'updatedBy', 'deletedAt'];

type Values = Readonly<Record<string, unknown>>;

/**
 * Everything that the story left, in a form that two runs share: records without ids, what they refer to by its values,
 * mails, and how often each rule ran for what outcome.
 */
export async function finalState(app: App): Promise<readonly string[]> {
  const context = await app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
  const own = new Map<string, string>();
  const lines: { readonly object: string; readonly plain: Values; readonly refs: readonly (readonly [string, string])[] }[] = [];
  for (const object of [...context.model.objects.values()].filter((entry) => entry.name !== 'User')) {
    const kinds = new Map([...object.fields.values()].map((field) => [field.name, field.kind]));
    let cursor: string | null | undefined;
    while (cursor !== null) {
      const page = await app.reader.list(app.db, context, { object: object.name, limit: 200, ...(cursor === undefined ? {} : { cursor }) });
      for (const record of page.data) {
        const kept = Object.entries(record).filter(([name, value]) => value !== null && !SYSTEM_FIELDS.includes(name) && kinds.get(name) !== 'file');
        const plain = Object.fromEntries(kept.filter(([name]) => kinds.get(name) !== 'reference'));
        own.set(record.id, `${object.name} ${JSON.stringify(plain)}`);
        lines.push({
          object: object.name,
          plain,
          refs: kept.filter(([name]) => kinds.get(name) === 'reference').map(([name, value]) => [name, String(value)]),
        });
      }
      cursor = page.page.next;
    }
  }
  const records = lines.map(
    ({ object, plain, refs }) => `${object} ${JSON.stringify({ ...plain, ...Object.fromEntries(refs.map(([name, id]) => [name, own.get(id) ?? 'a user'])) })}`,
  );
  const counted = async (table: string, columns: string): Promise<readonly string[]> => {
    const found = await app.db.raw<{ readonly rows: readonly Values[] }>(`select ${columns}, count(*)::int as n from credenza.${table} group by ${columns}`);
    return found.rows.map((row) => `${table} ${JSON.stringify(row)}`);
  };
  return [
    ...records,
    ...(await counted('mail_delivery', 'template, class, recipient, subject')),
    ...(await counted('rule_run', 'rule, state')),
    ...(await counted('event_log', 'object, kind, transition')),
    ...(await counted('record_history', 'object_id, kind')),
    ...(await counted('frozen_report', 'report, period')),
    ...(await counted('inbound_mail', 'message_id, mailbox')),
    ...(await counted('portal_link', 'object, purpose')),
    ...(await counted('submission', 'form, state')),
  ].sort();
}

/** What must be nothing at the end: open events, runs not done, leases, deliveries not ended. */
export async function loose(db: Knex): Promise<Readonly<Record<string, number>>> {
  const found: Record<string, number> = {};
  for (const [name, table, condition] of [
    ['open events', 'event', 'true'],
    ['runs to do or failed', 'rule_run', "state not in ('done', 'skipped')"],
    ['leases', 'lease', 'true'],
    ['mails in hand', 'mail_delivery', "state in ('queued', 'sending') or lease_until is not null"],
  ] as const) {
    const answer = await rows(db, sql`select count(*)::int as n from ${ident('credenza')}.${ident(table)} where ${keyword(condition)}`);
    found[name] = Number(answer[0]?.['n']);
  }
  return found;
}
