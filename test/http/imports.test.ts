import { expect } from 'chai';
import { startTestApp, at, type Answer, type TestApp } from '../support/app.ts';

/** What a form of several parts answers. */
async function upload(
  app: TestApp,
  token: string,
  parts: Readonly<Record<string, string>>,
  file: { readonly name: string; readonly content: string | Uint8Array<ArrayBuffer> } | null,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const form = new FormData();
  for (const [name, value] of Object.entries(parts)) form.set(name, value);
  if (file !== null) form.set('file', new Blob([file.content]), file.name);
  const answer = await fetch(`${app.url}/api/v1/imports`, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: form });
  return { status: answer.status, body: await answer.json() };
}

const HEADER = 'Network name,code,type,Line of business';
const lines = (count: number, from = 0): readonly string[] =>
  Array.from({ length: count }, (_, index) => `Plan ${String(from + index)},N${String(from + index)},${index % 2 === 0 ? 'H.M.O.' : 'ppo'},commercial`);
const file = (...rows: readonly string[]): string => `${[HEADER, ...rows].join('\n')}\n`;

const COLUMNS = [
  { column: 'Network name', field: 'name' },
  { column: 'code', field: 'code' },
  { column: 'type', field: 'type', values: { 'H.M.O.': 'hmo' } },
  { column: 'Line of business', field: 'lineOfBusiness' },
];

