import { principalKey, readRights } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import type { Model } from '../../platform/model/types.ts';
import { listObjects } from '../api/describe.ts';
import { accountPaths } from './accounts.ts';
import { deliveryPaths } from './deliveries.ts';
import { effectPaths } from './effects.ts';
import { formPaths } from './forms.ts';
import { generalPaths } from './general.ts';
import { metadataPaths } from './metadata.ts';
import { OURS, problemResponses, type Json } from './parts.ts';
import { policyPaths } from './policies.ts';
import { webhookPaths } from './webhooks.ts';
import { recordPaths, recordSchemas } from './records.ts';
import { exportPaths, importPaths } from './imports.ts';
import { reportPaths } from './reports.ts';
import { commonSchemas } from './schemas.ts';
import { members } from './typescript.ts';

/** What the document depends on besides the caller and the Model. */
export interface DocumentFacts {
  readonly publicUrl: string;
  /** False: captured mail can be read. */
  readonly sendsMail: boolean;
}

const documents = new WeakMap<Model, Map<string, Json>>();

/** OpenAPI 3.1 of exactly what this caller may call, made from the Model in force; kept as long as that is in force. */
export function openApiOf(context: CallContext, facts: DocumentFacts): Json {
  const known = documents.get(context.model) ?? new Map<string, Json>();
  documents.set(context.model, known);
  const key = `${principalKey(context.principal)} ${facts.publicUrl} ${String(facts.sendsMail)}`;
  const found = known.get(key) ?? settleNames(makeDocument(context, facts), context.model);
  known.set(key, found);
  return found;
}

const TAGS: Readonly<Record<string, string>> = {
  General: 'What there is, search across it, files.',
  Accounts: 'Signing in, API tokens, invitations, accounts.',
  Reports: 'Reports, what rules did, captured mail.',
  Metadata: 'What is in force, plans of changes, changes while people work, the way back.',
  Policies: 'Policies with their versions, who approved them, reviews; what they decide.',
  Webhooks: 'Addresses that events are sent to, and what was sent there.',
  Forms: 'Generated forms: drafts, submission, signing.',
};

function makeDocument(context: CallContext, facts: DocumentFacts): Json {
  const objects = listObjects(context).map(({ name }) => readRights(context, name));
  const paths: Json = {
    ...accountPaths(context),
    ...generalPaths(context),
    ...importPaths(context),
    ...exportPaths(context),
    ...reportPaths(context, facts.sendsMail),
    ...effectPaths(context),
    ...deliveryPaths(context),
    ...policyPaths(context),
    ...webhookPaths(context),
    ...formPaths(context),
    ...metadataPaths(context),
    ...Object.fromEntries(objects.flatMap((rights) => Object.entries(recordPaths(rights)))),
  };
  const schemas = { ...commonSchemas(), ...Object.fromEntries(objects.flatMap((rights) => Object.entries(recordSchemas(context, rights)))) };
  const responses = named('responses', problemResponses(), paths);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Credenza',
      version: `v1 (model ${String(context.model.version)})`,
      description: 'Records of the plan. Every error is a problem document (RFC 9457).',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: facts.publicUrl }],
    security: [{ bearer: [] }, { session: [] }],
    tags: [
      ...Object.entries(TAGS).map(([name, description]) => ({ name, description })),
      ...objects.map(({ object }) => ({ name: object.name, description: object.description ?? object.plural })),
    ],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API token.' },
        session: { type: 'apiKey', in: 'cookie', name: 'credenza_session', description: 'The cookie of a session; writes also need X-CSRF-Token.' },
      },
      responses,
      schemas: named('schemas', schemas, [paths, responses]),
    },
  };
}

/** Only the components that the document names, directly or through another one. */
function named(kind: string, all: Json, from: unknown): Json {
  const found = new Set<string>();
  const look = (part: unknown): void => {
    for (const match of JSON.stringify(part).matchAll(new RegExp(`"#/components/${kind}/([^"/]+)`, 'g'))) {
      const name = match[1] ?? '';
      if (found.has(name)) continue;
      found.add(name);
      look(all[name] ?? {});
    }
  };
  look(from);
  return Object.fromEntries(Object.entries(all).filter(([name]) => found.has(name)));
}

/** Gives components and operations of ours names that no object and no earlier operation has. */
function settleNames(document: Json, model: Model): Json {
  const nameOf = (ours: string): string => (model.objects.has(ours) ? nameOf(`${ours}_`) : ours);
  const components = members(document['components']);
  const schemas = Object.entries(members(components['schemas'])).map(([name, schema]): readonly [string, unknown] => [
    name.startsWith(OURS) ? nameOf(name.slice(OURS.length)) : name,
    schema,
  ]);
  const text = JSON.stringify({ ...document, components: { ...components, schemas: Object.fromEntries<unknown>(schemas) } });
  const used = new Set<string>();
  const freeId = (id: string): string => (used.has(id) ? freeId(`${id}_`) : id);
  const settled: unknown = JSON.parse(
    text.replaceAll(/"#\/components\/schemas\/~([^"/]+)/g, (_, name: string) => `"#/components/schemas/${nameOf(name)}`),
    (key, value: unknown) => {
      if (key !== 'operationId' || typeof value !== 'string') return value;
      const id = freeId(value);
      used.add(id);
      return id;
    },
  );
  return members(settled);
}
