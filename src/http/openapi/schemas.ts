import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERRORS } from '../../platform/errors.ts';
import { FIELD_TYPES } from '../../platform/model/field-types.ts';
import { packageRoot } from '../../platform/root.ts';
import { IMPORT_SCHEMAS } from './imports.ts';
import { METADATA_SCHEMAS } from './metadata.ts';
import { ANY, DATE, FLAG, INSTANT, type Json, listOf, MAP, oneOf, orNull, OURS, shape, TEXT, UUID, WHOLE } from './parts.ts';

/** Which version and row of a policy decided, and about which record. */
const POLICY_USE = shape({ policy: TEXT, version: orNull(TEXT), band: orNull(TEXT), record: orNull(UUID) });

/** Shapes of answers that do not depend on the caller's objects. A component stands in the document only when something names it. */
export function commonSchemas(): Json {
  const all = { ...plumbing, ...accounts, ...describing, ...reading, ...reporting, ...filling, ...IMPORT_SCHEMAS, ...METADATA_SCHEMAS, Form: formSchema() };
  return Object.fromEntries(Object.entries(all).map(([name, schema]) => [`${OURS}${name}`, schema]));
}

const DETAIL = shape({ pointer: TEXT, code: TEXT, detail: TEXT, rule: TEXT, fix: TEXT }, ['rule', 'fix']);

const plumbing = {
  Problem: shape(
    {
      type: TEXT,
      title: TEXT,
      status: WHOLE,
      code: { enum: Object.keys(ERRORS) },
      detail: TEXT,
      requestId: TEXT,
      errors: listOf(DETAIL),
      current: { ...orNull(MAP), description: 'With conflict_version: the record as it stands, as far as the caller may read it.' },
      clashing: { ...listOf(TEXT), description: 'With conflict_version: fields sent that somebody else changed.' },
      count: { ...WHOLE, description: 'With conflict_reference: how many other records are in the way.' },
      duplicates: {
        ...listOf(shape({ object: TEXT, id: UUID, rule: TEXT, score: { type: 'number' } })),
        description: 'With conflict_unique by a duplicate rule: the records that are there, as far as the caller may see them.',
      },
      text: { ...TEXT, description: 'With a wrong expression: its text; the other members say where in it.' },
      line: WHOLE,
      column: WHOLE,
      start: WHOLE,
      end: WHOLE,
    },
    ['errors', 'current', 'clashing', 'count', 'duplicates', 'text', 'line', 'column', 'start', 'end'],
  ),
};

const USER = shape({ id: UUID, name: TEXT, email: TEXT });
const SESSION = { user: USER, permissionSets: listOf(TEXT), csrf: TEXT, expiresAt: INSTANT };

const accounts = {
  NewSession: shape(SESSION),
  Session: shape({ ...SESSION, expiresAt: orNull(INSTANT), mail: oneOf('captured', 'smtp'), sandbox: FLAG }),
  Account: shape(
    { id: UUID, version: WHOLE, email: TEXT, name: TEXT, status: oneOf('invited', 'active', 'suspended'), permissionSets: listOf(TEXT), invitation: TEXT },
    ['invitation'],
  ),
};

const FIELD = shape({
  name: TEXT,
  label: TEXT,
  help: orNull(TEXT),
  kind: oneOf(...Object.keys(FIELD_TYPES)),
  control: TEXT,
  system: FLAG,
  readOnly: FLAG,
  required: FLAG,
  searchable: FLAG,
  sortable: FLAG,
  maxLength: orNull(WHOLE),
  options: orNull(listOf(shape({ value: TEXT, label: TEXT, active: FLAG, color: orNull(TEXT) }))),
  refersTo: orNull(listOf(TEXT)),
});
const PATH = shape({
  name: TEXT,
  field: TEXT,
  states: listOf(shape({ name: TEXT, label: TEXT, kind: oneOf('open', 'won', 'lost') })),
  transitions: listOf(shape({ name: TEXT, label: TEXT, from: listOf(TEXT), to: TEXT, required: listOf(TEXT), accepts: listOf(TEXT) })),
});
const SECTION = shape({ title: TEXT, fields: listOf(TEXT) });

