import { PERIOD_VARIABLES } from '../calendar/periods.ts';
import type { ExprType } from '../expression/types.ts';
import { metadataPointer, pointerToken } from '../metadata/kinds.ts';
import { suggestion } from '../metadata/suggest.ts';
import type { Json } from '../metadata/scalars.ts';
import type { ImportMapFile, MailboxFile, PermissionFile, PolicyFile, ReportFile, RuleFile } from '../metadata/types.ts';
import { CALLER_VARIABLES } from './check-at.ts';
import { fieldAt, objectAt, transitionAt, type CheckScope } from './check-scope.ts';
import { policyType } from './expr-schema.ts';
import { FORMATS } from './formats.ts';

const CONDITION = { kind: 'boolean' } as const;
const TEXT = { kind: 'text' } as const;
const NUMBER = { kind: 'number' } as const;
/** The cells of the line that is read. */
const IMPORT_VARIABLES: Readonly<Record<string, ExprType>> = { row: { kind: 'json' } };

/** What the values of a mailbox may name: the message as it came in. */
export const MAIL_TYPE: ExprType = {
  kind: 'struct',
  members: {
    from: TEXT,
    fromName: TEXT,
    to: TEXT,
    subject: TEXT,
    text: TEXT,
    html: TEXT,
    receivedAt: { kind: 'instant' },
    messageId: TEXT,
    inReplyTo: TEXT,
    isAutoReply: CONDITION,
    /** Whether its sender gets the acknowledgement of the mailbox; false in a thread that is there. */
    isAcknowledged: CONDITION,
    /** Files that were refused, with the reasons; null when there are none. */
    attachmentNote: TEXT,
  },
};

/** What the values of a mailbox's attachment may name besides: one file that came with the message. */
export const ATTACHMENT_TYPE: ExprType = {
  kind: 'struct',
  members: {
    name: TEXT,
    mediaType: TEXT,
    /** Bytes. */
    size: { kind: 'number' },
    /** Why it was refused; null when it was kept. */
    note: TEXT,
  },
};

/** Names that the values of each record of a mailbox may use. */
export const MAILBOX_VARIABLES = {
  thread: { mail: MAIL_TYPE },
  message: { mail: MAIL_TYPE, thread: { kind: 'uuid' } },
  attachment: { mail: MAIL_TYPE, thread: { kind: 'uuid' }, attachment: ATTACHMENT_TYPE },
} as const satisfies Readonly<Record<string, Readonly<Record<string, ExprType>>>>;

/** Policies, permission sets, mailboxes, import maps, reports, and the templates that rules name. */
export function checkBehaviour(scope: CheckScope): void {
  const { model } = scope;
  for (const policy of model.policies.values()) checkPolicy(scope, policy);
  for (const permission of model.permissions.values()) checkPermission(scope, permission);
  for (const mailbox of model.mailboxes.values()) checkMailbox(scope, mailbox);
  for (const map of model.imports.values()) checkImport(scope, map);
  for (const report of model.reports.values()) checkReport(scope, report);
  for (const rule of model.rules.values()) checkRuleTemplates(scope, rule);
}

function templateAt(scope: CheckScope, name: string, pointer: string): void {
  if (!scope.model.templates.has(name))
    scope.errors.push({ pointer, code: 'unknown_template', detail: `There is no template "${name}".`, ...suggestion(name, scope.model.templates.keys()) });
}

/** Rules themselves are checked by the automation; only what it does not look at is checked here. */
function checkRuleTemplates(scope: CheckScope, rule: RuleFile): void {
  rule.do.forEach((step, index) => {
    const at = (member: string): string => metadataPointer('rules', rule.name, `/do/${String(index)}/${member}`);
    if (step.step !== 'send-mail') return;
    templateAt(scope, step.template, at('template'));
    const { mailbox } = step;
    if (mailbox !== undefined && !scope.model.mailboxes.has(mailbox)) {
      scope.errors.push({
        pointer: at('mailbox'),
        code: 'unknown_mailbox',
        detail: `There is no mailbox "${mailbox}".`,
        ...suggestion(mailbox, scope.model.mailboxes.keys()),
      });
    }
  });
}

