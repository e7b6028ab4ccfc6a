import type { RandomBytes } from '../../platform/ids.ts';
import { inTransaction } from '../../platform/db.ts';
import type { Worker } from '../../platform/jobs/worker.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { makeHands, type DemoHands, type DemoHost, type Values } from './demo-host.ts';
import { openNetwork } from './demo-steps.ts';
import { correspond } from './inquiries.ts';
import { makeJoining } from './joining.ts';
import { importLeads } from './leads.ts';
import { keepLicenses, licenseOf } from './licensing.ts';
import { readingMail } from './mail-reader.ts';
import { syntheticProviders } from './providers.ts';
import { recruit } from './recruiting.ts';
import { visitProviders } from './staff.ts';
import { makeChance, makeCountingWorker, makeDiary, withPeople, type Chance } from './working-day.ts';

const BATCH = 250;

/**
 * Adds invented active providers with their licenses, as many leads, and everybody who deals with them: relations who visit
 * every provider as planned, campaigns that some of the leads join by, providers who write to the plan, and credentialing
 * who keep the licenses. For simulations only; the same randomness gives the same lives.
 */
export async function peopleNetwork(host: DemoHost, random: RandomBytes, providers: number): Promise<Pick<Worker, 'drain'>> {
  const worker = makeCountingWorker(host.worker);
  const hands = readingMail(await makeHands({ ...host, worker }, { name: 'simulate', prefix: 'simulated.', random }));
  const system = await hands.system();
  const chance = makeChance(random);
  const diary = makeDiary(system.today);
  const network = await openNetwork(hands, 'Simulated HMO');
  await importLeads(hands, { rows: providers, random });
  const made = [...syntheticProviders({ count: providers, random, activatedOn: system.today, relationsManager: hands.id('relations') })];
  await addProviders(hands, system, made, chance);
  recruit({ hands, diary, chance, network, join: makeJoining(hands, diary) });
  keepLicenses(hands, diary, chance);
  const occupations = [
    diary,
    visitProviders({ ...host, random, context: () => hands.context('relations') }),
    ...correspond({ hands, diary, chance, addresses: made.map((values) => String(values['email'])) }),
  ];
  return withPeople(worker, occupations, () => hands.system());
}

async function addProviders({ host }: DemoHands, system: CallContext, made: readonly Values[], chance: Chance): Promise<void> {
  const create = async (object: string, records: readonly Values[]): Promise<readonly string[]> => {
    const ids: string[] = [];
    for (let at = 0; at < records.length; at += BATCH) {
      const items = records.slice(at, at + BATCH).map((values) => ({ kind: 'create' as const, values }));
      for (const outcome of await inTransaction(host.db, (tx) => host.engine.write(tx, system, object, items, { asSystem: true })))
        if (outcome.ok) ids.push(outcome.id);
    }
    return ids;
  };
  const ids = await create('Provider', made);
  const licenses = ids.flatMap((id, index) => (made[index]?.['entityType'] === 'individual' ? [licenseOf(id, 100_001 + index, system.today, chance)] : []));
  await create('License', licenses);
}
