import { expect } from 'chai';
import { metadataDirectories } from '../../src/extensions.ts';
import { loadMetadata } from '../../src/platform/metadata/load.ts';
import type { FieldSchema, ObjectFile, PermissionFile } from '../../src/platform/metadata/types.ts';
import { sideOf } from '../../src/platform/model/side-tables.ts';
import { objectFile } from '../platform/schema/builders.ts';
import { at, startTestApp, type Client, type TestApp } from '../support/app.ts';

const ROOT = '/api/v1/records';
const FIELDS = 1_000;
const READS = 40;

const KINDS: readonly FieldSchema[] = [
  { type: 'integer' },
  { type: 'string' },
  { type: 'boolean' },
  { type: 'string', format: 'date' },
  { type: 'array', items: { type: 'string' } },
];

function valueOf(index: number, turn: number): unknown {
  return [index * 10 + turn, `words ${String(index)} ${String(turn)}`, turn % 2 === 0, `2027-0${String((turn % 8) + 1)}-15`, ['a', `b${String(turn)}`]][
    index % 5
  ];
}

const SURVEY: ObjectFile = objectFile('Survey', {
  name: { type: 'string' },
  team: { type: 'string', format: 'uuid', 'x-ref': { to: 'Survey', as: 'surveys' } },
  ...Object.fromEntries(Array.from({ length: FIELDS - 2 }, (_, index) => [`answer${String(index)}`, KINDS[index % 5] ?? { type: 'integer' }])),
});
const ASIDE = [900, 901, 902, 903, 904].map((index) => `answer${String(index)}`);
const [NUMBER = '', TEXT = '', FLAG = '', DAY = '', LIST = ''] = ASIDE;

/** Sees rows by a rule on one field of a side table, and only some fields of it. */
const READER: PermissionFile = {
  name: 'survey-reader',
  label: 'Survey reader',
  audience: 'staff',
  objects: { Survey: { read: { where: `${NUMBER} > 9001` }, update: { where: `${FLAG}` }, fields: ['name', 'team', NUMBER, FLAG], writes: ['team', FLAG] } },
};

