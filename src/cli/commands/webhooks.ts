import { readEndpoint } from '../../platform/webhooks/endpoints.ts';
import { DELIVERY_STATES, WEBHOOK_KINDS } from '../../platform/webhooks/types.ts';
import { allEndpoints, deliveriesTo } from '../../platform/webhooks/webhooks.sql.ts';
import { JSON_OPTION, UsageError, type Call, type Command } from '../command.ts';
import { commandContext, withApp } from '../open-app.ts';
import { printJson, printTable } from '../print.ts';

export const WEBHOOK_COMMANDS: readonly Command[] = [
  {
    name: 'webhook list',
    summary: 'Addresses that events are sent to.',
    usage: '',
    example: 'npx credenza webhook list',
    positionals: [0, 0],
    options: { json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const found = await allEndpoints(app.db);
        if (call.isSet('json')) printJson(call.io, found);
        else
          printTable(
            call.io,
            ['id', 'name', 'url', 'objects', 'permission sets', 'state'],
            found.map((one) => [
              one.id,
              one.name,
              one.url,
              one.objects.join(', '),
              one.permissionSets.join(', '),
              one.active ? (one.pausedUntil === null ? 'active' : `no answer, again ${one.pausedUntil}`) : (one.inactiveReason ?? 'not active'),
            ]),
          );
      }),
  },
  {
    name: 'webhook add',
    summary: 'Has events of objects sent to an address, and says the secret that receivers verify with: it is shown this once.',
    usage: 'NAME URL',
    example: 'npx credenza webhook add warehouse https://hooks.plan.example/credenza --objects Provider,Location --sets api-read',
    positionals: [2, 2],
    options: {
      objects: { value: 'NAMES', help: 'Objects, separated by commas.' },
      sets: { value: 'NAMES', help: 'Permission sets: what is sent shows what they show.' },
      kinds: { value: 'KINDS', help: 'created, updated, deleted, restored; default all.' },
    },
    run: (call) =>
      withApp(call, async (app) => {
        const [name = '', url = ''] = call.positionals;
        const kinds = namesOf(call, 'kinds');
        const wrong = kinds.find((kind) => !WEBHOOK_KINDS.some((known) => known === kind));
        if (wrong !== undefined) throw new UsageError(`"${wrong}" is none of ${WEBHOOK_KINDS.join(', ')}.`);
        const chosen = WEBHOOK_KINDS.filter((kind) => kinds.includes(kind));
        const [objects, permissionSets] = [namesOf(call, 'objects'), namesOf(call, 'sets')];
        if (objects.length === 0 || permissionSets.length === 0)
          throw new UsageError('Say of which objects, and by which permission sets: --objects and --sets.');
        const wish = { name, url, objects, permissionSets, ...(chosen.length === 0 ? {} : { kinds: chosen }) };
        const { endpoint, secret } = await app.webhooks.add(app.db, await commandContext(app, 'webhook add'), wish);
        call.io.out(`${endpoint.id}\n${secret}\n`);
      }),
  },
  {
    name: 'webhook remove',
    summary: 'Removes an address that events are sent to, with the list of what was sent.',
    usage: 'ID',
    example: 'npx credenza webhook remove 0190b6f0-0000-7000-8000-000000000001',
    positionals: [1, 1],
    options: {},
    run: (call) => withApp(call, async (app) => app.webhooks.remove(app.db, await commandContext(app, 'webhook remove'), call.positionals[0] ?? '')),
  },
  {
    name: 'webhook deliveries',
    summary: 'What was or is to be sent to an address, newest event first.',
    usage: 'ID',
    example: 'npx credenza webhook deliveries 0190b6f0-0000-7000-8000-000000000001 --state dead',
    positionals: [1, 1],
    options: { state: { value: 'STATE', help: DELIVERY_STATES.join(', ') }, json: JSON_OPTION },
    run: (call) =>
      withApp(call, async (app) => {
        const wanted = call.option('state');
        const state = DELIVERY_STATES.find((entry) => entry === wanted) ?? null;
        if (state === null && wanted !== null) throw new UsageError(`"${wanted}" is none of ${DELIVERY_STATES.join(', ')}.`);
        const { id } = await readEndpoint(app.db, call.positionals[0] ?? '');
        const found = await deliveriesTo(app.db, id, { state, before: null });
        if (call.isSet('json')) printJson(call.io, found);
        else
          printTable(
            call.io,
            ['seq', 'id', 'object', 'record', 'kind', 'state', 'tries', 'status', 'error'],
            found.map((one) => [one.seq, one.id, one.object, one.recordId ?? '', one.kind, one.state, one.tries, one.status ?? '', one.error ?? '']),
          );
      }),
  },
  {
    name: 'webhook replay',
    summary: 'Sends all events from a place on again, with the identifiers they had; or one delivery.',
    usage: 'ID',
    example: 'npx credenza webhook replay 0190b6f0-0000-7000-8000-000000000001 --from 4711',
    positionals: [1, 1],
    options: { from: { value: 'SEQ', help: 'The place of the first event.' }, delivery: { value: 'ID', help: 'Only this delivery.' } },
    run: (call) =>
      withApp(call, async (app) => {
        const context = await commandContext(app, 'webhook replay');
        const [id, from, delivery] = [call.positionals[0] ?? '', call.option('from'), call.option('delivery')];
        if ((from === null) === (delivery === null)) throw new UsageError('Say either --from SEQ or --delivery ID.');
        if (delivery !== null) return app.webhooks.again(app.db, context, id, delivery);
        if (from === null || !/^\d{1,15}$/.test(from)) throw new UsageError('--from is the seq of an event, a whole number.');
        call.io.out(`${String(await app.webhooks.replay(app.db, context, id, Number(from)))} events are sent again.\n`);
      }),
  },
];

function namesOf(call: Call, option: string): readonly string[] {
  return (call.option(option) ?? '').split(',').flatMap((name) => (name.trim() === '' ? [] : [name.trim()]));
}