const describing = {
  ObjectSummary: shape({ name: TEXT, label: TEXT, plural: TEXT, icon: orNull(TEXT) }),
  ObjectDescription: shape({
    name: TEXT,
    label: TEXT,
    plural: TEXT,
    description: orNull(TEXT),
    icon: orNull(TEXT),
    may: shape({ create: FLAG, update: FLAG, delete: FLAG, export: FLAG }),
    fields: listOf(FIELD),
    related: listOf(shape({ name: TEXT, object: TEXT, via: TEXT })),
    path: orNull(PATH),
    effective: orNull(shape({ from: TEXT, through: TEXT, key: listOf(TEXT) })),
    views: listOf(shape({ name: TEXT, label: TEXT, filter: orNull(TEXT), columns: listOf(TEXT), sort: orNull(TEXT) })),
    layout: shape({
      highlights: listOf(TEXT),
      sections: listOf(SECTION),
      related: listOf(shape({ relation: TEXT, title: TEXT, columns: listOf(TEXT), sort: orNull(TEXT) })),
    }),
    forms: listOf(shape({ name: TEXT, title: TEXT, signing: FLAG })),
  }),
  PageSections: shape({ sections: listOf(SECTION) }),
};

const RELATED = shape({ object: TEXT, id: UUID });

const reading = {
  SearchHit: shape({ object: TEXT, id: UUID, name: TEXT, matched: TEXT }),
  ListMeta: shape({ count: WHOLE, countIsCapped: FLAG, countIsEstimate: FLAG }, ['count', 'countIsCapped', 'countIsEstimate']),
  Figures: shape({ data: listOf(MAP), more: FLAG }),
  HistoryEntry: shape({
    record: { ...UUID, description: 'The record asked for, or one that was merged into it.' },
    version: WHOLE,
    kind: oneOf('created', 'updated', 'deleted', 'restored'),
    at: INSTANT,
    actor: shape({ id: orNull(UUID), name: TEXT }),
    cause: shape({ kind: TEXT, rule: TEXT, decisions: listOf(POLICY_USE) }, ['rule', 'decisions']),
    reason: orNull(TEXT),
    changes: listOf(shape({ field: TEXT, label: TEXT, from: ANY, to: ANY })),
  }),
  TransitionState: shape({
    name: TEXT,
    label: TEXT,
    to: TEXT,
    allowed: FLAG,
    accepts: listOf(TEXT),
    required: listOf(TEXT),
    reasons: listOf(shape({ name: TEXT, message: TEXT, fix: orNull(TEXT) })),
  }),
  WriteOutcome: {
    oneOf: [
      shape({ ok: { const: true }, index: WHOLE, status: WHOLE, id: UUID, version: WHOLE, changed: FLAG, created: FLAG }),
      shape({ ok: { const: false }, index: WHOLE, status: WHOLE, code: { enum: Object.keys(ERRORS) }, message: TEXT, errors: listOf(DETAIL) }),
    ],
  },
  DuplicatePair: shape({
    id: UUID,
    object: TEXT,
    rule: TEXT,
    label: TEXT,
    score: { type: 'number' },
    foundAt: INSTANT,
    records: listOf(shape({ id: UUID, name: TEXT })),
  }),
  View: shape({
    id: { ...orNull(UUID), description: 'Null for a view of the metadata.' },
    version: orNull(WHOLE),
    object: TEXT,
    name: TEXT,
    label: TEXT,
    filter: orNull(TEXT),
    columns: listOf(TEXT),
    sort: orNull(TEXT),
    shared: FLAG,
    mine: FLAG,
  }),
  TrashedRecord: shape({ object: TEXT, id: UUID, version: WHOLE, name: TEXT, deletedAt: INSTANT, deletedBy: shape({ id: orNull(UUID), name: TEXT }) }),
  Restored: shape({
    restored: { ...listOf(RELATED), description: 'Records that had gone to the trash with it and are back.' },
    relinked: { ...listOf(RELATED), description: 'Records whose reference to it was cleared and stands again.' },
    left: listOf(shape({ object: TEXT, id: UUID, code: { enum: Object.keys(ERRORS) }, reason: TEXT })),
  }),
  Merged: shape({ merge: orNull(UUID), preview: FLAG, moved: listOf(shape({ object: TEXT, field: TEXT, count: WHOLE })) }),
  Undone: shape({
    undid: oneOf('created', 'updated', 'deleted', 'restored', 'merged'),
    version: WHOLE,
    kept: { ...listOf(shape({ object: TEXT, id: UUID, field: orNull(TEXT), reason: TEXT })), description: 'What somebody changed since, and stays.' },
  }),
  Succeeded: shape({ closed: shape({ id: UUID, version: WHOLE }) }),
  StoredFile: shape({ id: UUID, name: TEXT, mediaType: TEXT, size: WHOLE, sha256: TEXT }),
};

