import type { CallContext } from '../../platform/access/types.ts';
import { AppError } from '../../platform/errors.ts';
import { parseDate } from '../../platform/expression/dates.ts';
import { normaliseEmail, userByEmail } from '../../platform/identity/users.ts';
import { approvePolicy, retirePolicy, reviewPolicy } from '../../platform/policies/approve.ts';
import { policyAsOf, whatIf } from '../../platform/policies/what-if.ts';
import { listPolicies, readPolicy } from '../../platform/policies/document-control.ts';
import type { App } from '../../main.ts';
import { JSON_OPTION, UsageError, type Call, type Command, type Option } from '../command.ts';
import { commandContext, withApp } from '../open-app.ts';
import { printJson, printTable } from '../print.ts';

const BY: Option = { value: 'EMAIL', help: 'The account that signs.' };
const REFERENCE: Option = { value: 'TEXT', help: 'Where the signature or decision is kept: a number or an address.' };

export const POLICY_COMMANDS: readonly Command[] = [
  {
    name: 'policy list',
    summary: 'Policies with number, version in force, approval, last review, and what waits for approval.',
    usage: '',
    example: 'npx credenza policy list',
    positionals: [0, 0],
    options: { retired: { help: 'Also retired ones.' }, json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const { model, today } = await commandContext(app, 'policy list');
        const found = await listPolicies(app.db, model, today, call.isSet('retired'));
        if (call.isSet('json')) printJson(call.io, found);
        else
          printTable(
            call.io,
            ['name', 'number', 'product', 'in force', 'approved by', 'replaces', 'reviewed', 'retired', 'waiting'],
            found.map((policy) => [
              policy.name,
              policy.number ?? '',
              policy.product ?? '',
              policy.version ?? 'none',
              policy.approvedBy ?? '',
              policy.replaces ?? '',
              policy.reviewedAt?.slice(0, 10) ?? '',
              policy.retiredOn ?? '',
              policy.waiting.join(', '),
            ]),
          );
      }),
  },
  {
    name: 'policy show',
    summary: 'The record of a policy: its versions with their approval, and its reviews.',
    usage: 'NAME',
    example: 'npx credenza policy show visit-cadence',
    positionals: [1, 1],
    options: { json: JSON_OPTION },
    run: (call) => withApp(call, (app) => show(call, app)),
  },
  {
    name: 'policy what-if',
    summary: 'What another version of a policy would decide for the records as they are today, approved or not.',
    usage: 'NAME VERSION',
    example: 'npx credenza policy what-if visit-cadence 2027-01 --from 2021-03',
    positionals: [2, 2],
    options: {
      from: { value: 'VERSION', help: 'The version to begin from (default: the one in force).' },
      'from-metadata': { value: 'NUMBER', help: 'Takes that version as this version of the metadata had it.' },
      filter: { value: 'CONDITION', help: 'Only records that fit.' },
      json: JSON_OPTION,
    },
    run: (call) => withApp(call, (app) => tryVersion(call, app)),
  },
  {
    name: 'policy approve',
    summary: 'Approves a version of a policy with the content that it has now; from then on it is in force.',
    usage: 'NAME VERSION',
    example: 'npx credenza policy approve visit-cadence 2027-01 --by ada@plan.example --reference GRC-2041',
    positionals: [2, 2],
    options: { by: BY, reference: REFERENCE, hash: { value: 'HASH', help: 'Only if its content still has this fingerprint.' } },
    run: (call) =>
      withApp(call, async (app) => {
        const [name = '', version = ''] = call.positionals;
        const hash = call.option('hash');
        const wish = { version, reference: call.option('reference') ?? '', ...(hash === null ? {} : { hash }) };
        await approvePolicy(app.store, await signerContext(call, app, 'policy approve'), name, wish);
        call.io.out(`Version ${version} of ${name} is approved.\n`);
      }),
  },
  {
    name: 'policy review',
    summary: 'Notes that a policy was reviewed, also when nothing is changed.',
    usage: 'NAME',
    example: 'npx credenza policy review visit-cadence --by ada@plan.example --note "No revisions"',
    positionals: [1, 1],
    options: { by: BY, note: { value: 'TEXT', help: 'What came of it.' } },
    run: (call) =>
      withApp(call, async (app) => reviewPolicy(app.db, await signerContext(call, app, 'policy review'), call.positionals[0] ?? '', call.option('note') ?? '')),
  },
  {
    name: 'policy retire',
    summary: 'Takes a policy out of force from a day on; without a day, takes that back.',
    usage: 'NAME',
    example: 'npx credenza policy retire visit-planning --on 2027-12-31 --by ada@plan.example --reference GRC-2041',
    positionals: [1, 1],
    options: { on: { value: 'DAY', help: 'The first day without it.' }, by: BY, reference: REFERENCE },
    run: (call) =>
      withApp(call, async (app) => {
        const on = call.option('on');
        if (on !== null && parseDate(on) === null) throw new UsageError(`"${on}" is no day.`);
        const context = await signerContext(call, app, 'policy retire');
        await retirePolicy(app.store, context, call.positionals[0] ?? '', on, call.option('reference') ?? '');
      }),
  },
];