describe('imports over HTTP', () => {
  let app: TestApp;
  let staff: Awaited<ReturnType<TestApp['caller']>>;

  before(async () => {
    app = await startTestApp({ environment: { IMPORT_LIMIT_MB: '1' } });
    staff = await app.caller('network', 'administrator');
  });
  after(() => app.stop());

  const data = (answer: Answer, path: string): unknown => at(answer.body, path === '' ? 'data' : `data.${path}`);
  async function ready(text: string, name = 'networks.csv', parts: Readonly<Record<string, string>> = {}): Promise<string> {
    const sent = await upload(app, staff.token, { object: 'Network', ...parts }, { name, content: text });
    expect(sent.status, JSON.stringify(sent.body)).to.equal(202);
    await app.app.worker.drain();
    return String(at(sent.body, 'data.id'));
  }
  const act = async (id: string, what: string): Promise<Answer> => {
    const answer = await staff('POST', `/api/v1/imports/${id}/${what}`);
    expect(answer.status, answer.text).to.equal(202);
    await app.app.worker.drain();
    return staff('GET', `/api/v1/imports/${id}`);
  };

  it('takes a file, guesses what its columns are for, checks every row, writes, and takes everything back', async () => {
    const id = await ready(file(...lines(7), ',N99,hmo,commercial'));
    const preview = await staff('GET', `/api/v1/imports/${id}/preview`);
    expect(data(preview, 'header')).to.deep.equal(HEADER.split(','));
    expect(data(preview, 'rows.0')).to.deep.equal({ line: 2, cells: ['Plan 0', 'N0', 'H.M.O.', 'commercial'] });
    expect(data(preview, 'guess.0')).to.deep.equal({ column: 'Network name', field: 'name', confidence: 'similar' });
    expect(data(preview, 'guess.3')).to.deep.equal({ column: 'Line of business', field: 'lineOfBusiness', confidence: 'same' });
    const values = await staff('GET', `/api/v1/imports/${id}/values?column=type&field=type`);
    expect(at(values.body, 'data.0')).to.deep.equal({ value: 'H.M.O.', count: 4, code: 'hmo' });

    const set = await staff('PUT', `/api/v1/imports/${id}/settings`, { columns: COLUMNS });
    expect(set.status, set.text).to.equal(200);
    const checked = await act(id, 'check');
    expect(data(checked, 'state')).to.equal('checked');
    expect(data(checked, 'checked')).to.include({ read: 8, created: 7, rejected: 1 });
    expect(at((await staff('GET', '/api/v1/records/Network?count=exact')).body, 'meta.count')).to.equal(0);

    const done = await act(id, 'start');
    expect(data(done, 'counts')).to.deep.equal({ read: 8, created: 7, updated: 0, unchanged: 0, skipped: 0, rejected: 1 });
    const errors = await staff('GET', `/api/v1/imports/${id}/errors`);
    expect(errors.headers.get('content-disposition')).to.contain('networks-errors.csv');
    expect(errors.text.split('\r\n')).to.deep.equal([
      `import:line,import:column,import:reason,${HEADER}`,
      '9,Network name,Name is required. Fill in Name.,,N99,hmo,commercial',
      '',
    ]);

    const undone = await act(id, 'undo');
    expect([data(undone, 'state'), data(undone, 'undone')]).to.deep.equal(['undone', { removed: 7, restored: 0, kept: 0 }]);
    expect(at((await staff('GET', '/api/v1/records/Network?count=exact')).body, 'meta.count')).to.equal(0);
  });

  it('remembers how a header was mapped, whatever the order of the columns', async () => {
    const turned = `${[...HEADER.split(',')].reverse().join(',')}\n${lines(2, 50)
      .map((line) => line.split(',').reverse().join(','))
      .join('\n')}\n`;
    const id = await ready(turned, 'later.csv');
    const preview = await staff('GET', `/api/v1/imports/${id}/preview`);
    expect(data(preview, 'suggested.columns.2')).to.deep.equal(COLUMNS[2]);
    const other = await app.caller('administrator');
    expect((await other('GET', `/api/v1/imports/${id}/preview`)).status).to.equal(200);
    expect(data(await other('GET', `/api/v1/imports/${id}/preview`), 'remembered')).to.equal(null);
    await staff('PUT', `/api/v1/imports/${id}/settings`, { columns: at(preview.body, 'data.suggested.columns') });
    expect(data(await act(id, 'start'), 'counts.created')).to.equal(2);
  });

  it('is of the one who began it, and of administrators', async () => {
    const id = await ready(file(...lines(1, 90)));
    const stranger = await app.caller('network');
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/preview'],
      ['GET', '/errors'],
      ['POST', '/start'],
      ['POST', '/cancel'],
      ['POST', '/undo'],
    ] as const)
      expect((await stranger(method, `/api/v1/imports/${id}${path}`)).status, `${method} ${path}`).to.equal(404);
    expect((await app.guest('GET', `/api/v1/imports/${id}`)).status).to.equal(401);
    expect(data(await staff('GET', `/api/v1/jobs/${id}`), 'id')).to.equal(id);
    expect(data(await act(id, 'cancel'), 'state')).to.equal('cancelled');
    expect((await staff('POST', `/api/v1/imports/${id}/start`)).status).to.equal(409);
  });

  it('says what is wrong with an upload and with settings, and keeps nothing of it', async () => {
    const problems = [
      [await upload(app, staff.token, { object: 'Network' }, null), 400, /part "file"/],
      [await upload(app, staff.token, {}, { name: 'x.csv', content: 'a\n' }), 400, /part "object"/],
      [await upload(app, staff.token, { object: 'Nothing' }, { name: 'x.csv', content: 'a\n' }), 404, /Nothing/],
      [await upload(app, staff.token, { object: 'Network', settings: '{' }, { name: 'x.csv', content: 'a\n' }), 400, /not valid JSON/],
      [await upload(app, staff.token, { object: 'Network', settings: '{"kee":[]}' }, { name: 'x.csv', content: 'a\n' }), 400, /settings/],
      [await upload(app, staff.token, { object: 'Network' }, { name: 'x.csv', content: 'x'.repeat(1_000_001) }), 413, /at most 1 MB/],
    ] as const;
    for (const [answer, status, says] of problems) {
      expect(answer.status, JSON.stringify(answer.body)).to.equal(status);
      expect(String(at(answer.body, 'detail'))).to.match(says);
    }
    const reader = await app.caller('recruiting');
    expect((await upload(app, reader.token, { object: 'Network' }, { name: 'x.csv', content: 'a\n' })).status).to.equal(403);
    const id = await ready(file(...lines(1, 95)));
    const wrong = await staff('PUT', `/api/v1/imports/${id}/settings`, {
      columns: [
        { column: 'cod', field: 'code' },
        { column: 'type', field: 'tpe' },
      ],
      key: ['name'],
    });
    expect(wrong.status).to.equal(400);
    expect([0, 1, 2].map((index) => at(wrong.body, `errors.${String(index)}.pointer`))).to.deep.equal(['/columns/0/column', '/columns/1/field', '/key/0']);
    await app.app.worker.drain();
    expect((await staff('GET', `/api/v1/imports/${id}`)).body).to.have.nested.property('data.state', 'ready');
  });

  it('a file that cannot be read ends its job with the reason', async () => {
    const id = await ready(`${HEADER}\n"never ends`);
    const job = await staff('GET', `/api/v1/imports/${id}`);
    expect(data(job, 'state')).to.equal('failed');
    expect(String(data(job, 'error'))).to.match(/CSV file is broken/);
  });

  it('an undo leaves what was changed since, and says which', async () => {
    const id = await ready(file(...lines(3, 200)), 'kept.csv', { settings: JSON.stringify({ columns: COLUMNS }) });
    await act(id, 'start');
    const found = await staff('GET', '/api/v1/records/Network?code=N201');
    const [recordId, version] = [String(at(found.body, 'data.0.id')), String(at(found.body, 'data.0.version'))];
    const patched = await staff('PATCH', `/api/v1/records/Network/${recordId}`, { name: 'Renamed by a person' }, { 'if-match': `"v${version}"` });
    expect(patched.status, patched.text).to.equal(200);
    const undone = await act(id, 'undo');
    expect(data(undone, 'undone')).to.deep.equal({ removed: 2, restored: 0, kept: 1 });
    const kept = await staff('GET', `/api/v1/imports/${id}/kept`);
    expect(data(kept, '')).to.deep.equal([{ recordId, reason: 'It was changed since it was imported.' }]);
    expect((await staff('GET', `/api/v1/records/Network/${recordId}`)).status).to.equal(200);
  });
});
