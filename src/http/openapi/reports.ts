import { listReports } from '../../platform/analytics/reports.ts';
import { mayDoEverything, mayRunAction } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { listObjects } from '../api/describe.ts';
import { CORRECTION_BODY } from '../api/reports.ts';
import { camel, common, dataOf, get, inQuery, list, listOf, ONCE, post, RECORD_ID, type Json } from './parts.ts';

const tag = 'Reports';

/** Reports, what rules did with a record, and captured mail. */
export function reportPaths(context: CallContext, sendsMail: boolean): Json {
  const mayReadFrozen = mayDoEverything(context) || mayRunAction(context, 'frozen-reports');
  const each = listReports(context).flatMap(({ name, label, period }): readonly (readonly [string, Json])[] => {
    const path = `/api/v1/reports/${name}`;
    const frozen = get({ id: `frozen${camel(name)}`, summary: `${label}, as it was published`, tag, answer: list(common('FrozenReport')) });
    return [
      [
        path,
        get({ id: `report${camel(name)}`, summary: label, tag, ...(period === undefined ? {} : { parameters: [PERIOD] }), answer: dataOf(common('Report')) }),
      ],
      ...(mayReadFrozen ? [[`${path}/frozen`, frozen] as const] : []),
      ...(period !== undefined && mayDoEverything(context) ? correctionPaths(path, name, label) : []),
    ];
  });
  return {
    '/api/v1/reports': get({ id: 'listReports', summary: 'Reports that you may see', tag, answer: list(common('ReportSummary')) }),
    ...Object.fromEntries(each),
    ...(mayRunAction(context, 'explain') ? explainPaths(context) : {}),
    ...(!sendsMail && mayDoEverything(context) ? mailPaths() : {}),
  };
}

const PERIOD = inQuery('period', 'The first and the last day of a period of the report, as in 2026-11-16/2026-11-22; the last that is over unless told.');

function correctionPaths(path: string, name: string, label: string): readonly (readonly [string, Json])[] {
  const answer = dataOf(common('ReportCorrection'));
  const errors = ['not_found', 'conflict_state'] as const;
  const preview = { id: `correctionOf${camel(name)}`, summary: `${label}: what a correction of a published period would change`, tag };
  const correct = { id: `correct${camel(name)}`, summary: `${label}: publish a period anew, as its next version`, tag };
  return [
    [`${path}/correction`, get({ ...preview, parameters: [{ ...PERIOD, required: true }], answer, errors })],
    [`${path}/corrections`, post({ ...correct, parameters: [ONCE], body: CORRECTION_BODY.schema, status: 201, answer, errors })],
  ];
}

function explainPaths(context: CallContext): Json {
  const parameters = [RECORD_ID, inQuery('rule', 'Name of the rule; without it every rule of the object is told of in short.')];
  const answer = dataOf({ anyOf: [common('Explanation'), listOf(common('RuleOutcome'))] });
  return Object.fromEntries(
    listObjects(context).map(({ name, label }) => [
      `/api/v1/records/${name}/{id}/explain`,
      get({ id: `explain${name}`, summary: `Why a rule started for a ${label}, or why not`, tag: name, parameters, answer }),
    ]),
  );
}

function mailPaths(): Json {
  const mail = list(common('CapturedMail'));
  return {
    '/api/v1/dev/mail': get({ id: 'listCapturedMail', summary: 'Mail that was kept because SMTP_URL is not set', tag, answer: mail }),
    '/api/v1/dev/mail/{id}': get({ id: 'getCapturedMail', summary: 'One captured mail', tag, parameters: [RECORD_ID], answer: dataOf(common('MailText')) }),
  };
}
