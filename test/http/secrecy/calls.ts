import type { Sent } from './product.ts';
import { EAST_ACCOUNTS, HIDDEN_FROM, HIDDEN_WORDS, idOf, VISIBLE_DEALS, WORDS } from './rows.ts';
import { COMPARED, EXPANDS, FIELDS, FIELDS_OF, FILTERS, OPERATORS, READ_OF, SEEN, UNSEEN, VALUES } from './words.ts';

/** A number from 0 up to and without `below`. */
export type Draw = (below: number) => number;

/** A source of numbers that gives the same ones for the same seed (mulberry32). */
export function drawFrom(seed: number): Draw {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

export interface Call extends Sent {
  readonly kind: string;
}

/** What earlier answers gave: cursors of lists, with the address that they belong to. */
export type Cursors = { readonly path: string; readonly cursor: string }[];

const base = '/api/v1/records';
const one = <T>(draw: Draw, list: readonly [T, ...T[]] | readonly T[]): T => {
  const found = list[draw(list.length)];
  if (found === undefined) throw new RangeError('Nothing to choose from.');
  return found;
};
const some = <T>(draw: Draw, list: readonly T[], most: number): readonly T[] => Array.from({ length: 1 + draw(most) }, () => one(draw, list));
const rarely = (draw: Draw, of: number): boolean => draw(of) === 0;

/** Mostly an object that may be read, at times one that may not. */
function objectOf(draw: Draw): string {
  return rarely(draw, 10) ? one(draw, UNSEEN) : one(draw, SEEN);
}

/** Mostly a field that may be read of some records, often a hidden one of the object, at times any. */
function fieldOf(draw: Draw, object: string): string {
  if (rarely(draw, 12)) return one(draw, FIELDS);
  return one(draw, (rarely(draw, 5) ? FIELDS_OF[object] : READ_OF[object]) ?? FIELDS);
}

function fieldsOf(draw: Draw, object: string, most: number): readonly string[] {
  return [...new Set(some(draw, [0], most).map(() => (rarely(draw, 3) ? fieldOf(draw, object) : one(draw, READ_OF[object] ?? FIELDS))))];
}

function expandOf(draw: Draw, object: string): string {
  return some(draw, EXPANDS[object] ?? ['nothing'], 3).join(',');
}

/** Of a text with a text, of a number with a number; at times not. */
function comparison(draw: Draw, object: string): string {
  const name = fieldOf(draw, object);
  const known = COMPARED.find(([names]) => names.includes(name));
  const value = known === undefined || rarely(draw, 10) ? one(draw, VALUES) : one(draw, known[1]);
  return `${name} ${one(draw, value === 'null' ? ['==', '!='] : OPERATORS)} ${value}`;
}

function filterOf(draw: Draw, object: string): string {
  const known = FILTERS[object];
  const part = known === undefined || rarely(draw, 3) ? comparison(draw, object) : one(draw, known);
  if (rarely(draw, 4)) return `${part} ${one(draw, ['&&', '||'])} ${comparison(draw, object)}`;
  return rarely(draw, 8) ? `!(${part})` : part;
}

function wordsOf(draw: Draw): string {
  const word = one(draw, [...WORDS, ...HIDDEN_WORDS, 'deal', 'H-101', 'D-7', 'E-3', 'X-151', 'Harbour', 'Obsidan', 'Marzpan', 'Lantren', 'qqqq', 'Left', 'ri']);
  return rarely(draw, 4) ? `${word} ${one(draw, [...WORDS, ...HIDDEN_WORDS])}` : word;
}

/** A record that is visible, hidden, in the trash, or not there. */
export function anyId(draw: Draw, object: string): string {
  if (rarely(draw, 25)) return one(draw, ['nothing', idOf('Ticket', 999), '00000000-0000-0000-0000-000000000000']);
  switch (object) {
    case 'Account':
      return idOf('Account', one(draw, [1 + draw(EAST_ACCOUNTS), 1 + draw(EAST_ACCOUNTS), 51, 60, 72]));
    case 'Remark':
      return idOf('Remark', one(draw, [1 + draw(40), 1 + draw(40), 101, 140]));
    case 'Item':
      return idOf('Item', draw(1_070));
    case 'Term':
      return idOf('Term', one(draw, [1 + draw(6), 100, 105]));
    case 'Vault':
      return idOf('Vault', 1 + draw(30));
    default:
      return idOf('Deal', one(draw, [1 + draw(VISIBLE_DEALS), 1 + draw(VISIBLE_DEALS), 1 + draw(VISIBLE_DEALS), 46 + draw(4), HIDDEN_FROM + draw(70)]));
  }
}

const encode = (parameters: Readonly<Record<string, string>>): string => new URLSearchParams(parameters).toString();

function listParameters(draw: Draw, object: string): Record<string, string> {
  const found: Record<string, string> = {};
  if (rarely(draw, 2)) found['fields'] = fieldsOf(draw, object, 5).join(',');
  if (rarely(draw, 3)) found['limit'] = one(draw, ['1', '3', '7', '20', '500', '0', 'x']);
  return found;
}

/** Every kind of call with its share, the page after another one among them. */
export const KINDS: readonly (readonly [kind: string, share: number, make: (draw: Draw, cursors: Cursors) => Sent])[] = [
  ['list', 12, (draw) => list(draw, (object) => listParameters(draw, object))],
  ['filter', 16, (draw) => list(draw, (object) => ({ ...listParameters(draw, object), filter: filterOf(draw, object) }))],
  ['equality', 5, (draw) => list(draw, (object) => ({ [fieldOf(draw, object)]: one(draw, VALUES).replaceAll("'", '') }))],
  ['sort', 12, (draw) => list(draw, (object) => ({ ...listParameters(draw, object), sort: sortOf(draw, object) }))],
  ['cursor', 8, nextPage],
  ['count', 10, count],
  ['query', 5, (draw) => query(draw)],
  ['expand', 10, (draw) => list(draw, (object) => ({ ...listParameters(draw, object), expand: expandOf(draw, object) }))],
  ['group', 12, group],
  ['search', 9, search],
  ['list search', 5, (draw) => list(draw, (object) => ({ ...listParameters(draw, object), search: wordsOf(draw) }))],
  ['read', 10, read],
  ['past', 6, past],
  ['history', 8, (draw) => below(draw, 'history')],
  ['report', 4, (draw) => ({ method: 'GET', path: `/api/v1/reports${one(draw, ['/pipeline', '/pipeline', '/pipeline', '/vaults', '/nothing', ''])}` })],
  ['layout and transitions', 4, (draw) => below(draw, one(draw, ['layout', 'transitions', 'timeline']))],
  ['duplicates', 4, (draw) => (rarely(draw, 2) ? below(draw, 'duplicates') : { method: 'GET', path: `/api/v1/duplicates?object=${objectOf(draw)}` })],
  ['trash', 3, trash],
  [
    'description',
    2,
    (draw) => ({ method: 'GET', path: one(draw, ['/api/v1/objects', '/api/v1/objects/Deal', '/api/v1/objects/Vault', '/api/v1/openapi.json']) }),
  ],
  ['export', 7, exported],
  ['write', 8, write],
  ['refused write', 6, refused],
];

const SHARES = KINDS.flatMap(([kind, share, make]) => Array.from({ length: share }, () => [kind, make] as const));

/** The next call. */
export function drawCall(draw: Draw, cursors: Cursors): Call {
  const [kind, make] = one(draw, SHARES);
  return { kind, ...make(draw, cursors) };
}

function list(draw: Draw, parameters: (object: string) => Readonly<Record<string, string>>): Sent {
  const object = objectOf(draw);
  return { method: 'GET', path: `${base}/${object}?${encode(parameters(object))}` };
}

function sortOf(draw: Draw, object: string): string {
  return fieldsOf(draw, object, 2)
    .map((name) => `${rarely(draw, 2) ? '-' : ''}${name}`)
    .join(',');
}

function nextPage(draw: Draw, cursors: Cursors): Sent {
  const last = cursors.at(-1 - draw(5)) ?? { path: `${base}/Deal?sort=name`, cursor: 'none' };
  return { method: 'GET', path: `${last.path}&cursor=${encodeURIComponent(rarely(draw, 10) ? `${last.cursor}x` : last.cursor)}` };
}

function count(draw: Draw): Sent {
  return list(draw, (object) => {
    const narrowed = rarely(draw, 4) ? { search: wordsOf(draw) } : rarely(draw, 4) ? {} : { filter: filterOf(draw, object) };
    return { limit: '1', fields: 'id', count: one(draw, ['exact', 'capped', 'estimate', 'estimate']), ...narrowed };
  });
}

function query(draw: Draw): Sent {
  const object = objectOf(draw);
  const day = rarely(draw, 3) ? { effectiveOn: `202${String(1 + draw(7))}-06-01` } : {};
  const body = {
    filter: filterOf(draw, object),
    sort: [fieldOf(draw, object)],
    limit: 5,
    count: 'exact',
    fields: fieldsOf(draw, object, 3),
    ...day,
  };
  return { method: 'POST', path: `${base}/${object}/query`, body };
}

function group(draw: Draw): Sent {
  const object = objectOf(draw);
  const groupBy = rarely(draw, 4) ? [] : fieldsOf(draw, object, 2);
  const op = one(draw, ['count', 'count', 'sum', 'min', 'max', 'avg', 'medianDays']);
  const measures = [
    { as: 'n', op: 'count' },
    { as: 'm', op, field: fieldOf(draw, object), ...(op === 'medianDays' ? { since: 'openedOn' } : {}) },
  ].slice(0, 1 + draw(2));
  const narrowed = rarely(draw, 2) ? { filter: filterOf(draw, object) } : {};
  return { method: 'POST', path: `${base}/${object}/aggregate`, body: { groupBy, measures, ...narrowed } };
}

function search(draw: Draw): Sent {
  const narrowed = rarely(draw, 3)
    ? {
        objects: some(draw, [0], 2)
          .map(() => objectOf(draw))
          .join(','),
      }
    : {};
  return { method: 'GET', path: `/api/v1/search?${encode({ q: wordsOf(draw), limit: one(draw, ['1', '3', '20', '100']), ...narrowed })}` };
}

function read(draw: Draw): Sent {
  const object = objectOf(draw);
  const fields = rarely(draw, 3) ? { fields: fieldsOf(draw, object, 3).join(',') } : {};
  const expand = rarely(draw, 2) ? { expand: expandOf(draw, object) } : {};
  return { method: 'GET', path: `${base}/${object}/${anyId(draw, object)}?${encode({ ...fields, ...expand })}` };
}

function past(draw: Draw): Sent {
  const object = objectOf(draw);
  const expand = rarely(draw, 2) ? { expand: one(draw, ['account', 'remarks', 'deals', 'terms', 'account.deals', 'deal', 'about']) } : {};
  const moment = new Date(Date.UTC(2027, 0, 1, 12) + draw(2_800) * 1_000).toISOString();
  const when = one<Readonly<Record<string, string>>>(draw, [
    { recordedAt: moment },
    { recordedAt: moment },
    { effectiveOn: `202${String(1 + draw(7))}-03-01` },
    { asOf: '2027-01-01' },
  ]);
  return { method: 'GET', path: `${base}/${object}/${anyId(draw, object)}?${encode({ ...when, ...expand })}` };
}

function below(draw: Draw, part: string): Sent {
  const object = objectOf(draw);
  return { method: 'GET', path: `${base}/${object}/${anyId(draw, object)}/${part}` };
}

function trash(draw: Draw): Sent {
  if (rarely(draw, 2)) return { method: 'GET', path: `/api/v1/trash?limit=${one(draw, ['1', '2', '50'])}` };
  const object = objectOf(draw);
  return { method: 'GET', path: `${base}/${object}?${encode({ trash: 'true', count: 'exact', sort: fieldOf(draw, object) })}` };
}

function exported(draw: Draw): Sent {
  const object = objectOf(draw);
  const fields = rarely(draw, 2) ? { fields: fieldsOf(draw, object, 4).join(',') } : {};
  const narrowed = rarely(draw, 2) ? { filter: filterOf(draw, object) } : rarely(draw, 4) ? { search: wordsOf(draw) } : {};
  const format = one(draw, ['csv', 'ndjson', 'ndjson', 'csv', 'xlsx', 'pdf']);
  return { method: 'GET', path: `/api/v1/exports/${object}?${encode({ format, ...fields, ...narrowed })}` };
}

/** Changes that may succeed: of what is no key, for that a key is taken is said. */
function write(draw: Draw): Sent {
  const values = one<Readonly<Record<string, unknown>>>(draw, [
    { amount: String(draw(900)) },
    { isHot: rarely(draw, 2) },
    { tags: ['x', String(draw(9))] },
    { city: 'Bern' },
    { account: anyId(draw, 'Account') },
    { margin: '1' },
    { bonus: String(draw(90)) },
    { ownerId: null },
    { nothing: 1, stage: 'won' },
  ]);
  const headers = rarely(draw, 9) ? {} : { 'if-match': `"v${String(2 + draw(4))}"` };
  const id = rarely(draw, 4) ? anyId(draw, 'Deal') : idOf('Deal', 3 * (1 + draw(VISIBLE_DEALS / 3)));
  return { method: 'PATCH', path: `${base}/Deal/${id}`, body: values, headers: { ...headers, 'change-reason': 'So it is.' } };
}

/** What can never succeed, whatever is hidden. */
function refused(draw: Draw): Sent {
  const id = anyId(draw, 'Deal');
  const hidden = idOf('Deal', HIDDEN_FROM + draw(70));
  const headers = { 'if-match': `"v${String(7_000 + draw(5))}"` };
  return one<Sent>(draw, [
    { method: 'DELETE', path: `${base}/Deal/${rarely(draw, 2) ? id : hidden}`, headers },
    { method: 'POST', path: `${base}/Remark`, body: { text: 'x', deal: hidden, weight: 'much' } },
    { method: 'POST', path: `${base}/Remark`, body: { text: 'x', about: { object: 'Deal', id: hidden }, deal: hidden } },
    { method: 'POST', path: `${base}/Remark`, body: { text: 'x', about: hidden, deal: hidden } },
    { method: 'POST', path: `${base}/Deal`, body: { name: 'x', account: idOf('Account', 60 + draw(20)) } },
    { method: 'POST', path: `${base}/Deal/${hidden}/transitions/win`, body: {}, headers: { 'if-match': '"v1"' } },
    { method: 'POST', path: `${base}/Deal/${id}/merge`, body: { sources: [{ id: hidden, version: 1 }], preview: true }, headers: { 'if-match': '"v1"' } },
    { method: 'POST', path: `${base}/Deal/${hidden}/restore`, body: {}, headers: { 'if-match': '"v1"' } },
    { method: 'POST', path: `${base}/Deal/${hidden}/undo`, body: {}, headers: { 'if-match': '"v1"' } },
    { method: 'POST', path: `${base}/Deal/bulk`, body: { mode: 'each', items: [{ kind: 'update', id: hidden, version: 1, values: { city: 'Zug' } }] } },
    { method: 'GET', path: `${base}/Deal/${id}/explain?rule=nothing` },
    { method: 'PATCH', path: `${base}/Vault/${idOf('Vault', 1 + draw(30))}`, body: { text: 'x' }, headers: { 'if-match': '"v1"' } },
  ]);
}
