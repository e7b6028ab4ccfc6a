import { Router } from 'express';
import { inTransaction } from '../../platform/db.ts';
import { isAppError, AppError, ERRORS, type ErrorCode, type ErrorDetail } from '../../platform/errors.ts';
import type { RecordEngine, WriteItem, WriteOutcome } from '../../platform/record/types.ts';
import { requireInForce } from '../../platform/schema/processes.sql.ts';
import { bodySchema, readBody } from '../body.ts';
import { handle, param, type Answer, type Call, type CallDeps } from '../call.ts';
import { STATUS } from '../problem.ts';

export interface BulkRouteDeps extends CallDeps {
  readonly engine: RecordEngine;
}

type Values = Readonly<Record<string, unknown>>;

type BulkItem =
  | { readonly op: 'create'; readonly values: Values }
  | { readonly op: 'update'; readonly id: string; readonly version: number; readonly values: Values }
  | { readonly op: 'transition'; readonly id: string; readonly version: number; readonly transition: string; readonly values?: Values }
  | { readonly op: 'delete' | 'restore'; readonly id: string; readonly version: number };

/** Most writes of one call (api.md); more go as an import. */
const MOST_ITEMS = 500;
const id = { type: 'string' };
const version = { type: 'integer', minimum: 1 };

/** Schema of the body; `values` is the shape of a record's values where the caller's own is known. */
export function bulkSchema(values: Readonly<Record<string, unknown>> = { type: 'object' }): Readonly<Record<string, unknown>> {
  const item = (op: Readonly<Record<string, unknown>>, properties: Readonly<Record<string, unknown>>, optional: readonly string[] = []): unknown => ({
    type: 'object',
    additionalProperties: false,
    required: ['op', ...Object.keys(properties).filter((name) => !optional.includes(name))],
    properties: { op, ...properties },
  });
  return {
    type: 'object',
    additionalProperties: false,
    required: ['items'],
    properties: {
      mode: { type: 'string', enum: ['atomic', 'each'], default: 'atomic' },
      items: {
        type: 'array',
        minItems: 1,
        maxItems: MOST_ITEMS,
        items: {
          type: 'object',
          required: ['op'],
          oneOf: [
            item({ const: 'create' }, { values }),
            item({ const: 'update' }, { id, version, values }),
            item({ const: 'transition' }, { id, version, transition: { type: 'string' }, values: { type: 'object' } }, ['values']),
            item({ type: 'string', enum: ['delete', 'restore'] }, { id, version }),
          ],
        },
      },
    },
  };
}

const BULK_BODY = bodySchema<{ readonly mode?: 'atomic' | 'each'; readonly items: readonly BulkItem[] }>(bulkSchema());

/** Up to 500 writes of one object in one transaction: all or nothing (`atomic`), or each by itself (`each`, 207 when some fail). */
export function bulkRoutes(deps: BulkRouteDeps): Router {
  const router = Router({ caseSensitive: true });
  router.post(
    '/:object/bulk',
    handle(deps, (call) => bulk(deps.engine, call)),
  );
  return router;
}

async function bulk(engine: RecordEngine, { request, db, context }: Call): Promise<Answer> {
  const { mode = 'atomic', items } = readBody(request, BULK_BODY);
  try {
    const outcomes = await inTransaction(db, async (tx) => {
      const written = await engine.write(tx, context, param(request, 'object'), items.map(toItem), { mode });
      // What was refused may be good by the metadata in force: then all of it is done again.
      if (!written.every((outcome) => outcome.ok)) await requireInForce(tx, context.model.version);
      return written;
    });
    const data = outcomes.map((outcome, index) => ({ ...outcome, index, status: statusOf(outcome, items[index]) }));
    return { status: outcomes.every((outcome) => outcome.ok) ? 200 : 207, body: { data } };
  } catch (error) {
    throw mode === 'atomic' && isAppError(error) ? inBody(error, items) : error;
  }
}

function toItem(item: BulkItem): WriteItem {
  switch (item.op) {
    case 'create':
      return { kind: 'create', values: item.values };
    case 'update':
      return { kind: 'update', id: item.id, version: item.version, values: item.values };
    case 'transition':
      return {
        kind: 'transition',
        id: item.id,
        version: item.version,
        transition: item.transition,
        ...(item.values === undefined ? {} : { values: item.values }),
      };
    case 'delete':
    case 'restore':
      return { kind: item.op, id: item.id, version: item.version };
  }
}

/** The status that the item would have had by itself. */
function statusOf(outcome: WriteOutcome, item: BulkItem | undefined): number {
  if (outcome.ok) return outcome.created ? 201 : item?.op === 'delete' ? 204 : 200;
  return isCode(outcome.code) ? STATUS[outcome.code] : STATUS.internal;
}

function isCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

/** Pointers of an atomic batch begin at its list of items; here they are to lead into the body as it was sent. */
function inBody(error: AppError, items: readonly BulkItem[]): AppError {
  const errors = error.errors.map((detail): ErrorDetail => ({ ...detail, pointer: bodyPointer(detail.pointer, items) }));
  return new AppError(error.code, error.message, { errors, extra: error.extra, cause: error });
}

function bodyPointer(pointer: string, items: readonly BulkItem[]): string {
  const match = items.length === 1 ? ['', '0', pointer] : /^\/(\d+)(.*)$/s.exec(pointer);
  if (match === null) return pointer;
  const [, index = '0', rest = ''] = match;
  return `/items/${index}${rest === '' ? '' : `/values${rest}`}`;
}
