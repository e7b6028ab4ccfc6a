import type { Instant } from '../../src/platform/clock.ts';
import { makeCalendars } from '../../src/platform/calendar/calendars.ts';
import { checkExpression } from '../../src/platform/expression/check.ts';
import { CORE_FUNCTIONS } from '../../src/platform/expression/functions.ts';
import { compileJs } from '../../src/platform/expression/to-js.ts';
import type { EvalContext, ExprField, ExprSchema, Row } from '../../src/platform/expression/types.ts';
import { ident } from '../../src/platform/sql.ts';
import { median } from './load.ts';
import type { Row as Result } from './report.ts';

const NOW: Instant = '2026-06-30T22:15:00.000Z';
const RECORDS = 1024;

const fields: readonly ExprField[] = [
  { kind: 'value', name: 'status', type: { kind: 'text' }, column: 'status' },
  { kind: 'value', name: 'panelSize', type: { kind: 'number' }, column: 'panel_size' },
  { kind: 'value', name: 'dueOn', type: { kind: 'date' }, column: 'due_on' },
];

const schema: ExprSchema = {
  object: (name) => (name === 'Item' ? { name, fields: new Map(fields.map((field) => [field.name, field])) } : undefined),
  table: (name) => ident('bench', name.toLowerCase()),
  policy: () => undefined,
  hasCalendar: () => false,
  functions: CORE_FUNCTIONS,
};

interface Condition {
  readonly text: string;
  /** The same as somebody would write it by hand, null taken as the language takes it. */
  readonly byHand: (row: Row) => boolean;
}

const CONDITIONS: readonly Condition[] = [
  {
    text: "status == 'active' && panelSize >= 2000",
    byHand: (row) => row['status'] === 'active' && typeof row['panelSize'] === 'number' && row['panelSize'] >= 2000,
  },
  { text: 'dueOn <= addDays(today(), 30)', byHand: (row) => typeof row['dueOn'] === 'string' && row['dueOn'] <= '2026-07-30' },
  {
    text: "status in ['active', 'pending', 'new'] && !(panelSize * 2 + 1 > 700)",
    byHand: (row) =>
      (row['status'] === 'active' || row['status'] === 'pending' || row['status'] === 'new') &&
      !(typeof row['panelSize'] === 'number' && row['panelSize'] * 2 + 1 > 700),
  },
];

function context(): EvalContext {
  const plan = { name: 'plan', zone: 'America/New_York', weekdays: [1, 2, 3, 4, 5], holidays: [] };
  return {
    now: NOW,
    today: '2026-06-30',
    user: null,
    subject: null,
    one: () => null,
    many: () => [],
    policy: () => null,
    calendars: makeCalendars(new Map([['plan', plan]]), 'plan'),
  };
}

const STATUSES = ['active', 'pending', 'closed', null] as const;
const ROWS: readonly Row[] = Array.from({ length: RECORDS }, (_, index) => ({
  status: STATUSES[index % 4],
  panelSize: index % 7 === 0 ? null : index * 3,
  dueOn: index % 5 === 0 ? null : `2026-0${String(1 + (index % 9))}-15`,
}));

/** Runs a condition over the records until the time is up: how many a second, and how often it was true in one turn. */
function rate(condition: (row: Row) => boolean, seconds: number): { readonly perSecond: number; readonly trues: number } {
  const turn = (): number => ROWS.reduce((count, row) => count + (condition(row) ? 1 : 0), 0);
  const begun = process.hrtime.bigint();
  const end = begun + BigInt(Math.round(seconds * 1e9));
  let [turns, trues] = [0, 0];
  while (process.hrtime.bigint() < end) {
    trues = turn();
    turns += 1;
  }
  return { perSecond: (turns * RECORDS * 1e9) / Number(process.hrtime.bigint() - begun), trues };
}

/** Conditions compiled to JavaScript, beside the same written by hand; in this process, without a database. */
export function measureConditions(seconds: number, rounds: number, isWanted: (work: string) => boolean): readonly Result[] {
  const at = context();
  return CONDITIONS.filter(({ text }) => isWanted(`condition ${text}`)).map(({ text, byHand }) => {
    const run = compileJs(checkExpression(text, schema, { object: 'Item' }), schema);
    const compiled = (row: Row): boolean => run(row, at) === true;
    const [ours, limit]: [number[], number[]] = [[], []];
    for (let round = 0; round <= rounds; round += 1) {
      const [first, second] = [rate(compiled, seconds), rate(byHand, seconds)];
      if (first.trues !== second.trues) throw new Error(`"${text}" is not the same by hand: ${String(first.trues)} and ${String(second.trues)} records`);
      // The first round is for the compiler of the JavaScript engine.
      if (round > 0) {
        ours.push(first.perSecond);
        limit.push(second.perSecond);
      }
    }
    const [mine, other] = [median(ours), median(limit)];
    return {
      work: `condition ${text}`,
      against: 'written by hand',
      records: RECORDS,
      ours: mine,
      limit: other,
      ratio: mine / other,
      unit: 'evaluations/s',
      cpuMs: 1000 / mine,
      limitCpuMs: 1000 / other,
    };
  });
}
