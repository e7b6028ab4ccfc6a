import { randomInt } from 'node:crypto';
import { beginningOf, tellDemo } from '../../network/synthetic/demo-story.ts';
import { makeHands } from '../../network/synthetic/demo-host.ts';
import { markSandbox } from '../../platform/automation/sandbox.sql.ts';
import { makeVirtualClock, systemClock } from '../../platform/clock.ts';
import { openDb } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { isSandbox } from '../../platform/mail/mail.sql.ts';
import { makeLog } from '../../platform/log.ts';
import { dropSchema, schemasNamed } from '../../platform/schema/copy.sql.ts';
import { makeApp } from '../../main.ts';
import { JSON_OPTION, UsageError, type Call, type Command } from '../command.ts';
import { openDatabase, sandboxConfig } from '../open-app.ts';
import { printJson, printTable } from '../print.ts';

const LEADS: Readonly<Record<string, number>> = { small: 150, large: 3000 };
const NAME = 'demo';

export const DEMO_COMMANDS: readonly Command[] = [
  {
    name: 'demo',
    summary: 'A sandbox with invented providers, from the first mail to a visited provider; replaces the one made before.',
    usage: '',
    example: 'npx credenza demo --size small',
    positionals: [0, 0],
    options: { size: { value: 'small|large', help: 'small: 150 leads, large: 3,000 (default: small).' }, json: JSON_OPTION },
    run: (call) => demo(call),
  },
];

async function demo(call: Call): Promise<void> {
  const leads = LEADS[call.option('size') ?? 'small'];
  if (leads === undefined) throw new UsageError('--size is small or large.');
  const started = performance.now();
  const database = await openDatabase(call.config, call.io, 'command');
  const config = { ...sandboxConfig(call.config, NAME), databaseUrl: database.url };
  const { schema, prepares, directUrl, idleTransactionMs } = config;
  const db = openDb({ url: database.url, schema, poolSize: 4, statementTimeoutMs: 120_000, prepares, directUrl, idleTransactionMs });
  try {
    await removeFormer(db, config.schema);
    const end = systemClock.now();
    const clock = makeVirtualClock(beginningOf(end));
    const app = makeApp(config, { db, clock, log: makeLog('warn') });
    try {
      call.io.say('Making the tables and applying the shipped metadata ...');
      await app.prepare();
      await markSandbox(db);
      const password = newPassword();
      const hands = await makeHands({ ...app, clock }, { name: 'demo', password });
      const { halfWay, ...result } = await tellDemo(hands, { end, leads, say: call.io.say });
      const portal = { name: halfWay.name, application: halfWay.application, url: `${app.publicUrl()}/portal/start/${halfWay.secret}` };
      const seconds = Math.round((performance.now() - started) / 100) / 10;
      const serve = `npx credenza start --sandbox ${NAME}`;
      const answer = { schema: config.schema, serve, url: app.publicUrl(), password, accounts: hands.accounts, portal, ...result, seconds };
      if (call.isSet('json')) printJson(call.io, answer);
      else describe(call, answer);
    } finally {
      await app.stop();
    }
  } finally {
    await db.destroy();
    await database.close();
  }
}

type Answer = Readonly<Record<'schema' | 'serve' | 'url' | 'password', string>> & {
  readonly accounts: readonly { readonly email: string; readonly name: string; readonly permissionSet: string }[];
  readonly portal: { readonly name: string; readonly application: string; readonly url: string };
  readonly leads: number;
  readonly seconds: number;
};

function describe({ io }: Call, { schema, serve, url, password, accounts, portal, leads, seconds }: Answer): void {
  io.out(`The demo is there: ${String(leads)} leads and what became of them, in schema ${schema} (${String(seconds)} s). It can send nothing.\n\n`);
  io.out(`Look at it:\n  ${serve}\nand open ${url}. All accounts have the password ${password} (shown only now):\n\n`);
  printTable(
    io,
    ['e-mail', 'name', 'permission set'],
    accounts.map((account) => [account.email, account.name, account.permissionSet]),
  );
  io.out(`\n${portal.name} is half way through the form of ${portal.application}; go on as the provider:\n  ${portal.url}\n`);
}

/** A schema of this name is replaced only when it is a sandbox. */
async function removeFormer(db: ReturnType<typeof openDb>, schema: string): Promise<void> {
  if (!(await schemasNamed(db, schema)).includes(schema)) return;
  if (!(await isSandbox(db)))
    throw new AppError('forbidden', `The schema ${schema} is not marked as a sandbox, so it is not replaced. Drop it by hand if nobody needs it.`);
  await dropSchema(db, schema);
}

function newPassword(): string {
  const letters = 'abcdefghjkmnpqrstuvwxyz';
  const part = (): string => Array.from({ length: 5 }, () => letters.charAt(randomInt(letters.length))).join('');
  return [part(), part(), part(), part()].join('-');
}
