import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { aggregateRecords, type AggregateResult } from './aggregate.ts';
import { readHistory, type HistoryEntry } from './history.ts';
import { getRecord, listRecords, type GetOptions } from './list.ts';
import { readNames } from './names.ts';
import { searchRecords, type SearchOptions } from './search.ts';
import type { AggregateQuery, ListResult, ReadQuery, RecordData, SearchHit } from './types.ts';

/** Every read of records goes through here; rows and fields that the caller may not see do not exist in any answer. */
export interface Reader {
  list(db: Knex, ctx: CallContext, query: ReadQuery): Promise<ListResult>;
  get(db: Knex, ctx: CallContext, object: string, id: string, options?: GetOptions): Promise<RecordData>;
  aggregate(db: Knex, ctx: CallContext, query: AggregateQuery): Promise<AggregateResult>;
  search(db: Knex, ctx: CallContext, text: string, options?: SearchOptions): Promise<readonly SearchHit[]>;
  history(db: Knex, ctx: CallContext, object: string, id: string): Promise<readonly HistoryEntry[]>;
  /** Display names by id; records that the caller may not see are missing. */
  names(db: Knex, ctx: CallContext, object: string, ids: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

/** The reader. It holds nothing: database, caller and Model come with each call. */
export function makeReader(): Reader {
  return {
    list: listRecords,
    get: getRecord,
    aggregate: aggregateRecords,
    search: searchRecords,
    history: readHistory,
    names: (db, ctx, object, ids) => readNames(db, ctx, object, ids),
  };
}
