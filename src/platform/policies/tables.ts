import type { PlainDate } from '../clock.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, ExprType, ExprValue, Row, TypedExpression } from '../expression/types.ts';
import type { PolicyFile, PolicyRow, PolicyVersion } from '../metadata/types.ts';
import type { Model } from '../model/types.ts';

/** A row of a decision table, ready to be asked. */
export interface CompiledRow {
  readonly row: PolicyRow;
  readonly expression: TypedExpression;
  readonly matches: (row: Row, context: EvalContext) => ExprValue;
}

/** The rows of a version, ready to be asked. @throws AppError metadata_invalid */
export function compileRows(model: Model, file: PolicyFile, version: PolicyVersion): readonly CompiledRow[] {
  return version.rows.map((row) => compileRow(model, file, row));
}

/** One row of a policy. @throws AppError metadata_invalid when it is no condition, or reads more than the record's own fields */
export function compileRow(model: Model, file: PolicyFile, row: PolicyRow): CompiledRow {
  const variables: Record<string, ExprType> = Object.fromEntries(Object.entries(file.keys ?? {}).map(([name, kind]) => [name, { kind }]));
  const expression = model.expression(row.when, file.object ?? null, variables);
  if (expression.type.kind !== 'boolean')
    throw new AppError('metadata_invalid', `Policy "${file.name}", row "${row.band}": \`when\` must be true or false, not ${expression.type.kind}.`);
  const path = expression.reads.find((read) => read.steps.length > 1);
  if (path !== undefined) {
    const dotted = path.steps.map((step) => step.field).join('.');
    throw new AppError(
      'metadata_invalid',
      `Policy "${file.name}", row "${row.band}": rows read the record's own fields or the policy's keys only, not ${dotted}.`,
    );
  }
  return { row, expression, matches: compileJs(expression, model.expressions) };
}

/** The row that decides for `input` on a day; null when none matches. Pure. @throws AppError rule_failed (`unique` and two rows match) */
export function decidingRow(
  model: Model,
  file: PolicyFile,
  version: { readonly name: string; readonly rows: readonly CompiledRow[] },
  input: Row,
  asOf: PlainDate,
): PolicyRow | null {
  const context: EvalContext = {
    now: model.calendarLookup.startOfDay(asOf, model.calendarLookup.planCalendar) ?? `${asOf}T00:00:00.000Z`,
    today: asOf,
    user: null,
    subject: null,
    variables: input,
    one: () => null,
    many: () => [],
    policy: () => null,
    calendars: model.calendarLookup,
  };
  const matching: CompiledRow[] = [];
  for (const row of version.rows) {
    if (row.matches(input, context) !== true) continue;
    matching.push(row);
    if (file.match === 'first') break;
  }
  const [found, second] = matching;
  if (found !== undefined && second !== undefined) {
    throw new AppError(
      'rule_failed',
      `Policy "${file.name}", version ${version.name}: rows "${found.row.band}" and "${second.row.band}" both match, and only one may. Make their conditions exclude each other.`,
    );
  }
  return found?.row ?? null;
}