function checkPolicy(scope: CheckScope, policy: PolicyFile): void {
  const at = (rest: string): string => metadataPointer('policies', policy.name, rest);
  const object = policy.object === undefined ? null : objectAt(scope, policy.object, at('/object'));
  if (policy.object !== undefined && object === null) return;
  const keys = Object.fromEntries(Object.entries(policy.keys ?? {}).map(([name, type]) => [name, policyType(type)]));
  const seen = new Set<string>();
  policy.versions.forEach((version, index) => {
    const base = `/versions/${String(index)}`;
    const first = version.effective.length === 7 ? `${version.effective}-01` : version.effective;
    if (FORMATS['date']?.(first) !== true)
      scope.errors.push({ pointer: at(`${base}/effective`), code: 'not_a_date', detail: `${version.effective} is no day or month that exists.` });
    if (seen.has(first))
      scope.errors.push({
        pointer: at(`${base}/effective`),
        code: 'duplicate_version',
        detail: `Two versions begin on ${first}.`,
        fix: 'Give them different days, or make them one.',
      });
    seen.add(first);
    version.rows.forEach((row, place) => {
      scope.checkAt(row.when, policy.object ?? null, at(`${base}/rows/${String(place)}/when`), CONDITION, keys);
      checkResults(scope, policy, row.then, (name) => at(`${base}/rows/${String(place)}/then${pointerToken(name)}`));
    });
  });
}

function checkResults(scope: CheckScope, policy: PolicyFile, then: Readonly<Record<string, Json>>, at: (name: string) => string): void {
  for (const [name, value] of Object.entries(then)) {
    const type = policy.results[name];
    if (type === undefined) {
      scope.errors.push({
        pointer: at(name),
        code: 'unknown_result',
        detail: `The policy gives no "${name}".`,
        ...suggestion(name, Object.keys(policy.results)),
      });
    } else if (!isResult(value, type)) {
      scope.errors.push({
        pointer: at(name),
        code: 'wrong_type',
        detail: `${JSON.stringify(value)} is not a ${type.replace('?', '')}.`,
        ...(value === null ? { fix: `Declare it as "${type}?" if it may be missing.` } : {}),
      });
    }
  }
  for (const [name, type] of Object.entries(policy.results)) {
    if (!(name in then) && !type.endsWith('?'))
      scope.errors.push({ pointer: at(name), code: 'missing_result', detail: `The row gives no "${name}".`, fix: `Add it, or declare it as "${type}?".` });
  }
}

function isResult(value: Json, type: string): boolean {
  if (value === null) return type.endsWith('?');
  switch (type.replace('?', '')) {
    case 'duration':
      return typeof value === 'string' && FORMATS['duration']?.(value) === true;
    case 'number':
      return typeof value === 'number' || (typeof value === 'string' && FORMATS['decimal']?.(value) === true);
    case 'text':
      return typeof value === 'string';
    case 'boolean':
      return typeof value === 'boolean';
    default:
      return Array.isArray(value);
  }
}

function checkPermission(scope: CheckScope, permission: PermissionFile): void {
  const at = (rest: string): string => metadataPointer('permissions', permission.name, rest);
  for (const [name, grant] of Object.entries(permission.objects ?? {})) {
    const base = `/objects${pointerToken(name)}`;
    const object = objectAt(scope, name, at(base));
    if (object === null) continue;
    for (const right of ['read', 'update', 'delete'] as const) {
      const access = grant[right];
      if (typeof access === 'object') scope.checkAt(access.where, name, at(`${base}/${right}/where`), CONDITION, CALLER_VARIABLES);
    }
    for (const list of ['fields', 'writes'] as const) {
      grant[list]?.forEach((field, index) => {
        if (field !== '*') fieldAt(scope, object, field, at(`${base}/${list}/${String(index)}`));
      });
    }
    grant.transitions?.forEach((transition, index) => {
      if (transition !== '*') transitionAt(scope, object, transition, at(`${base}/transitions/${String(index)}`));
    });
  }
}

