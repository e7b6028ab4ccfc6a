import type { PlainDate } from '../clock.ts';
import { isAppError, type ErrorDetail } from '../errors.ts';
import { addDays } from '../expression/dates.ts';
import { childrenOf, treeOf, type Expr } from '../expression/tree.ts';
import type { Row } from '../expression/types.ts';
import { metadataPointer } from '../metadata/kinds.ts';
import type { PolicyFile, PolicyRow } from '../metadata/types.ts';
import { firstDay } from '../model/approvals.ts';
import type { Model } from '../model/types.ts';
import { checkFloors, isLooser } from './floors.ts';
import { compileRows, decidingRow, type CompiledRow } from './tables.ts';

/** A case in which a policy is looser than its floor. */
export interface FloorFinding {
  readonly policy: string;
  readonly pointer: string;
  readonly strict: boolean;
  readonly detail: string;
}

/** Most cases looked at for one day; of more, so many that lie evenly among them. The floor holds in all of them whatever is found. */
const MOST_CASES = 5_000;

/** Policies that are looser than their floor and must not be (`strict`), and floors that are none: a check before metadata is applied. */
export function checkStrictFloors(model: Model): readonly ErrorDetail[] {
  const wrong = checkFloors(model);
  if (wrong.length > 0) return wrong;
  return floorFindings(model)
    .filter(({ strict }) => strict)
    .map(({ pointer, detail }) => ({ pointer, code: 'looser_than_floor', detail, fix: 'Make the row as strict as the floor.' }));
}

/** Policies that are looser than their floor, which then holds in their place: said when metadata is planned, checked and applied. */
export function remarkFloors(
  model: Model,
): readonly { readonly pointer: string; readonly code: 'looser_than_floor'; readonly detail: string; readonly fix: string }[] {
  return floorFindings(model)
    .filter(({ strict }) => !strict)
    .map(({ pointer, detail }) => ({
      pointer,
      code: 'looser_than_floor',
      detail: `${detail} The floor holds there.`,
      fix: 'Make the row as strict as the floor.',
    }));
}

/**
 * For each policy with a floor and each result, the first case in which it is looser, as both are written. A condition changes its outcome
 * only at the values it names, so the values named in the rows, their neighbours, others and none are tried in all combinations, on each
 * day on which a version of either begins. Pure.
 */
export function floorFindings(model: Model): readonly FloorFinding[] {
  return [...model.policies.values()].flatMap((file): readonly FloorFinding[] => {
    const { floor } = file;
    const other = floor === undefined ? undefined : model.policies.get(floor.policy);
    if (floor === undefined || other === undefined) return [];
    const found = new Map<string, FloorFinding>();
    const days = [...new Set([...file.versions, ...other.versions].map((version) => firstDay(version.effective)))].sort();
    for (const day of days) {
      const [own, demanded] = [tableOn(model, file, day), tableOn(model, other, day)];
      if (own === null || demanded === null) continue;
      for (const input of casesOf(model, file, [...own.rows, ...demanded.rows])) {
        const [limit, row] = deciding(model, [other, demanded], [file, own], input, day, (detail) =>
          found.set('', { policy: file.name, pointer: metadataPointer('policies', file.name, '/floor'), strict: false, detail }),
        );
        if (limit === null || limit === undefined) continue;
        for (const [name, which] of Object.entries(floor.results)) {
          const value = row?.then[name] ?? null;
          if (found.has(name) || isLooser(model, which, value, limit.then[name] ?? null, day) === false) continue;
          const words = `${name} ${JSON.stringify(value)} of ${row === null || row === undefined ? 'no row' : `row "${row.band}"`}, where ${other.name} demands ${JSON.stringify(limit.then[name])} (row "${limit.band}")`;
          const detail = `Version ${own.name} of the policy ${file.name} is looser than its floor for ${JSON.stringify(input)}: ${words}.`;
          found.set(name, {
            policy: file.name,
            pointer: metadataPointer('policies', file.name, `/versions/${String(own.place)}`),
            strict: floor.strict === true,
            detail,
          });
        }
      }
    }
    return [...found.values()];
  });
}