const OPERAND = shape(
  {
    text: TEXT,
    holds: orNull(FLAG),
    values: MAP,
    decisions: listOf(POLICY_USE),
    value: ANY,
    parts: { ...listOf(MAP), description: 'What it is made of: each like the whole.' },
    records: { ...listOf(shape({ object: TEXT, id: UUID, holds: orNull(FLAG) })), description: 'What it came to for each related record, at most 20.' },
  },
  ['decisions', 'value', 'parts', 'records'],
);
const NOW = shape({ exists: FLAG, holds: orNull(FLAG), operands: listOf(OPERAND) });
const EVENT = shape({ id: UUID, at: INSTANT, kind: TEXT, started: FLAG, reason: orNull(TEXT), operands: listOf(OPERAND) });
const FIRES = listOf(shape({ offset: TEXT, at: INSTANT, past: FLAG }));
const STAGE_DIFFERENCE = shape({ label: TEXT, before: WHOLE, after: WHOLE, added: WHOLE, removed: WHOLE, changed: WHOLE });
const RUN = shape({
  id: UUID,
  seq: TEXT,
  runKey: TEXT,
  ruleId: TEXT,
  rule: TEXT,
  ruleVersion: WHOLE,
  definition: { ...orNull(TEXT), description: 'Hash of the text of the rule that it began with.' },
  eventId: orNull(UUID),
  object: orNull(TEXT),
  recordId: orNull(UUID),
  anchor: orNull(TEXT),
  state: oneOf('ready', 'done', 'failed', 'skipped', 'quarantined'),
  dueAt: INSTANT,
  attempts: WHOLE,
  error: orNull(TEXT),
  trace: MAP,
  chain: listOf(shape({ rule: TEXT, record: TEXT })),
  depth: WHOLE,
  createdAt: INSTANT,
  finishedAt: orNull(INSTANT),
});

const reporting = {
  ReportSummary: shape({ name: TEXT, label: TEXT, description: orNull(TEXT) }),
  Report: shape({
    name: TEXT,
    label: TEXT,
    description: orNull(TEXT),
    period: orNull(shape({ from: DATE, through: DATE })),
    rows: listOf(shape({ label: TEXT, object: TEXT, filter: TEXT, count: WHOLE, medianDays: orNull({ type: 'number' }) })),
    breakdowns: listOf(shape({ field: TEXT, label: TEXT, groups: listOf(shape({ value: ANY, name: TEXT, counts: listOf(WHOLE), met: orNull(FLAG) })) })),
    withheld: listOf(TEXT),
  }),
  FrozenReport: shape({
    ...{ id: UUID, report: TEXT, period: TEXT, version: WHOLE, sha256: TEXT, frozenAt: INSTANT },
    ...{ reason: orNull(TEXT), correctedBy: orNull(TEXT), difference: orNull(listOf(STAGE_DIFFERENCE)), body: MAP },
  }),
  ReportCorrection: shape({ period: TEXT, version: WHOLE, difference: listOf(STAGE_DIFFERENCE) }),
  Explanation: shape({
    rule: TEXT,
    enabled: FLAG,
    record: UUID,
    now: NOW,
    events: listOf(EVENT),
    fires: FIRES,
    runs: listOf(RUN),
  }),
  RuleOutcome: shape({
    rule: TEXT,
    label: orNull(TEXT),
    enabled: FLAG,
    now: NOW,
    fires: FIRES,
    lastEvent: orNull(EVENT),
    lastRun: orNull(RUN),
    runs: WHOLE,
  }),
  DryRun: shape({
    rule: TEXT,
    events: WHOLE,
    matches: listOf(shape({ event: UUID, at: INSTANT, record: UUID, trace: MAP })),
    reasons: MAP,
    cutOff: { ...FLAG, description: 'True when there were more changes than are looked at in one go.' },
  }),
  CapturedMail: shape({
    id: UUID,
    class: oneOf('campaign', 'transactional'),
    template: TEXT,
    recipient: TEXT,
    subject: TEXT,
    about: orNull(shape({ object: TEXT, id: UUID })),
    group: orNull(shape({ object: TEXT, id: UUID })),
    state: TEXT,
    attempt: WHOLE,
    lastError: orNull(TEXT),
    createdAt: INSTANT,
    sentAt: orNull(INSTANT),
  }),
  MailText: shape({ subject: TEXT, plain: TEXT }),
};