function checkMailbox(scope: CheckScope, mailbox: MailboxFile): void {
  const at = (rest: string): string => metadataPointer('mailboxes', mailbox.name, rest);
  if (mailbox.acknowledge !== undefined) {
    templateAt(scope, mailbox.acknowledge.template, at('/acknowledge/template'));
    if (mailbox.acknowledge.atMost !== undefined) scope.checkAt(mailbox.acknowledge.atMost, null, at('/acknowledge/atMost'), NUMBER);
  }
  if (mailbox.retention !== undefined) scope.checkAt(mailbox.retention.days, null, at('/retention/days'), NUMBER);
  for (const part of ['thread', 'message', 'attachment'] as const) {
    const created = mailbox.creates[part];
    if (created === undefined) continue;
    const object = objectAt(scope, created.object, at(`/creates/${part}/object`));
    if (object === null) continue;
    if ('reference' in created) fieldAt(scope, object, created.reference, at(`/creates/${part}/reference`));
    if ('file' in created) {
      fieldAt(scope, object, created.file, at(`/creates/${part}/file`));
      const field = object.fields.get(created.file);
      if (field !== undefined && field.kind !== 'file')
        scope.errors.push({ pointer: at(`/creates/${part}/file`), code: 'wrong_type', detail: `${created.object}.${created.file} does not hold a file.` });
    }
    for (const [name, text] of Object.entries(created.values)) {
      const pointer = at(`/creates/${part}/values${pointerToken(name)}`);
      fieldAt(scope, object, name, pointer);
      scope.checkAt(text, null, pointer, null, MAILBOX_VARIABLES[part]);
    }
  }
}

function checkImport(scope: CheckScope, map: ImportMapFile): void {
  for (const [name, target] of Object.entries(map.targets)) {
    const at = (rest: string): string => metadataPointer('imports', map.name, `/targets${pointerToken(name)}${rest}`);
    const object = objectAt(scope, name, at(''));
    if (object === null) continue;
    target.key.forEach((field, index) => {
      fieldAt(scope, object, field, at(`/key/${String(index)}`));
    });
    target.createOnly?.forEach((field, index) => {
      fieldAt(scope, object, field, at(`/createOnly/${String(index)}`));
    });
    target.optionalReferences?.forEach((field, index) => {
      const pointer = at(`/optionalReferences/${String(index)}`);
      const kind = object.fields.get(field)?.kind;
      if (kind === undefined) fieldAt(scope, object, field, pointer);
      else if (kind !== 'reference')
        scope.errors.push({ pointer, code: 'not_a_reference', detail: `${object.name}.${field} is not a reference to one object.` });
    });
    for (const field of Object.keys(target.fields)) fieldAt(scope, object, field, at(`/fields${pointerToken(field)}`));
    if (!scope.model.functions.has('col')) continue;
    for (const [field, text] of Object.entries(target.fields)) scope.checkAt(text, null, at(`/fields${pointerToken(field)}`), null, IMPORT_VARIABLES);
    target.reject?.forEach((entry, index) => scope.checkAt(entry.when, null, at(`/reject/${String(index)}/when`), CONDITION, IMPORT_VARIABLES));
  }
}

function checkReport(scope: CheckScope, report: ReportFile): void {
  report.stages?.forEach((stage, index) => {
    const at = (rest: string): string => metadataPointer('reports', report.name, `/stages/${String(index)}${rest}`);
    const object = objectAt(scope, stage.object, at('/object'));
    if (object === null) return;
    scope.checkAt(stage.filter, object.name, at('/filter'), CONDITION, report.period === undefined ? {} : PERIOD_VARIABLES);
    for (const member of ['since', 'until'] as const) {
      const field = stage[member];
      if (field !== undefined && object.fields.has(field) === false && /^[a-z]\w*$/i.test(field)) fieldAt(scope, object, field, at(`/${member}`));
    }
    report.breakdown?.by.forEach((field, place) => {
      fieldAt(scope, object, field, metadataPointer('reports', report.name, `/breakdown/by/${String(place)}`));
    });
  });
  const labels = (report.stages ?? []).map((stage) => stage.label);
  for (const member of ['stage', 'reachedBy'] as const) {
    const label = report.breakdown?.target?.[member];
    if (label !== undefined && !labels.includes(label)) {
      const pointer = metadataPointer('reports', report.name, `/breakdown/target/${member}`);
      scope.errors.push({ pointer, code: 'unknown', detail: `The report has no stage "${label}". Its stages: ${labels.join(', ')}.` });
    }
  }
}
