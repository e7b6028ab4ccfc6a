import { Readable } from 'node:stream';
import { syntheticNppes } from '../../../src/network/synthetic/nppes-file.ts';
import { inTransaction } from '../../../src/platform/db.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { createPortalLink } from '../../../src/platform/identity/portal-links.ts';
import { at, startTestApp, type Client, type TestApp } from '../../support/app.ts';

/** The password of every account that `startTestApp` makes. */
export const PASSWORD = 'correct horse battery';

type Values = Readonly<Record<string, unknown>>;

/** A plan with synthetic leads and a member of staff who may do everything, ready for a browser. */
export interface Plan {
  readonly product: TestApp;
  readonly url: string;
  readonly email: string;
  readonly admin: Client;
  create(object: string, values: Values): Promise<string>;
  /** Takes a step with the record's present version. */
  move(object: string, id: string, step: string, values?: Values): Promise<void>;
  get(object: string, id: string): Promise<Values>;
  find(object: string, filter: string): Promise<readonly Values[]>;
  /** A fresh personal link to a form for one record. */
  link(object: string, id: string, form: string): Promise<string>;
  stop(): Promise<void>;
}

function good(answer: Awaited<ReturnType<Client>>, what: string): unknown {
  if (answer.status >= 300) throw new Error(`${what}: ${String(answer.status)} ${answer.text}`);
  return answer.body['data'];
}

function valuesOf(value: unknown): Values {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}

/** Starts the product with so many synthetic leads. */
export async function startPlan(leads: number): Promise<Plan> {
  const product = await startTestApp();
  const { app, url } = product;
  const admin = await product.caller('administrator');
  const system = () => app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
  if (leads > 0) {
    const content = Readable.from([[...syntheticNppes({ rows: leads, random: seededRandom(7) })].join('')]);
    await app.importer.run(app.db, await system(), { object: 'Lead', map: 'nppes', fileName: 'leads.csv', content });
  }
  const get: Plan['get'] = async (object, id) => valuesOf(good(await admin('GET', `/api/v1/records/${object}/${id}`), object));
  return {
    product,
    url,
    admin,
    email: 'user1@plan.example',
    get,
    create: async (object, values) => String(at(good(await admin('POST', `/api/v1/records/${object}`, values), `create ${object}`), 'id')),
    move: async (object, id, step, values = {}) => {
      const version = String((await get(object, id))['version']);
      good(await admin('POST', `/api/v1/records/${object}/${id}/transitions/${step}`, values, { 'if-match': `"v${version}"` }), `${object} ${step}`);
    },
    find: async (object, filter) => {
      const found = good(await admin('POST', `/api/v1/records/${object}/query`, { filter, limit: 200 }), `find ${object}`);
      return Array.isArray(found) ? found.map(valuesOf) : [];
    },
    link: async (object, id, form) => {
      const link = { object, recordId: id, permissionSet: 'provider', purpose: `form:${form}`, days: 30 };
      const context = await system();
      const { secret } = await inTransaction(app.db, (tx) => createPortalLink(tx, context, link));
      return `${url}/portal/start/${secret}`;
    },
    stop: () => product.stop(),
  };
}

/** A running campaign that wrote to three leads; answers the ids of its members. */
export async function runCampaign(plan: Plan): Promise<{ readonly campaign: string; readonly members: readonly string[] }> {
  const campaign = await plan.create('Campaign', { name: 'Autumn', channel: 'email', invitation: 'We would like you to join our network.' });
  const members: string[] = [];
  for (const [index, lead] of (await plan.find('Lead', "npiStatus == 'active' && entityType == 'individual'")).slice(0, 3).entries()) {
    members.push(await plan.create('CampaignMember', { campaign, lead: lead['id'], email: `office${String(index)}@practice.example` }));
  }
  await plan.move('Campaign', campaign, 'start', { startsOn: '2026-01-05' });
  for (const member of members) await plan.move('CampaignMember', member, 'send');
  await plan.product.app.worker.drain();
  return { campaign, members };
}

/** A contract that was sent for signature, with its agreement rendered. */
export async function sendContract(plan: Plan): Promise<string> {
  const network = await plan.create('Network', { name: 'Gold', code: 'GOLD', type: 'hmo', lineOfBusiness: 'commercial' });
  const provider = await plan.create('Provider', {
    npi: '1000000004',
    name: 'Ada Alder',
    entityType: 'individual',
    type: 'pcp',
    firstName: 'Ada',
    lastName: 'Alder',
  });
  const agreed = { priorAuthorization: 'As usual.', reimbursement: 'Monthly.', claims: 'Within 90 days.', rates: 'Schedule A.', disputes: 'In writing.' };
  const signer = { signerName: 'Ada Alder', signerEmail: 'ada@practice.example', effectiveFrom: '2027-01-01' };
  const contract = await plan.create('Contract', { provider, network, type: 'participation', ...agreed, ...signer });
  await plan.move('Contract', contract, 'send');
  await plan.product.app.worker.drain();
  return contract;
}