const NAMED = { title: orNull(TEXT), help: orNull(TEXT) };
const TYPED: Json = { anyOf: [TEXT, listOf(TEXT)] };
const QUESTION = shape({
  name: TEXT,
  path: TEXT,
  field: TEXT,
  label: TEXT,
  help: orNull(TEXT),
  kind: TEXT,
  control: oneOf('text', 'textarea', 'number', 'date', 'time', 'datetime', 'email', 'tel', 'url', 'select', 'radios', 'checkboxes', 'yesno'),
  required: FLAG,
  options: listOf(shape({ value: TEXT, label: TEXT })),
  value: TYPED,
  display: TEXT,
  maxLength: orNull(WHOLE),
  others: { ...listOf(shape({ value: TYPED, display: TEXT })), description: 'What was typed elsewhere at the same time; send the right answer with If-Match.' },
});
const PART: Json = {
  oneOf: [
    shape({ kind: { const: 'fields' }, ...NAMED, questions: listOf(QUESTION) }),
    shape({
      kind: { const: 'repeat' },
      ...NAMED,
      relation: TEXT,
      label: TEXT,
      min: WHOLE,
      max: WHOLE,
      rows: listOf(shape({ index: WHOLE, id: TEXT, contested: FLAG, questions: listOf(QUESTION) })),
    }),
    shape({
      kind: { const: 'document' },
      ...NAMED,
      type: TEXT,
      label: TEXT,
      required: FLAG,
      accept: listOf(TEXT),
      given: orNull(shape({ fileId: UUID, name: TEXT, size: WHOLE, at: INSTANT })),
    }),
  ],
};

const filling = {
  Submission: shape({
    id: UUID,
    form: TEXT,
    object: TEXT,
    recordId: UUID,
    state: oneOf('draft', 'submitted'),
    version: WHOLE,
    visited: listOf(TEXT),
    lastPage: orNull(TEXT),
    updatedAt: orNull(INSTANT),
    submittedAt: orNull(INSTANT),
    editable: FLAG,
    pages: listOf(shape({ name: TEXT, title: TEXT, number: WHOLE, parts: listOf(PART) })),
    errors: listOf(shape({ page: TEXT, name: TEXT, label: TEXT, message: TEXT })),
  }),
  Signing: shape({ consent: TEXT, fileId: orNull(UUID), hash: orNull(TEXT), version: orNull(WHOLE), canSign: FLAG }),
};

let form: Json | undefined;

/** A form is answered as its file has it, so its shape is the linter's own. */
function formSchema(): Json {
  form ??= readFormSchema();
  return form;
}

function readFormSchema(): Json {
  const text = readFileSync(join(packageRoot(), 'metadata', 'schema', 'form.json'), 'utf8').replaceAll('"#/$defs/', `"#/components/schemas/${OURS}Form/$defs/`);
  const schema: unknown = JSON.parse(text);
  return Object.fromEntries(Object.entries(Object(schema)).filter(([name]) => name !== '$schema'));
}
