import type { CallContext } from '../access/types.ts';
import { AppError } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, ExprType } from '../expression/types.ts';
import type { Expression } from '../metadata/scalars.ts';
import type { PolicyLookup } from '../record/related.sql.ts';

/** What an expression of a mailbox gives for a message, or for the mailbox itself. It may ask policies, and no records. */
export function mailboxValue(
  context: CallContext,
  policies: PolicyLookup,
  text: Expression,
  types: Readonly<Record<string, ExprType>>,
  variables: Readonly<Record<string, unknown>>,
): unknown {
  const { model } = context;
  const noRecords = (): never => {
    throw new AppError('rule_failed', 'Values of a mailbox read the message only, no other records.');
  };
  const evaluation: EvalContext = {
    now: context.now,
    today: context.today,
    user: null,
    subject: null,
    variables,
    one: noRecords,
    many: noRecords,
    policy: (name, input, asOf) => policies(model, name, input, asOf),
    calendars: model.calendarLookup,
  };
  return compileJs(model.expression(text, null, types), model.expressions)({}, evaluation);
}

/**
 * A whole number that an expression of a mailbox gives, or null when it gives none, as a policy without a row for it.
 * @throws AppError rule_failed for anything else
 */
export function mailboxCount(...asked: Parameters<typeof mailboxValue>): number | null {
  const value = mailboxValue(...asked);
  if (value === null) return null;
  const count = Number(value);
  if ((typeof value !== 'number' && typeof value !== 'string') || !Number.isInteger(count) || count < 0)
    throw new AppError('rule_failed', `"${asked[2]}" of a mailbox gives no whole number from 0.`);
  return count;
}