describe('an object of 1,000 fields', function () {
  this.timeout(300_000);
  let product: TestApp;
  let admin: Client;
  const ids: string[] = [];

  before(async () => {
    product = await startTestApp();
    await applied(SURVEY);
    admin = await product.caller('administrator');
    const survey = (await product.app.store.load()).objects.get('Survey');
    expect(ASIDE.map((name) => sideOf(survey?.fields.get(name)?.column ?? '') > 0)).to.deep.equal(ASIDE.map(() => true));
  });
  after(() => product.stop());

  async function applied(survey: ObjectFile): Promise<void> {
    const shipped = loadMetadata(metadataDirectories([]));
    const permissions = new Map([...shipped.permissions, ['survey-reader', READER]]);
    await product.app.store.apply({ ...shipped, objects: new Map([...shipped.objects, ['Survey', survey]]), permissions }, 'test');
  }
  const values = (count: number, turn: number): Readonly<Record<string, unknown>> => ({
    name: `Survey ${String(turn)}`,
    ...Object.fromEntries(Array.from({ length: count }, (_, index) => index * 2).map((index) => [`answer${String(index)}`, valueOf(index, turn)])),
    ...Object.fromEntries(ASIDE.map((name) => [name, valueOf(Number(name.slice(6)), turn)])),
  });
  const listed = async (query: string, client = admin): Promise<readonly unknown[]> => {
    const answer = await client('GET', `${ROOT}/Survey?${query}`);
    const data = at(answer.body, 'data');
    return Array.isArray(data) ? data.map((record: unknown) => at(record, 'name')) : [answer.text];
  };
  const where = (filter: string): string => `filter=${encodeURIComponent(filter)}`;

  it('keeps what it is given, 400 filled fields among them, and answers it', async () => {
    for (const turn of [0, 1, 2, 3]) {
      const sent = values(400, turn);
      const made = await admin('POST', `${ROOT}/Survey`, turn === 0 ? sent : { ...sent, team: ids[0] });
      expect(made.status, made.text).to.equal(201);
      ids.push(String(at(made.body, 'data.id')));
      const read = at((await admin('GET', `${ROOT}/Survey/${String(ids[turn])}`)).body, 'data');
      for (const [name, value] of Object.entries(sent)) expect(at(read, name), name).to.deep.equal(value);
      expect(at(read, 'answer401')).to.equal(null);
    }
    const bare = await admin('POST', `${ROOT}/Survey`, { name: 'Survey 4' });
    ids.push(String(at(bare.body, 'data.id')));
    const took: number[] = [];
    for (let read = 0; read < READS; read += 1) {
      const start = performance.now();
      expect((await admin('GET', `${ROOT}/Survey/${String(ids[0])}`)).status).to.equal(200);
      took.push(performance.now() - start);
    }
    const median = took.sort((left, right) => left - right)[READS / 2] ?? 0;
    process.stdout.write(`      one of ${String(FIELDS)} fields, 400 filled, is read in ${median.toFixed(1)} ms (median of ${String(READS)})\n`);
  });

  it('is filtered, sorted, paged, counted, grouped and exported by fields of its side tables', async () => {
    expect(await listed(`${where(`${NUMBER} >= 9001 && ${NUMBER} < 9003`)}&sort=-${NUMBER}`)).to.deep.equal(['Survey 2', 'Survey 1']);
    expect(await listed(`${where(`${TEXT} == 'words 901 3'`)}`)).to.deep.equal(['Survey 3']);
    expect(await listed(`${where(`'b2' in ${LIST} && ${DAY} == date('2027-03-15')`)}`)).to.deep.equal(['Survey 2']);
    expect(await listed(`${where(`${TEXT} == null`)}`)).to.deep.equal(['Survey 4']);
    expect(await listed(`${where(`team.${NUMBER} == 9000`)}&sort=${TEXT}`)).to.deep.equal(['Survey 1', 'Survey 2', 'Survey 3']);
    expect(await listed(`${where(`surveys.exists(s, s.${TEXT} == 'words 901 3')`)}`)).to.deep.equal(['Survey 0']);
    const first = await admin('GET', `${ROOT}/Survey?sort=-${DAY}&limit=2&fields=name,${DAY}&count=exact`);
    expect([at(first.body, 'data.0.name'), at(first.body, `data.0.${DAY}`), at(first.body, 'meta.count')]).to.deep.equal(['Survey 3', '2027-04-15', 5]);
    expect(await listed(`sort=-${DAY}&limit=2&cursor=${encodeURIComponent(String(at(first.body, 'page.next')))}`)).to.deep.equal(['Survey 1', 'Survey 0']);
    const groups = await admin('POST', `${ROOT}/Survey/aggregate`, {
      groupBy: [FLAG],
      measures: [{ as: 'sum', op: 'sum', field: NUMBER }],
      filter: `${FLAG} != null`,
    });
    expect(at(groups.body, 'data')).to.deep.equal([
      { [FLAG]: false, sum: '18004' },
      { [FLAG]: true, sum: '18002' },
    ]);
    const csv = await admin('GET', `/api/v1/exports/Survey?fields=name,${NUMBER}&${where(`${NUMBER} == 9003`)}`);
    expect(csv.text).to.equal(`name,${NUMBER}\r\nSurvey 3,9003\r\n`);
  });

  it('is changed, cleared, undone, put into the trash and restored, with its history', async () => {
    const path = `${ROOT}/Survey/${String(ids[4])}`;
    const steps = [{ [TEXT]: 'late', [NUMBER]: 5 }, { [TEXT]: null }, { [LIST]: ['x'], answer1: 'own table' }];
    for (const [index, body] of steps.entries()) {
      const answer = await admin('PATCH', path, body, { 'if-match': `"v${String(index + 1)}"` });
      expect(answer.status, answer.text).to.equal(200);
    }
    const read = at((await admin('GET', path)).body, 'data');
    expect([TEXT, NUMBER, LIST, 'answer1'].map((name) => at(read, name))).to.deep.equal([null, 5, ['x'], 'own table']);
    expect((await admin('PATCH', path, { [TEXT]: 'lost' }, { 'if-match': '"v2"' })).status).to.equal(412);
    const undone = await admin('POST', `${path}/undo`, {}, { 'if-match': '"v4"' });
    expect([undone.status, at(undone.body, `data.${LIST}`), at(undone.body, 'data.answer1')]).to.deep.equal([200, null, null]);
    expect((await admin('DELETE', path, undefined, { 'if-match': '"v5"' })).status).to.equal(204);
    expect(await listed(where(`${NUMBER} == 5`))).to.deep.equal([]);
    const restored = await admin('POST', `${path}/restore`, {}, { 'if-match': '"v6"' });
    expect([restored.status, at(restored.body, `data.${NUMBER}`)]).to.deep.equal([200, 5]);
    const history = await admin('GET', `${path}/history`);
    expect(history.text).to.contain(TEXT);
  });

  it('loses no change when many write at once', async () => {
    const path = `${ROOT}/Survey/${String(ids[4])}`;
    const raise = async (index: number): Promise<void> => {
      for (;;) {
        const now = await admin('GET', path);
        const answer = await admin(
          'PATCH',
          path,
          { [NUMBER]: Number(at(now.body, `data.${NUMBER}`)) + 1, [TEXT]: `by ${String(index)}` },
          { 'if-match': now.headers.get('etag') ?? '' },
        );
        if (answer.status === 200) return;
        expect(answer.status, answer.text).to.equal(412);
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, index) => raise(index)));
    expect(at((await admin('GET', path)).body, `data.${NUMBER}`)).to.equal(17);
  });

  it('is written in bulk, and merged with its like', async () => {
    const items = [7, 8].map((turn) => ({
      op: 'create',
      values: { name: `Bulk ${String(turn)}`, [TEXT]: `words ${String(turn)}`, ...(turn === 7 ? { [NUMBER]: 1 } : {}) },
    }));
    const bulk = await admin('POST', `${ROOT}/Survey/bulk`, { mode: 'each', items });
    expect(bulk.status, bulk.text).to.equal(200);
    expect(await listed(`${where(`name.startsWith('Bulk')`)}&sort=${TEXT}`)).to.deep.equal(['Bulk 7', 'Bulk 8']);
    const [kept, other] = [0, 1].map((index) => String(at(bulk.body, `data.${String(index)}.id`)));
    const merged = await admin('POST', `${ROOT}/Survey/${String(other)}/merge`, { sources: [{ id: kept, version: 1 }] }, { 'if-match': '"v1"' });
    expect(merged.status, merged.text).to.equal(200);
    expect([at(merged.body, `data.${TEXT}`), at(merged.body, `data.${NUMBER}`)]).to.deep.equal(['words 8', 1]);
  });

  it('has formulas over fields of its side tables, and cannot count by them', async () => {
    const properties = { ...SURVEY.properties, twice: { type: 'integer', 'x-formula': `${NUMBER} * 2` } } as const;
    await applied({ ...SURVEY, properties });
    expect(await listed(`${where('twice == 18004')}`)).to.deep.equal(['Survey 2']);
    const most: FieldSchema = { type: 'integer', 'x-rollup': { op: 'max', relation: 'surveys', value: NUMBER } };
    const refused = await applied({ ...SURVEY, properties: { ...SURVEY.properties, most } }).then(
      () => null,
      (error: unknown) => error,
    );
    expect(String(refused)).to.contain(`Survey.${NUMBER} stands in a side table`);
  });

  it('is seen, changed and pointed at by a rule on a field of a side table, and no hidden field of it is told', async () => {
    const reader = await product.caller('survey-reader');
    expect(await listed('sort=name', reader)).to.deep.equal(['Survey 2', 'Survey 3']);
    expect(await listed(where(`${TEXT} != null`), reader)).to.have.length(1);
    expect((await reader('GET', `${ROOT}/Survey/${String(ids[0])}`)).status).to.equal(404);
    const seen = await reader('GET', `${ROOT}/Survey/${String(ids[2])}`);
    expect(
      Object.keys(Object(at(seen.body, 'data')))
        .filter((name) => name.startsWith('answer'))
        .sort(),
    ).to.deep.equal([NUMBER, FLAG].sort());
    const pointed = (to: string | undefined): Promise<number> =>
      reader('PATCH', `${ROOT}/Survey/${String(ids[2])}`, { team: to }, { 'if-match': '"v1"' }).then((answer) => answer.status);
    expect(await pointed(ids[1]), 'one that is not seen').to.equal(422);
    expect(await pointed(ids[3])).to.equal(200);
    expect((await reader('PATCH', `${ROOT}/Survey/${String(ids[3])}`, { team: ids[2] }, { 'if-match': '"v1"' })).status, 'the rule says no').to.equal(403);
  });
});
