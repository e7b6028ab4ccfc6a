import type { Knex } from 'knex';
import { freezeReport } from '../analytics/frozen.sql.ts';
import type { CallContext } from '../access/types.ts';
import type { Documents } from '../documents/documents.ts';
import { AppError } from '../errors.ts';
import { fault } from '../fault.ts';
import type { FileStore } from '../files/types.ts';
import { revokePortalLinksOf } from '../identity/portal-link.sql.ts';
import { createPortalLink } from '../identity/portal-links.ts';
import type { RandomBytes } from '../ids.ts';
import type { Log } from '../log.ts';
import type { DeliverySummary } from '../mail/mail.sql.ts';
import type { Reader } from '../query/reader.ts';
import type { RecordEngine } from '../record/types.ts';
import { onModelInForce } from '../schema/processes.sql.ts';
import { makeEvaluator } from './evaluate.ts';
import { mailData } from './mail-data.ts';
import { loadRows } from './records.sql.ts';
import type { RuleAction, RuleRecord } from './types.ts';

export interface ActionDeps {
  readonly engine: RecordEngine;
  readonly reader: Reader;
  readonly files: FileStore;
  readonly documents: Documents;
  readonly random: RandomBytes;
  readonly publicUrl: () => string;
}

type Input = Readonly<Record<string, unknown>>;

/** The actions of the platform that rules may name; modules add their own. */
export function platformActions(deps: ActionDeps): ReadonlyMap<string, RuleAction> {
  return new Map<string, RuleAction>([
    ['portal-link', (tx, context, input, record) => portalLink(deps, tx, context, input, aRecord(record, 'portal-link'))],
    ['revoke-portal-links', (tx, context, _input, record) => revokeLinks(tx, context, aRecord(record, 'revoke-portal-links'))],
    ['render-document', takingLong((tx, context, input, record) => renderDocument(deps, tx, context, input, aRecord(record, 'render-document')))],
    ['freeze-report', takingLong((tx, context, input) => freeze(deps, tx, context, input))],
  ]);
}

function takingLong(action: RuleAction): RuleAction {
  return Object.assign(action, { takesLong: true as const });
}

/** A personal link to the record; `link` is for the mails of the same run and stored nowhere. */
async function portalLink(deps: ActionDeps, tx: Knex.Transaction, context: CallContext, input: Input, record: RuleRecord): Promise<Input> {
  const made = await createPortalLink(
    tx,
    context,
    {
      object: record.object,
      recordId: record.id,
      purpose: text(input, 'purpose', 'portal-link'),
      permissionSet: text(input, 'permissionSet', 'portal-link'),
      days: count(input, 'days', 'portal-link'),
    },
    deps.random,
  );
  return { link: `${deps.publicUrl()}/portal/start/${made.secret}`, linkExpiresAt: made.expiresAt };
}

/** Withdraws all personal links to the record. */
async function revokeLinks(tx: Knex.Transaction, context: CallContext, record: RuleRecord): Promise<void> {
  await revokePortalLinksOf(tx, record, context.now);
}

/** Renders a template to a PDF and keeps file and hash in two fields of the record. */
async function renderDocument(deps: ActionDeps, tx: Knex.Transaction, context: CallContext, input: Input, record: RuleRecord): Promise<void> {
  const template = text(input, 'template', 'render-document');
  const data = await mailData(tx, context, template, record, {}, new Map(), makeEvaluator(tx, context));
  const rendered = await deps.documents.renderDocument({ template, data: { ...data, this: data }, model: context.model, now: context.now });
  const by = context.principal.kind === 'system' ? `system:${context.principal.name}` : context.principal.kind;
  const file = { name: `${rendered.title}.pdf`, mediaType: 'application/pdf', bytes: rendered.pdf, by, at: context.now };
  const stored = await deps.files.put(tx, file);
  fault('document.after_file');
  const values = { [text(input, 'fileField', 'render-document')]: stored.id, [text(input, 'hashField', 'render-document')]: rendered.sha256 };
  await deps.engine.write(tx, context, record.object, [{ kind: 'update', id: record.id, values }], { asSystem: true });
}

