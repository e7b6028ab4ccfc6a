import { expect } from 'chai';
import { makeVirtualClock, type VirtualClock } from '../../../src/platform/clock.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { isAppError, type ErrorCode } from '../../../src/platform/errors.ts';
import { makeSignIn, type SignIn } from '../../../src/platform/identity/sign-in.ts';
import { acceptInvitation, addUser, changeUser, invite, inviteFirstAdministrator, readInvitation, userById } from '../../../src/platform/identity/users.ts';
import { rows, sql } from '../../../src/platform/sql.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';

const SETS = new Set(['administrator', 'recruiting']);
const PASSWORD = 'correct horse battery';

async function refusal(
  work: Promise<unknown>,
): Promise<{ readonly code: ErrorCode; readonly retryAfterSeconds: number | undefined; readonly message: string }> {
  try {
    await work;
  } catch (error) {
    if (isAppError(error)) return error;
    throw error;
  }
  throw new Error('It was allowed.');
}

describe('identity', () => {
  let database: TestDatabase;
  let clock: VirtualClock;
  let signIn: SignIn;
  let userId: string;
  before(async () => {
    database = await makeTestDatabase();
  });
  after(() => database.drop());
  beforeEach(async () => {
    clock = makeVirtualClock('2027-03-01T09:00:00.000Z');
    signIn = makeSignIn({ clock });
    await database.db.raw('truncate credenza.app_user, credenza.session, credenza.api_token, credenza.invitation, credenza.sign_in_attempt cascade');
    const added = await inTransaction(database.db, (tx) =>
      addUser(tx, { clock }, { email: ' Ada@Plan.example ', name: 'Ada', permissionSets: ['recruiting'], password: PASSWORD }, SETS, 'test'),
    );
    userId = added.user.id;
  });

  const advance = (ms: number): void => clock.advanceTo(new Date(clock.nowMs() + ms).toISOString());
  const tryPassword = (password: string, email = 'ada@plan.example'): Promise<unknown> => signIn.withPassword(database.db, email, password, null);

  it('stores neither passwords nor secrets', async () => {
    const session = await signIn.withPassword(database.db, 'ADA@plan.example', PASSWORD, 'a browser');
    const { token } = await inTransaction(database.db, (tx) => signIn.createToken(tx, userId, 'script', null));
    const everything = JSON.stringify([
      await rows(database.db, sql`select * from credenza.app_user`),
      await rows(database.db, sql`select encode(secret_hash, 'escape') as h, s.* from credenza.session s`),
      await rows(database.db, sql`select encode(secret_hash, 'escape') as h, t.* from credenza.api_token t`),
    ]);
    expect(everything).to.include('$argon2id$');
    for (const secret of [PASSWORD, session.secret, token]) expect(everything).to.not.include(secret);
  });

  it('gives a session for the right password and ends it by sign-out and by time', async () => {
    const session = await signIn.withPassword(database.db, 'ada@plan.example', PASSWORD, null);
    expect((await signIn.bySession(database.db, session.secret))?.user.name).to.equal('Ada');
    await inTransaction(database.db, (tx) => signIn.signOut(tx, session.secret));
    expect(await signIn.bySession(database.db, session.secret)).to.equal(null);
    const other = await signIn.withPassword(database.db, 'ada@plan.example', PASSWORD, null);
    advance(12 * 3_600_000 + 1);
    expect(await signIn.bySession(database.db, other.secret)).to.equal(null);
  });

  it('says the same for an unknown address, a wrong password, and an account without password', async () => {
    await inTransaction(database.db, (tx) => addUser(tx, { clock }, { email: 'bo@plan.example', name: 'Bo', permissionSets: [] }, SETS, 'test'));
    const said = await Promise.all([
      refusal(tryPassword('wrong password!')),
      refusal(tryPassword(PASSWORD, 'nobody@plan.example')),
      refusal(tryPassword(PASSWORD, 'bo@plan.example')),
    ]);
    expect(new Set(said.map((entry) => `${entry.code} ${entry.message}`))).to.deep.equal(
      new Set(['unauthenticated This address and password do not belong together.']),
    );
  });

  it('allows ten tries in a quarter of an hour, also when they come at once, and then the right password waits too', async () => {
    const said = await Promise.all(Array.from({ length: 14 }, () => refusal(tryPassword('wrong password!'))));
    expect(said.filter((entry) => entry.code === 'unauthenticated')).to.have.length(10);
    expect(said.filter((entry) => entry.code === 'too_many_requests')).to.have.length(4);
    advance(5 * 60_000);
    const refused = await refusal(tryPassword(PASSWORD));
    expect(refused.code).to.equal('too_many_requests');
    expect(refused.retryAfterSeconds).to.equal(600);
    advance(600_001);
    expect(await tryPassword(PASSWORD)).to.have.property('secret');
  });

  it('shuts out a suspended account within a second', async () => {
    const { token } = await inTransaction(database.db, (tx) => signIn.createToken(tx, userId, 'script', null));
    expect((await signIn.byToken(database.db, token))?.user.id).to.equal(userId);
    await inTransaction(database.db, (tx) => changeUser(tx, { clock }, userId, 1, { status: 'suspended' }, SETS, 'test'));
    advance(1_001);
    expect(await signIn.byToken(database.db, token)).to.equal(null);
    expect((await refusal(tryPassword(PASSWORD))).code).to.equal('unauthenticated');
  });

  it('ends a token by revoking it and by time', async () => {
    const first = await inTransaction(database.db, (tx) => signIn.createToken(tx, userId, 'script', '2027-03-02T00:00:00.000Z'));
    const second = await inTransaction(database.db, (tx) => signIn.createToken(tx, userId, 'other', null));
    await inTransaction(database.db, (tx) => signIn.revokeToken(tx, userId, second.id));
    expect(await signIn.byToken(database.db, second.token)).to.equal(null);
    expect(await signIn.byToken(database.db, first.token)).to.not.equal(null);
    advance(86_400_000);
    expect(await signIn.byToken(database.db, first.token)).to.equal(null);
    expect((await refusal(inTransaction(database.db, (tx) => signIn.revokeToken(tx, userId, second.id)))).code).to.equal('not_found');
  });

  it('invites the first administrator until one can sign in; each link works once', async () => {
    const email = 'administrator@plan.example';
    const old = await inTransaction(database.db, (tx) => inviteFirstAdministrator(tx, { clock }, email));
    const secret = await inTransaction(database.db, (tx) => inviteFirstAdministrator(tx, { clock }, email));
    if (old === null || secret === null) return expect.fail('no invitation');
    expect((await refusal(readInvitation(database.db, clock, old))).code).to.equal('not_found');
    expect((await readInvitation(database.db, clock, secret)).permissionSets).to.deep.equal(['administrator']);
    const accept = (): Promise<unknown> =>
      inTransaction(database.db, (tx) => acceptInvitation(tx, { clock }, secret, { password: PASSWORD, name: 'Grace', email: 'grace@plan.example' }));
    expect(await accept()).to.include({ name: 'Grace', email: 'grace@plan.example', status: 'active' });
    expect((await refusal(accept())).code).to.equal('not_found');
    expect(await tryPassword(PASSWORD, 'grace@plan.example')).to.have.property('secret');
    expect(await inTransaction(database.db, (tx) => inviteFirstAdministrator(tx, { clock }, email))).to.equal(null);
  });

  it('an invitation does not bring a suspended account back', async () => {
    const added = await inTransaction(database.db, (tx) => addUser(tx, { clock }, { email: 'bo@plan.example', name: 'Bo', permissionSets: [] }, SETS, 'test'));
    const secret = added.invitation ?? '';
    await inTransaction(database.db, (tx) => changeUser(tx, { clock }, added.user.id, 1, { status: 'suspended' }, SETS, 'test'));
    expect((await refusal(readInvitation(database.db, clock, secret))).code).to.equal('not_found');
    expect((await refusal(inTransaction(database.db, (tx) => acceptInvitation(tx, { clock }, secret, { password: PASSWORD })))).code).to.equal('not_found');
    expect((await refusal(inTransaction(database.db, (tx) => invite(tx, { clock }, added.user.id)))).code).to.equal('conflict_state');
    expect((await userById(database.db, added.user.id))?.status).to.equal('suspended');
  });

  it('a new password by invitation ends the sessions that the old one opened', async () => {
    const session = await signIn.withPassword(database.db, 'ada@plan.example', PASSWORD, null);
    const secret = await inTransaction(database.db, (tx) => invite(tx, { clock }, userId));
    await inTransaction(database.db, (tx) => acceptInvitation(tx, { clock }, secret, { password: 'another long password' }));
    expect(await signIn.bySession(database.db, session.secret)).to.equal(null);
    expect((await refusal(tryPassword(PASSWORD))).code).to.equal('unauthenticated');
  });

  it('refuses a short password, a bad address, an unknown set, a second account, a stale change', async () => {
    const add = (user: Parameters<typeof addUser>[2]): Promise<unknown> => inTransaction(database.db, (tx) => addUser(tx, { clock }, user, SETS, 'test'));
    expect((await refusal(add({ email: 'x@plan.example', name: 'X', permissionSets: [], password: 'short' }))).code).to.equal('validation_failed');
    expect((await refusal(add({ email: 'nowhere', name: '', permissionSets: ['nope'] }))).code).to.equal('validation_failed');
    expect((await refusal(add({ email: 'ada@plan.example', name: 'Ada', permissionSets: [] }))).code).to.equal('conflict_unique');
    const stale = inTransaction(database.db, (tx) => changeUser(tx, { clock }, userId, 7, { name: 'Eve' }, SETS, 'test'));
    expect((await refusal(stale)).code).to.equal('conflict_version');
    expect((await userById(database.db, userId))?.name).to.equal('Ada');
  });
});
