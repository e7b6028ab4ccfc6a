import { expect } from 'chai';
import fc from 'fast-check';
import { EXTENSIONS } from '../../../src/extensions.ts';
import type { CallContext } from '../../../src/platform/access/types.ts';
import { systemCall } from '../../../src/platform/automation/call-context.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { seededRandom } from '../../../src/platform/ids.ts';
import { listRecords } from '../../../src/platform/query/list.ts';
import { FOUND, foundSql } from '../../../src/platform/query/filter.ts';
import { indexPatterns, type TrigramShares } from '../../../src/platform/query/index-patterns.ts';
import { pageSql } from '../../../src/platform/query/page.ts';
import { searchesFor, searchPlan } from '../../../src/platform/query/search-plan.ts';
import { searchRecords } from '../../../src/platform/query/search.ts';
import { planSegments, planSort } from '../../../src/platform/query/sort.ts';
import { openSource, selectFields, twinSource } from '../../../src/platform/query/source.ts';
import { trigramShares } from '../../../src/platform/query/trigram-shares.sql.ts';
import { makeModelStore } from '../../../src/platform/schema/store.ts';
import { ident, rowArrays, rows, sql } from '../../../src/platform/sql.ts';
import { fillObject, objectOf, SCHEMA } from '../../bench/large-database.ts';
import { makeShippedDatabase, type TestDatabase } from '../../support/database.ts';

const LETTERS = ['a', 'b', '1', '@', '%', '_', '\\', 'é', '.'];
const word = fc.string({ unit: fc.constantFrom(...LETTERS), minLength: 1, maxLength: 12 });
const shares = fc
  .array(fc.tuple(fc.string({ unit: fc.constantFrom('a', 'b', '1', ' '), minLength: 3, maxLength: 3 }), fc.double({ min: 0.005, max: 1, noNaN: true })), {
    minLength: 1,
    maxLength: 40,
  })
  .map((entries): TrigramShares => new Map(entries));
const RUNS = Number(process.env['INDEX_PATTERN_RUNS'] ?? 300);

describe('what a trigram index is asked for', () => {
  let database: TestDatabase;
  before(async () => {
    database = await makeShippedDatabase();
  });
  after(() => database.drop());

  const common = (...trigrams: readonly string[]): TrigramShares => new Map(trigrams.map((trigram) => [trigram, 1]));

  it('leaves out what most entries hold, and asks for whole words where nothing is known', () => {
    expect(indexPatterns(['provider12', '50%_off'], new Map())).to.deep.equal(['%provider12%', '%50\\%\\_off%']);
    expect(indexPatterns(['provider12'], common('pro', 'rov', 'ovi', 'vid', 'ide', 'der'))).to.deep.equal(['%er12%']);
    expect(indexPatterns(['abcxyzdef'], common('bcx', 'cxy', 'xyz', 'yzd', 'zde'))).to.deep.equal(['%abc%def%']);
    // What lies between two rare ones is asked for first, and then the second of these.
    expect(
      indexPatterns(
        ['nosele'],
        new Map([
          ['ose', 0.01],
          ['ele', 0.08],
        ]),
      ),
    ).to.deep.equal(['%nosele%']);
    // The edge of a word within is a trigram, too.
    expect(indexPatterns(['xx-ab@cd'], common('xx '))).to.deep.equal(['%-ab@cd%']);
    expect(indexPatterns(['ab@cd.e'], common(' cd'))).to.deep.equal(['%ab@%cd.%']);
    // A word that every entry holds is not asked for beside another one; alone it must be.
    expect(indexPatterns(['abc', 'xyz'], common('abc'))).to.deep.equal(['%', '%xyz%']);
    expect(indexPatterns(['abc'], common('abc'))).to.deep.equal(['%abc%']);
    // Two thirds of all, beside a word that leaves one in 400.
    expect(indexPatterns(['abc', 'xyz'], new Map([['abc', 0.66]]))).to.deep.equal(['%abc%', '%xyz%']);
  });

  it('is matched by every text that holds the words, whatever is common', async () => {
    const cases = fc.sample(fc.tuple(fc.uniqueArray(word, { minLength: 1, maxLength: 4 }), shares, word, word), { numRuns: RUNS, seed: 7 });
    const asked = cases.flatMap(([words, known, before, after]) => {
      const patterns = indexPatterns(words, known);
      expect(patterns).to.have.lengthOf(words.length);
      return words.map((one, at) => ({ text: `${before}${one}${after}`, pattern: patterns[at] ?? '', word: one }));
    });
    const missed = await rows(
      database.db,
      sql`select x.* from jsonb_to_recordset(${JSON.stringify(asked)}::jsonb) as x (text text, pattern text, word text)
        where (x.text collate "C" like x.pattern) is not true or position(x.word in x.text) = 0`,
    );
    expect(missed).to.deep.equal([]);
    expect(new Set(asked.map(({ pattern }) => pattern)).size).to.be.greaterThan(RUNS / 2);
  });
});

const RECORDS = 40_000;

