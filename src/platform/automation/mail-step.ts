import type { Knex } from 'knex';
import type { CallContext } from '../access/types.ts';
import { SUPPRESSED } from '../mail/mail.sql.ts';
import type { QueueMail } from '../mail/types.ts';
import type { RuleStep } from '../metadata/types.ts';
import { mailData, type MailValues } from './mail-data.ts';
import { eachKey, refresh, variablesOf, type Each, type Evaluate, type Stage } from './stage.ts';
import type { CompiledStep, RuleRecord, StepTrace } from './types.ts';

/** Queues a mail to each address that the step names, and answers what became of each. */
export async function sendMail(
  stage: Stage,
  step: CompiledStep,
  file: Extract<RuleStep, { step: 'send-mail' }>,
  each: Each | null,
  evaluate: Evaluate,
): Promise<readonly Omit<StepTrace, 'step' | 'kind'>[]> {
  const to = step.values.get('@to');
  const found = to === undefined ? null : await evaluate(to);
  const recipients = [...new Set((Array.isArray(found) ? found : [found]).filter((entry): entry is string => typeof entry === 'string' && entry !== ''))];
  if (recipients.length === 0) return [{ outcome: 'skipped', reason: `There is nobody to write to: ${file.to} is empty.` }];
  const data = await mailData(
    stage.tx,
    stage.context,
    file.template,
    stage.record,
    { ...variablesOf(stage, each), ...stage.given },
    valuesAlone(stage),
    stage.evaluator,
  );
  const attachments = await attachmentsOf(step, evaluate);
  const entries: Omit<StepTrace, 'step' | 'kind'>[] = [];
  let isTold = false;
  for (const recipient of recipients) {
    const mail: QueueMail = {
      template: file.template,
      to: recipient,
      class: file.class,
      key: `${stage.run.runKey}:${String(step.index)}${each === null ? '' : `:${eachKey(each)}`}:${recipient.toLowerCase()}`,
      data,
      about: stage.record === null ? null : { object: stage.record.object, id: stage.record.id },
      ...groupOf(stage, file.group),
      // One address that is none must not keep the others from their mail.
      badAddress: 'record',
      ...(file.mailbox === undefined ? {} : { mailbox: file.mailbox }),
      ...(attachments.length === 0 ? {} : { attachments }),
    };
    const answer = await stage.data.mail(stage.context, mail);
    const sent = { record: answer.deliveryId, object: 'mail' };
    if (answer.queued) entries.push({ outcome: 'done', ...sent });
    else if (answer.failure !== undefined) entries.push({ outcome: 'failed', ...sent, reason: answer.failure });
    else entries.push({ outcome: 'skipped', ...sent, reason: answer.suppressed === true ? SUPPRESSED : 'This mail was queued before.' });
    isTold ||= answer.failure !== undefined || answer.suppressed === true;
  }
  // The record may have been told that it is not written to.
  if (isTold) await refresh(stage);
  return entries;
}

/** The record that a reference of the rule's record names. */
function groupOf({ record, context }: Stage, reference: string | undefined): Pick<QueueMail, 'group'> {
  const id = reference === undefined ? null : record?.row[reference];
  const object = record === null || reference === undefined ? null : context.model.objects.get(record.object)?.fields.get(reference)?.ref?.to[0];
  return typeof id === 'string' && typeof object === 'string' ? { group: { object, id } } : {};
}

/** The values that parts of the product make for templates, each made while no other run is at work. */
function valuesAlone({ tools, data }: Stage): MailValues {
  return new Map(
    [...tools.mailValues].map(([name, make]) => [
      name,
      (tx: Knex.Transaction, context: CallContext, record: RuleRecord) => data.alone(() => make(tx, context, record)),
    ]),
  );
}

/** Files to attach: the value of a file field (`{id, name}`), its id, or a list of those. */
async function attachmentsOf(step: CompiledStep, evaluate: Evaluate): Promise<readonly { readonly fileId: string; readonly name: string }[]> {
  const attach = step.values.get('@attach');
  if (attach === undefined) return [];
  const value = await evaluate(attach);
  return (Array.isArray(value) ? value : [value]).flatMap((entry: unknown) => {
    if (typeof entry === 'string') return [{ fileId: entry, name: 'document.pdf' }];
    if (typeof entry !== 'object' || entry === null || !('id' in entry) || typeof entry.id !== 'string') return [];
    return [{ fileId: entry.id, name: 'name' in entry && typeof entry.name === 'string' ? entry.name : 'document.pdf' }];
  });
}
