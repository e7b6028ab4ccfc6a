import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { inTransaction } from '../db.ts';
import { AppError, type ErrorDetail } from '../errors.ts';
import { compileJs } from '../expression/to-js.ts';
import type { EvalContext, ExprType } from '../expression/types.ts';
import { fault } from '../fault.ts';
import type { FormFile, FormSigning } from '../metadata/screen-types.ts';
import type { RecordData } from '../query/types.ts';
import type { FormsDeps } from './submissions.ts';
import { formOf } from './pages.ts';

/** Who signs, and how we know. `party` says through which door: the portal (the other side) or the console (the plan). */
export interface Signer {
  readonly name: string;
  readonly title: string;
  readonly consent: boolean;
  readonly address: string;
  readonly userAgent: string;
  readonly party: 'portal' | 'staff';
  /** SHA-256 of the document as it was shown to the signer. */
  readonly seenHash: string;
}

const SIGNER_TYPE: ExprType = {
  kind: 'struct',
  members: {
    name: { kind: 'text' },
    title: { kind: 'text' },
    consent: { kind: 'text' },
    at: { kind: 'instant' },
    address: { kind: 'text' },
    userAgent: { kind: 'text' },
    party: { kind: 'text' },
  },
};

/** The form of that name as a signing page. @throws AppError not_found */
export function signingForm(context: CallContext, name: string): { readonly form: FormFile; readonly signing: FormSigning } {
  const { form } = formOf(context.model, name);
  if (form.signing === undefined) throw new AppError('not_found', `Form "${name}" is not for signing.`);
  return { form, signing: form.signing };
}

/**
 * Signs the record's document: the evidence record and the transition are written together (15 USC 7001: intent, consent,
 * association with the record). Refused when the document changed since it was shown.
 */
export async function signDocument(deps: FormsDeps, db: Knex, context: CallContext, formName: string, recordId: string, signer: Signer): Promise<RecordData> {
  const { form, signing } = signingForm(context, formName);
  const transition = signer.party === 'portal' ? signing.transitions.portal : signing.transitions.staff;
  const errors: ErrorDetail[] = [];
  if (signer.name.trim() === '') errors.push({ pointer: '/name', code: 'required', detail: 'Enter your full name' });
  if (!signer.consent) errors.push({ pointer: '/consent', code: 'required', detail: 'Tick the box to agree to sign electronically' });
  if (errors.length > 0) throw new AppError('validation_failed', 'The document is not signed yet.', { errors });
  if (transition === undefined) throw new AppError('conflict_state', 'This document is not signed by this side.');
  return inTransaction(db, async (tx) => {
    const record = await deps.reader.get(tx, context, form.object, recordId, {});
    if (record[signing.hash] !== signer.seenHash) {
      throw new AppError('conflict_state', 'A newer version of this document was made since you opened it. Read the new version, then sign.');
    }
    const evaluation: EvalContext = {
      now: context.now,
      today: context.today,
      user: context.principal.kind === 'user' ? context.principal.userId : null,
      subject: null,
      variables: {
        signer: {
          name: signer.name.trim(),
          title: signer.title.trim(),
          consent: signing.consent,
          at: context.now,
          address: signer.address,
          userAgent: signer.userAgent,
          party: signer.party,
        },
      },
      one: () => null,
      many: () => [],
      policy: () => null,
      calendars: context.model.calendarLookup,
    };
    const values: Record<string, unknown> = { [signing.evidence.reference]: recordId };
    for (const [field, text] of Object.entries(signing.evidence.values)) {
      const typed = context.model.expression(text, form.object, { signer: SIGNER_TYPE });
      values[field] = compileJs(typed, context.model.expressions)(record, evaluation);
    }
    // The evidence is kept by the system, whatever the signer may write; the step itself needs the signer's own right.
    await deps.engine.write(tx, context, signing.evidence.object, [{ kind: 'create', values }], { asSystem: true });
    fault('signing.after_evidence');
    await deps.engine.write(tx, context, form.object, [{ kind: 'transition', id: recordId, version: record.version, transition }]);
    return deps.reader.get(tx, context, form.object, recordId, {});
  });
}