/** The rows of the floor and of the policy for one case; a table of which two rows match where only one may is reported. */
function deciding(
  model: Model,
  floor: readonly [PolicyFile, Table],
  own: readonly [PolicyFile, Table],
  input: Row,
  day: PlainDate,
  report: (detail: string) => void,
): readonly (PolicyRow | null)[] {
  try {
    return [floor, own].map(([file, table]) => decidingRow(model, file, table, input, day));
  } catch (error) {
    if (!isAppError(error, 'rule_failed')) throw error;
    report(error.message);
    return [null, null];
  }
}

interface Table {
  readonly name: string;
  readonly place: number;
  readonly rows: readonly CompiledRow[];
}

/** The version that is in force on a day as the file is written. */
function tableOn(model: Model, file: PolicyFile, day: PlainDate): Table | null {
  const places = file.versions.map((version, place) => ({ version, place })).filter(({ version }) => firstDay(version.effective) <= day);
  const newest = places.sort((a, b) => (firstDay(a.version.effective) < firstDay(b.version.effective) ? -1 : 1)).at(-1);
  return newest === undefined ? null : { name: newest.version.effective, place: newest.place, rows: compileRows(model, file, newest.version) };
}

/** What the rows may tell apart: for each field or key that they read, the values that they name, others, and none. */
function* casesOf(model: Model, file: PolicyFile, rows: readonly CompiledRow[]): Generator<Row> {
  const names = [...new Set(rows.flatMap(({ expression }) => namesRead(treeOf(expression))))].sort();
  const literals = rows.flatMap(({ expression }) => literalsIn(treeOf(expression)));
  const values = names.map((name): readonly unknown[] =>
    [...new Set([...valuesNear(literals), ...codesOf(model, file, name), true, false, null])].filter((value) => fits(model, file, name, value)),
  );
  const total = values.reduce((product, list) => product * list.length, 1);
  let stride = Math.max(1, Math.ceil(total / MOST_CASES));
  // Without a common divisor each value of each name comes as often as the others.
  while (greatestDivisor(stride, total) > 1) stride += 1;
  for (let count = 0; count < Math.min(total, MOST_CASES); count += 1) {
    let rest = (count * stride) % total;
    const input: Record<string, unknown> = {};
    for (const [index, name] of names.entries()) {
      const list = values[index] ?? [null];
      input[name] = list[rest % list.length];
      rest = Math.floor(rest / list.length);
    }
    yield input;
  }
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

function namesRead(node: Expr): readonly string[] {
  const own = node.kind === 'field' || node.kind === 'formula' ? [node.name] : node.kind === 'variable' ? [node.name] : [];
  return [...own, ...childrenOf(node).flatMap(namesRead)];
}

function literalsIn(node: Expr): readonly unknown[] {
  const own = node.kind === 'literal' ? (Array.isArray(node.value) ? node.value : [node.value]) : [];
  return [...own, ...childrenOf(node).flatMap(literalsIn)];
}

/** The values themselves, and the ones next to them on both sides. */
function valuesNear(literals: readonly unknown[]): readonly unknown[] {
  return literals.flatMap((value): readonly unknown[] => {
    const number = typeof value === 'object' && value !== null ? Number(String(value)) : value;
    if (typeof number === 'number') return [number - 1, number, number + 1];
    if (typeof value !== 'string') return [value];
    return /^\d{4}-\d{2}-\d{2}$/.test(value) ? [addDays(value, -1), value, addDays(value, 1)] : [value, `${value} `];
  });
}

function codesOf(model: Model, file: PolicyFile, name: string): readonly string[] {
  const values = file.object === undefined ? null : (model.objects.get(file.object)?.fields.get(name)?.values ?? null);
  return values === null ? [] : values.values.map(({ code }) => code);
}

/** Whether a field or key may hold a value. */
function fits(model: Model, file: PolicyFile, name: string, value: unknown): boolean {
  if (value === null) return true;
  const field = file.object === undefined ? undefined : model.objects.get(file.object)?.fields.get(name);
  const codes = field?.values?.values.map(({ code }) => code);
  if (codes !== undefined) return typeof value === 'string' && codes.includes(value);
  const kind = field?.valueKind ?? file.keys?.[name];
  if (kind === 'boolean') return typeof value === 'boolean';
  if (kind === 'number' || kind === 'integer' || kind === 'decimal' || kind === 'money' || kind === 'percent') return typeof value === 'number';
  if (kind === 'date') return typeof value === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(value);
  return typeof value === 'string';
}