/** Publishes a report; what is published already stays as it is. */
async function freeze(deps: ActionDeps, tx: Knex.Transaction, context: CallContext, input: Input): Promise<void> {
  const named = typeof input['period'] === 'string' ? input['period'] : undefined;
  await freezeReport(deps.reader, tx, context, text(input, 'report', 'freeze-report'), named);
}

export interface DeliveryTransitionDeps {
  readonly engine: RecordEngine;
  readonly log: Log;
  context(db: Knex): Promise<CallContext>;
}

/** The transition by which a record hears what became of the mail about it. An address that is none bounces without having been tried. */
function transitionOf({ state, attempt }: DeliverySummary): string {
  return state === 'bounced' || (state === 'failed' && attempt === 0) ? 'bounce' : `mail-${state}`;
}

/**
 * Tells the record that a mail was about how the mail ended: `bounce`, or `mail-failed`, `mail-suppressed`, `mail-unknown`, and
 * `mail-sent` or `mail-queued` when a person has settled it so. A transition that accepts `mailState` and `mailReason` gets them.
 */
export function makeDeliveryOutcome(deps: DeliveryTransitionDeps) {
  return (tx: Knex.Transaction, delivery: DeliverySummary, call?: CallContext): Promise<void> =>
    tellRecord(deps, tx, delivery, transitionOf(delivery), { mailState: delivery.state, mailReason: delivery.lastError }, call);
}

/** Tells the record that a mail was about what its reader did. */
export function makeDeliveryTransition(deps: DeliveryTransitionDeps, transition: 'unsubscribe') {
  return (tx: Knex.Transaction, delivery: DeliverySummary, call?: CallContext): Promise<void> => tellRecord(deps, tx, delivery, transition, {}, call);
}

/**
 * If the path of the record has a transition of this name that begins where the record stands, it is taken. A record that
 * cannot take it (a guard, a check that came later) keeps its state and the log says so: what happened to the mail stands all
 * the same, and an address that was to be left alone is left alone.
 */
async function tellRecord(
  deps: DeliveryTransitionDeps,
  tx: Knex.Transaction,
  { about }: DeliverySummary,
  transition: string,
  told: Input,
  call: CallContext | undefined,
): Promise<void> {
  if (about === null) return;
  const tell = async (context: CallContext): Promise<void> => {
    const object = context.model.objects.get(about.object);
    const found = object?.path?.transitions.get(transition);
    if (object?.path === null || object?.path === undefined || found === undefined) return;
    const row = (await loadRows(tx, context.model, object.name, [about.id])).get(about.id);
    const state = row?.[object.path.field];
    if (typeof state !== 'string' || !found.from.includes(state)) return;
    const values = Object.fromEntries(Object.entries(told).filter(([name]) => found.accepts.includes(name)));
    const item = { kind: 'transition', id: about.id, transition, values } as const;
    for (const outcome of await deps.engine.write(tx, context, object.name, [item], { mode: 'each', asSystem: true })) {
      if (outcome.ok) continue;
      const rules = outcome.errors.map((entry) => entry.rule ?? entry.code);
      deps.log.warn({ object: object.name, record: item.id, transition, code: outcome.code, rules }, 'A record could not be told what became of its mail.');
    }
  };
  // A caller who gives the call does all of it again when the Model was replaced; here only the record is told again.
  await (call === undefined ? onModelInForce(async () => tell(await deps.context(tx))) : tell(call));
}

function aRecord(record: RuleRecord | null, action: string): RuleRecord {
  if (record === null) throw new AppError('rule_failed', `The action ${action} needs a record.`);
  return record;
}

function text(input: Input, name: string, action: string): string {
  const value = input[name];
  if (typeof value !== 'string' || value === '') throw new AppError('rule_failed', `The action ${action} needs "${name}" as text.`);
  return value;
}

function count(input: Input, name: string, action: string): number {
  const value = Number(input[name]);
  if (!Number.isInteger(value) || value < 1) throw new AppError('rule_failed', `The action ${action} needs "${name}" as a whole number above 0.`);
  return value;
}
