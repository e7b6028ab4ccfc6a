import { mayRunAction } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { METADATA_BODIES } from '../api/metadata.ts';
import { ANY, common, dataOf, get, inQuery, INSTANT, listOf, MAP, oneOf, orNull, post, shape, TEXT, WHOLE, type Json } from './parts.ts';

const tag = 'Metadata';

const FINDING = shape({ code: TEXT, detail: TEXT, count: WHOLE, records: listOf(TEXT) });
const METADATA_STEP = shape(
  {
    class: oneOf('metadata', 'instant', 'online', 'backfill', 'destructive', 'refused'),
    description: TEXT,
    sql: listOf(TEXT),
    lock: orNull(TEXT),
    rows: orNull(WHOLE),
    when: oneOf('before', 'with', 'after'),
    affects: listOf(shape({ what: TEXT, pointer: TEXT })),
    findings: listOf(FINDING),
    fix: TEXT,
  },
  ['findings', 'fix'],
);
const CONFLICT = shape({ pointer: TEXT, before: ANY, files: ANY, local: ANY }, ['before', 'files', 'local']);
const PLAN = { steps: listOf(METADATA_STEP), hash: TEXT, conflicts: listOf(CONFLICT) };
const REMARKS = {
  ...listOf(shape({ pointer: TEXT, code: TEXT, detail: TEXT, fix: TEXT })),
  description: 'Of a plan: rules that may start each other in a circle.',
};
const DIFFERENCE = shape(
  {
    noun: TEXT,
    name: TEXT,
    change: oneOf('added', 'removed', 'changed'),
    renamedFrom: TEXT,
    places: listOf(shape({ pointer: TEXT, from: ANY, to: ANY }, ['from', 'to'])),
  },
  ['renamedFrom'],
);

/** Shapes of the answers. */
export const METADATA_SCHEMAS: Json = {
  MetadataPlan: shape({ ...PLAN, remarks: REMARKS }),
  MetadataApplied: shape({ ...PLAN, remarks: REMARKS, version: { ...WHOLE, description: 'The version in force afterwards; missing for a dry run.' } }, [
    'version',
    'remarks',
  ]),
  MetadataState: shape(
    {
      version: WHOLE,
      package: orNull(TEXT),
      versions: listOf(shape({ version: WHOLE, hash: TEXT, createdAt: INSTANT, createdBy: TEXT, package: orNull(TEXT), note: orNull(TEXT) })),
      local: { ...listOf(DIFFERENCE), description: 'What was changed locally over the files.' },
      drift: listOf(shape({ what: oneOf('missing', 'unknown', 'different', 'invalid', 'unfinished'), place: TEXT, detail: TEXT })),
      kept: { ...listOf(shape({ what: TEXT, since: INSTANT, until: TEXT })), description: 'What was hidden and is kept.' },
      files: { ...MAP, description: 'With files=true: every file by its path.' },
    },
    ['files'],
  ),
};

/** Looking at and changing metadata, for those who may. */
export function metadataPaths(context: CallContext): Json {
  if (!mayRunAction(context, 'metadata')) return {};
  const body = METADATA_BODIES.change.schema;
  const errors = ['metadata_invalid', 'schema_refused'] as const;
  return {
    '/api/v1/metadata': get({
      id: 'getMetadata',
      summary: 'The metadata in force, its versions, local changes, and where the database is not as recorded',
      tag,
      parameters: [inQuery('files', 'Also every file.', { type: 'boolean' })],
      answer: dataOf(common('MetadataState')),
      errors: ['forbidden'],
    }),
    '/api/v1/metadata/plan': post({
      id: 'planMetadata',
      summary: 'What a change of metadata would do',
      tag,
      body,
      answer: dataOf(common('MetadataPlan')),
      errors,
    }),
    '/api/v1/metadata/apply': post({
      id: 'applyMetadata',
      summary: 'Change metadata while people work',
      tag,
      body,
      answer: dataOf(common('MetadataApplied')),
      errors: [...errors, 'conflict_state'],
    }),
    '/api/v1/metadata/rollback': post({
      id: 'rollbackMetadata',
      summary: 'Go back to a version, with the data that is kept of it',
      tag,
      body: METADATA_BODIES.rollback.schema,
      answer: dataOf(common('MetadataApplied')),
      errors: [...errors, 'conflict_state', 'not_found'],
    }),
  };
}
