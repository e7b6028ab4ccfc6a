import type { CallContext } from '../../../src/platform/access/types.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { listRecords } from '../../../src/platform/query/list.ts';
import type { ListResult, ReadQuery } from '../../../src/platform/query/types.ts';
import { makeTestDatabase, type TestDatabase } from '../../support/database.ts';
import { ANNA, BERT, createTables, id, insert, smallModel, smallSet, staffSet } from './support.ts';

const SETS = [
  staffSet('reader', { Shop: { read: true } }),
  staffSet('own', { Shop: { read: { where: 'ownerId == user' }, fields: ['*', 'secret'] } }),
  staffSet('orders', { Order: { read: true } }),
  staffSet('own-orders', { Order: { read: { where: 'shop.ownerId == user' } } }),
  staffSet('keeper', { Shop: { read: true, delete: { where: 'ownerId == user' } } }),
];

export const SHOPS = [
  {
    id: id(1),
    name: 'Alpha',
    city: 'Bern',
    stage: 'new',
    code: 'X-1',
    turnover: '10.50',
    secret: 's1',
    rank: 3,
    opened: '2024-02-29',
    isOpen: true,
    seen: '2026-01-01T08:00:00.123Z',
    tags: ['a', 'b'],
    note: 'quiet',
    ownerId: ANNA,
  },
  {
    id: id(2),
    name: 'beta 2',
    city: 'Bern',
    stage: 'won',
    code: '50%_off',
    turnover: null,
    secret: 's2',
    rank: null,
    opened: null,
    isOpen: null,
    seen: null,
    tags: null,
    note: null,
    ownerId: BERT,
  },
  {
    id: id(3),
    name: 'Beta 10',
    city: null,
    stage: 'won',
    code: null,
    turnover: '7',
    secret: 's3',
    rank: 3,
    opened: '2024-02-28',
    isOpen: false,
    seen: '2026-01-01T08:00:00.124Z',
    tags: ['b'],
    note: null,
    ownerId: ANNA,
  },
  {
    id: id(4),
    name: 'Éclair',
    city: 'Zug',
    stage: null,
    code: 'X-10',
    turnover: '7',
    secret: null,
    rank: 1,
    opened: '2024-02-29',
    isOpen: true,
    seen: null,
    tags: null,
    note: null,
    ownerId: BERT,
  },
  {
    id: id(5),
    name: 'alpha',
    city: 'aarau',
    stage: 'lost',
    code: null,
    turnover: null,
    secret: 's2',
    rank: null,
    opened: null,
    isOpen: null,
    seen: null,
    tags: null,
    note: null,
    ownerId: null,
  },
  {
    id: id(6),
    name: 'Zebra',
    city: null,
    stage: 'new',
    code: null,
    turnover: '-1',
    secret: 's9',
    rank: 3,
    opened: '1999-12-31',
    isOpen: false,
    seen: '2026-01-01T08:00:00.123Z',
    tags: null,
    note: null,
    ownerId: null,
  },
];

/** A query that is about shops unless it says otherwise. */
export type ShopQuery = Omit<ReadQuery, 'object'> & { readonly object?: string };

export interface Shops {
  readonly database: TestDatabase;
  readonly model: Model;
  list(ctx: CallContext, query: ShopQuery): Promise<ListResult>;
  /** The numbers of the records found. */
  ids(ctx: CallContext, query: ShopQuery): Promise<readonly number[]>;
}

/** A database with six shops, two trashed ones, and what belongs to them. */
export async function makeShops(): Promise<Shops> {
  const model = smallModel(SETS, smallSet(SETS));
  const database = await makeTestDatabase();
  const { db } = database;
  await createTables(db, model);
  for (const shop of SHOPS) await insert(db, model, 'Shop', shop);
  await insert(db, model, 'Shop', { id: id(7), name: 'Gone', ownerId: ANNA, deletedAt: '2026-02-01T00:00:00Z' });
  await insert(db, model, 'Shop', { id: id(8), name: 'Gone too', ownerId: BERT, deletedAt: '2026-02-01T00:00:00Z' });
  await insert(db, model, 'Order', { id: id(101), number: 'A-1', shop: id(1), amount: '5', margin: '1', about: { object: 'Shop', id: id(2) } });
  await insert(db, model, 'Order', { id: id(102), number: 'A-2', shop: id(2), amount: '50', margin: '2', about: { object: 'Secretum', id: id(201) } });
  await insert(db, model, 'Order', { id: id(103), number: 'A-3', shop: id(1), amount: '0.125', margin: '3' });
  await insert(db, model, 'Secretum', { id: id(201), text: 'hush', shop: id(1) });
  const list = (ctx: CallContext, query: ShopQuery): Promise<ListResult> => listRecords(db, ctx, { object: 'Shop', ...query });
  return { database, model, list, ids: async (ctx, query) => (await list(ctx, query)).data.map((record) => Number(record.id.slice(-6))) };
}

/** What an AppError says; fails when the work does not. */
export async function failure(work: Promise<unknown>): Promise<{ readonly code: string; readonly message: string; readonly errors: unknown }> {
  try {
    await work;
  } catch (error) {
    if (isAppError(error)) return { code: error.code, message: error.message, errors: error.errors };
    throw error;
  }
  throw new Error('It did not fail.');
}
