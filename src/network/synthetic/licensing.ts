import type { CallContext } from '../../platform/access/types.ts';
import { inTransaction } from '../../platform/db.ts';
import type { RecordData } from '../../platform/query/types.ts';
import type { WriteItem } from '../../platform/record/types.ts';
import type { DemoHands, Values } from './demo-host.ts';
import { dayAfter, type Chance, type Diary } from './working-day.ts';

/** Licenses are looked after once a week, from this many days before they expire; each is renewed with even chances that week. */
const LOOK_AHEAD = 45;
const RENEWED_DAYS = 730;
const PAGE = 500;

/** Values of the license of an active provider, which expires within the next three years. */
export function licenseOf(provider: string, number: number, today: string, chance: Chance): Values {
  return { provider, type: 'physician', state: 'MA', number: `L${String(number)}`, expiresOn: dayAfter(today, 75 + chance.number(1000)), verifiedOn: today };
}

/** Credentialing renews the licenses of active providers before they expire, and finishes the tasks that asked for it. */
export function keepLicenses(hands: DemoHands, diary: Diary, chance: Chance): void {
  const look = async (): Promise<void> => {
    diary.plan(7, look);
    const call = await hands.context('credentialing');
    const renewed = await renew(hands, call, chance);
    if (renewed.length > 0) await finishTasks(hands, call, renewed);
  };
  diary.plan(7, look);
}

async function renew(hands: DemoHands, call: CallContext, chance: Chance): Promise<readonly RecordData[]> {
  const filter = `status == 'active' && provider.status == 'active' && expiresOn <= date('${dayAfter(call.today, LOOK_AHEAD)}')`;
  const query = { object: 'License', filter, fields: ['provider', 'expiresOn'], sort: ['expiresOn', 'number'], limit: PAGE };
  const { data } = await hands.host.reader.list(hands.host.db, call, query);
  const chosen = data.filter((license) => chance.percent(50) || String(license['expiresOn']) <= dayAfter(call.today, 10));
  const items = chosen.map((license): WriteItem => {
    const values = { expiresOn: dayAfter(String(license['expiresOn']), RENEWED_DAYS), verifiedOn: call.today };
    return { kind: 'update', id: license.id, version: license.version, values };
  });
  if (items.length > 0) await inTransaction(hands.host.db, (tx) => hands.host.engine.write(tx, call, 'License', items));
  return chosen;
}

async function finishTasks(hands: DemoHands, call: CallContext, renewed: readonly RecordData[]): Promise<void> {
  const keys = new Set(renewed.map((license) => `${String(license['provider'])} ${String(license['expiresOn'])}`));
  const filter = "queue == 'credentialing' && status == 'open' && startsWith(subject, 'License ')";
  const query = { object: 'Task', filter, fields: ['provider', 'dueOn'], sort: ['dueOn'], limit: PAGE };
  const { data } = await hands.host.reader.list(hands.host.db, call, query);
  const items = data
    .filter((task) => keys.has(`${String(task['provider'])} ${String(task['dueOn'])}`))
    .map((task): WriteItem => ({ kind: 'transition', id: task.id, version: task.version, transition: 'finish' }));
  if (items.length > 0) await inTransaction(hands.host.db, (tx) => hands.host.engine.write(tx, call, 'Task', items));
}