async function tryVersion(call: Call, app: App): Promise<void> {
  const [name = '', to = ''] = call.positionals;
  const [from, filter, earlier] = [call.option('from'), call.option('filter'), call.option('from-metadata')];
  if (earlier !== null && !/^\d{1,9}$/.test(earlier)) throw new UsageError(`"${earlier}" is no version of the metadata.`);
  const context = await commandContext(app, 'policy what-if');
  const file = earlier === null ? null : await policyAsOf(app.store, context.model, name, Number(earlier));
  const wish = { to, ...(from === null ? {} : { from }), ...(filter === null ? {} : { filter }), ...(file === null ? {} : { file }) };
  const found = await whatIf(app.db, context, name, wish);
  if (call.isSet('json')) {
    printJson(call.io, found);
    return;
  }
  call.io.out(`${String(found.changed)} of ${String(found.records)} records of ${found.object} get other results by ${found.to} than by ${found.from}.\n`);
  printTable(
    call.io,
    ['records', 'from row', 'to row', 'other results'],
    found.groups.map((group) => [group.records, group.from ?? '', group.to ?? '', group.results.join(', ')]),
  );
}

async function show(call: Call, app: App): Promise<void> {
  const { model, today } = await commandContext(app, 'policy show');
  const policy = await readPolicy(app.db, model, today, call.positionals[0] ?? '');
  if (call.isSet('json')) {
    printJson(call.io, policy);
    return;
  }
  call.io.out(`${policy.label ?? policy.name}${policy.retiredOn === null ? '' : `, retired from ${policy.retiredOn}`}\n`);
  printTable(
    call.io,
    ['version', 'from', 'through', 'approved by', 'on', 'reference', 'hash', 'withheld'],
    policy.versions.map((entry) => [
      entry.version,
      entry.effectiveFrom,
      entry.effectiveThrough ?? '',
      entry.approvedBy ?? '',
      entry.approvedAt?.slice(0, 10) ?? '',
      entry.reference ?? '',
      entry.hash.slice(0, 12),
      entry.withheld ?? '',
    ]),
  );
  for (const review of policy.reviews) call.io.out(`${review.at.slice(0, 10)}  reviewed by ${review.reviewer}: ${review.note}\n`);
}

/** A call in the name of the account that signs: the approval is its signature, so its own rights count. */
async function signerContext(call: Call, app: App, command: string): Promise<CallContext> {
  const email = call.option('by');
  if (email === null) throw new UsageError('Say which account signs: --by EMAIL.');
  const user = await userByEmail(app.db, normaliseEmail(email));
  if (user?.status !== 'active') throw new AppError('not_found', `There is no active account ${email}.`);
  return app.contextFor(
    { kind: 'user', userId: user.id, permissionSets: user.permissionSets, email: user.email, name: user.name },
    { kind: 'command', name: command },
  );
}
