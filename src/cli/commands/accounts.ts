import { addDuration } from '../../platform/expression/durations.ts';
import { inTransaction } from '../../platform/db.ts';
import { AppError } from '../../platform/errors.ts';
import { ADMINISTRATOR, addUser, invite, normaliseEmail, userByEmail } from '../../platform/identity/users.ts';
import type { App } from '../../main.ts';
import { JSON_OPTION, UsageError, type Call, type Command } from '../command.ts';
import { commandContext, withApp } from '../open-app.ts';
import { printJson } from '../print.ts';

export const ACCOUNT_COMMANDS: readonly Command[] = [
  {
    name: 'user add',
    summary: 'Adds an account; prints an invitation link when no password is given.',
    usage: 'EMAIL',
    example: 'npx credenza user add ada@plan.example --name "Ada Byron" --permissions administrator',
    positionals: [1, 1],
    options: {
      name: { value: 'NAME', help: 'Name of the person.' },
      permissions: { value: 'a,b', help: 'Permission sets, separated by commas.' },
      'password-stdin': { help: 'Read the password from standard input.' },
      json: JSON_OPTION,
    },
    run: (call) => withApp(call, (app) => userAdd(call, app)),
  },
  {
    name: 'token create',
    summary: 'Makes an API token and prints it once.',
    usage: '',
    example: 'npx credenza token create --user ada@plan.example --name nightly --expires P90D',
    positionals: [0, 0],
    options: {
      user: { value: 'EMAIL', help: 'Whose token it is.' },
      name: { value: 'NAME', help: 'What it is for (default: cli).' },
      expires: { value: 'DURATION', help: 'How long it is good for, as P90D (default: P90D).' },
      json: JSON_OPTION,
    },
    run: (call) => withApp(call, (app) => tokenCreate(call, app)),
  },
];

async function userAdd(call: Call, app: App): Promise<void> {
  const email = call.positionals[0] ?? '';
  const name = call.option('name');
  if (name === null) throw new UsageError('Give the name: --name "Ada Byron".');
  const permissionSets = (call.option('permissions') ?? '').split(',').filter((entry) => entry !== '');
  const password = call.isSet('password-stdin') ? await readLine(call) : null;
  const model = await app.store.current();
  const known = new Set([ADMINISTRATOR, ...[...model.permissions.values()].filter((file) => file.audience === 'staff').map((file) => file.name)]);
  const wanted = { email, name, permissionSets, ...(password === null ? {} : { password }) };
  const added = await inTransaction(app.db, (tx) => addUser(tx, { clock: app.clock }, wanted, known, 'system:cli'));
  const link = added.invitation === null ? null : `${app.publicUrl()}/invitation/${added.invitation}`;
  if (call.isSet('json')) printJson(call.io, { id: added.user.id, email: added.user.email, invitation: link });
  else call.io.out(link === null ? `Added ${added.user.email}.\n` : `Added ${added.user.email}. They set a password here, within 7 days:\n${link}\n`);
}

async function tokenCreate(call: Call, app: App): Promise<void> {
  const email = call.option('user');
  if (email === null) throw new UsageError('Say whose token it is: --user EMAIL.');
  const user = await userByEmail(app.db, normaliseEmail(email));
  if (user === null) throw new AppError('not_found', `There is no account ${email}. Add it with credenza user add.`);
  if (user.status !== 'active') {
    const link = user.status === 'invited' ? await inTransaction(app.db, (tx) => invite(tx, { clock: app.clock }, user.id)) : null;
    const fix = link === null ? 'Activate it first.' : `Its owner must set a password first: ${app.publicUrl()}/invitation/${link}`;
    throw new AppError('conflict_state', `The account ${user.email} is ${user.status}. ${fix}`);
  }
  const { today, now } = await commandContext(app, 'token create');
  const until = addDuration(today, call.option('expires') ?? 'P90D');
  if (until === null || until <= today) throw new UsageError('--expires is a duration such as P90D or P1Y.');
  const { id, token } = await inTransaction(app.db, (tx) => app.signIn.createToken(tx, user.id, call.option('name') ?? 'cli', `${until}${now.slice(10)}`));
  if (call.isSet('json')) printJson(call.io, { token, id, expiresAt: `${until}${now.slice(10)}` });
  else {
    call.io.say(`A token for ${user.email}, good through ${until}. It is shown only now:`);
    call.io.out(`${token}\n`);
  }
}

async function readLine({ io }: Call): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of io.stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}