describe('searches of many entries', function () {
  this.timeout(60_000);
  let database: TestDatabase;
  let context: CallContext;
  let known: TrigramShares;
  let entries: readonly { readonly id: string; readonly keys: string }[];
  before(async () => {
    database = await makeShippedDatabase();
    const store = makeModelStore({ db: database.db, clock: systemClock, extensions: EXTENSIONS });
    context = systemCall(await store.current(), systemClock, seededRandom(1), 'test');
    const name = sql`'Provider network of the commonwealth, 100%_mine ' || substr(md5(n::text), 1, 6) || n || '@practice.example ' || md5('second' || n)`;
    await fillObject(database.db, objectOf(context.model, 'Network'), RECORDS, { name, type: sql`'hmo'::text`, lineOfBusiness: sql`'commercial'::text` });
    known = await trigramShares(database.db, context);
    const found = await rows(database.db, sql`select record_id::text as id, keys from ${ident(SCHEMA, 'search_entry')} where object = 'Network' order by 1`);
    entries = found.map((row) => ({ id: String(row['id']), keys: String(row['keys']) }));
  });
  after(() => database.drop());

  /** The ids of the records that hold each of the words, by looking at all of them. */
  const holding = (words: readonly string[]): readonly string[] => entries.flatMap(({ id, keys }) => (words.every((word) => keys.includes(word)) ? [id] : []));

  const fragments = (): readonly (readonly string[])[] => {
    const bytes = seededRandom(11);
    const random = (): number => (bytes(1)[0] ?? 0) / 256;
    const cut = (text: string, size: number): string => {
      const from = Math.floor(random() * Math.max(1, text.length - size));
      return text.slice(from, from + size);
    };
    // Their ids are in no order that has to do with what they hold.
    const found = entries.slice(0, 30);
    return found.flatMap(({ keys }) => {
      const words = keys.split(' ');
      const [tail = '', mail = '', mine = ''] = [words.at(-1), words.at(-2), words.at(-3)];
      return [[mail.split('practice')[0] ?? ''], [cut(tail, 5)], [cut(mail, 9), cut(mine, 5)], ['provider', cut(tail, 4), mine], [cut(tail, 3), cut(mail, 4)]];
    });
  };

  it('know which trigrams most entries hold', () => {
    expect(['pro', 'rov', 'wea', 'ple'].map((trigram) => known.get(trigram))).to.deep.equal([1, 1, 1, 1]);
    expect(known.get('qqq')).to.equal(undefined);
    const digits = known.get('000') ?? 0;
    expect(digits).to.be.lessThan(0.5);
  });

  it('find what holds the words, all of it and nothing else', async () => {
    let narrowed = 0;
    let none = 0;
    for (const words of fragments()) {
      const expected = holding(words);
      const hits = await searchRecords(database.db, context, words.join(' '), { objects: ['Network'], limit: 100 });
      const ids = hits.map((hit) => hit.id).sort();
      if (expected.length === 0) none += 1;
      else if (expected.length <= 100) expect(ids, words.join(' ')).to.deep.equal(expected);
      else expect(new Set([...expected, ...ids]).size, words.join(' ')).to.equal(expected.length);
      if (indexPatterns(words, known).join() !== indexPatterns(words, new Map()).join()) narrowed += 1;
    }
    expect(none).to.equal(0);
    expect(narrowed).to.be.greaterThan(50);
  });

  it('list what holds the words page by page in the order of an index, with other conditions and without', async () => {
    for (const [search, filter] of [
      ['000', undefined],
      ['abc', undefined],
      ['provider ab1', "name.contains('e')"],
      ['commonwealth 777', undefined],
      ['nothing-like-it', undefined],
    ] as const) {
      const expected = holding(search.split(' '));
      for (const sort of [['createdAt'], ['-createdAt'], ['name'], ['type', 'name']]) {
        const found: string[] = [];
        let cursor: string | undefined;
        do {
          const query = { object: 'Network', fields: ['name'], limit: 500, count: 'exact' as const, search, sort, ...(filter === undefined ? {} : { filter }) };
          const page = await listRecords(database.db, context, cursor === undefined ? query : { ...query, cursor });
          found.push(...page.data.map((record) => record.id));
          if (cursor === undefined) expect(page.meta.count).to.equal(expected.length);
          cursor = page.page.next ?? undefined;
        } while (cursor !== undefined);
        expect(found.toSorted(), `${search} by ${sort.join()}`).to.deep.equal(expected);
        if (sort[0] === 'createdAt') expect(found).to.deep.equal(expected);
      }
    }
  });

  it('read the order of many from its index alone and fetch those of the page', async () => {
    const ids = holding(['abc']);
    expect(ids.length).to.be.greaterThan(200);
    const { read, order } = twinSource(openSource(context, 'Network'));
    const keys = planSort(order, ['createdAt']);
    const [segment] = planSegments(keys, null);
    if (segment === undefined) throw new Error('A list has no order.');
    const found = foundSql(order);
    const conditions = [{ ...found, values: found.values.map((value) => (value === FOUND ? `{${ids.join()}}` : value)) }, ...segment.where];
    const statement = pageSql(read, selectFields(read, ['name']).fields, keys, conditions, segment.orderBy, 51);
    const plan = JSON.stringify(await rows(database.db, sql`explain ${statement}`));
    // PostgreSQL 18 makes one scan of both, in the order of the index, which answers the condition on the ids too.
    expect(plan)
      .to.match(
        /Index Only Scan using \S+_created on \S+ t2.*Index Scan using \S+_pkey on \S+ t|Index Scan using \S+_created on \S+ t2 .*Index Cond: \(id = ANY/s,
      )
      .and.not.to.match(/Sort|Seq Scan/);
  });

  it('ask the index of a rare word beside a common one for little', async () => {
    const text = entries[7]?.keys.split(' ').at(-2)?.split('practice')[0] ?? '';
    const { statement, values } = searchPlan(context, searchesFor(`provider ${text}`, ['Network'], 20, known).exact, false);
    expect(values.filter((value) => value === '%provider%')).to.have.lengthOf(1);
    const found = await rowArrays(database.db, statement, values);
    expect(found).to.have.lengthOf(1);
  });
});
