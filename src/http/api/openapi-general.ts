import { listReports } from '../../platform/analytics/reports.ts';
import { mayDoEverything, mayRunAction, rightsFor } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { mayFill } from '../../platform/forms/asked.ts';
import { FORM_BODIES } from './forms.ts';
import { camel, dataOf, IF_MATCH, inPath, inQuery, list, ONCE, operation, RECORD_ID, type Json } from './openapi-parts.ts';
import { ACCEPT_BODY, SIGN_IN_BODY, TOKEN_BODY } from './sessions.ts';
import { NEW_USER_BODY, USER_CHANGE_BODY } from './users.ts';

/** Addresses that do not belong to one object, as far as this caller may use them. */
export function generalPaths(context: CallContext, sendsMail: boolean): Json {
  const tag = 'General';
  const anything = { type: 'object' };
  const writes = [...context.model.objects.keys()].some((name) => rightsFor(context, name).canCreate || rightsFor(context, name).canUpdate);
  const user = dataOf(anything);
  const users = {
    '/api/v1/users': {
      get: operation({ id: 'listAccounts', summary: 'Accounts', tag, answer: list(anything) }),
      post: operation({ id: 'addAccount', summary: 'Add an account', tag, parameters: [ONCE], body: NEW_USER_BODY.schema, status: 201, answer: user }),
    },
    '/api/v1/users/{id}': {
      get: operation({ id: 'getAccount', summary: 'One account', tag, parameters: [RECORD_ID], answer: user }),
      patch: operation({
        id: 'changeAccount',
        summary: 'Change an account',
        tag,
        parameters: [RECORD_ID, IF_MATCH],
        body: USER_CHANGE_BODY.schema,
        answer: user,
      }),
    },
    '/api/v1/users/{id}/invitation': {
      post: operation({ id: 'inviteAccount', summary: 'A new invitation', tag, parameters: [RECORD_ID], status: 201, answer: user }),
    },
  };
  return {
    '/api/v1/sign-in': { post: operation({ id: 'signIn', summary: 'Sign in with a password', tag, body: SIGN_IN_BODY.schema, answer: user, open: true }) },
    '/api/v1/sign-out': { post: operation({ id: 'signOut', summary: 'End the session', tag, status: 204 }) },
    '/api/v1/session': { get: operation({ id: 'getSession', summary: 'Who is signed in, with the CSRF token', tag, answer: user }) },
    '/api/v1/me': { get: operation({ id: 'getMe', summary: 'The same as /session', tag, answer: user }) },
    '/api/v1/invitations/{secret}': {
      get: operation({ id: 'getInvitation', summary: 'Whom an invitation is for', tag, parameters: [inPath('secret')], answer: user, open: true }),
    },
    '/api/v1/invitations/accept': {
      post: operation({ id: 'acceptInvitation', summary: 'Take an invitation', tag, body: ACCEPT_BODY.schema, answer: user, open: true }),
    },
    '/api/v1/tokens': {
      post: operation({ id: 'createToken', summary: 'A new API token, shown once', tag, body: TOKEN_BODY.schema, status: 201, answer: user }),
    },
    '/api/v1/tokens/{id}': { delete: operation({ id: 'revokeToken', summary: 'End an API token', tag, parameters: [RECORD_ID], status: 204 }) },
    '/api/v1/objects': { get: operation({ id: 'listObjects', summary: 'Objects that you may see', tag, answer: list(anything) }) },
    '/api/v1/objects/{object}': {
      get: operation({ id: 'getObject', summary: 'One object: fields, path, views, layout', tag, parameters: [inPath('object')], answer: user }),
    },
    '/api/v1/search': {
      get: operation({
        id: 'search',
        summary: 'Search across objects',
        tag,
        parameters: [{ ...inQuery('q', 'Words.'), required: true }, inQuery('objects', 'Only these.'), inQuery('limit', 'At most.')],
        answer: list(anything),
      }),
    },
    '/api/v1/openapi.json': { get: operation({ id: 'getOpenApi', summary: 'This document', tag, answer: anything }) },
    ...(writes
      ? {
          '/api/v1/files': {
            post: {
              ...operation({ id: 'uploadFile', summary: 'Upload a file', tag, parameters: [inQuery('name', 'File name.')], status: 201, answer: user }),
              requestBody: { required: true, content: { '*/*': { schema: { type: 'string', contentEncoding: 'binary' } } } },
            },
          },
        }
      : {}),
    ...reportPaths(context, sendsMail),
    ...formPaths(context),
    ...(mayRunAction(context, 'users') ? users : {}),
  };
}

function reportPaths(context: CallContext, sendsMail: boolean): Json {
  const tag = 'Reports';
  const anything = { type: 'object' };
  const mail = {
    '/api/v1/dev/mail': { get: operation({ id: 'listCapturedMail', summary: 'Mail that was kept because SMTP_URL is not set', tag, answer: list(anything) }) },
    '/api/v1/dev/mail/{id}': {
      get: operation({ id: 'getCapturedMail', summary: 'One captured mail', tag, parameters: [RECORD_ID], answer: dataOf(anything) }),
    },
  };
  const explaining = {
    '/api/v1/records/{object}/{id}/explain': {
      get: operation({
        id: 'explain',
        summary: 'Why a rule started for a record, or why not',
        tag,
        parameters: [inPath('object'), RECORD_ID, { ...inQuery('rule', 'Name of the rule.'), required: true }],
        answer: dataOf(anything),
      }),
    },
  };
  const mayReadFrozen = mayDoEverything(context) || mayRunAction(context, 'frozen-reports');
  return {
    '/api/v1/reports': { get: operation({ id: 'listReports', summary: 'Reports that you may see', tag, answer: list(anything) }) },
    ...Object.fromEntries(
      listReports(context).flatMap(({ name, label }) => {
        const path = `/api/v1/reports/${name}`;
        const report = { get: operation({ id: `report${camel(name)}`, summary: label, tag, answer: dataOf(anything) }) };
        const frozen = { get: operation({ id: `frozen${camel(name)}`, summary: `${label}, as it was published`, tag, answer: list(anything) }) };
        return mayReadFrozen
          ? [
              [path, report],
              [`${path}/frozen`, frozen],
            ]
          : [[path, report]];
      }),
    ),
    ...(mayRunAction(context, 'explain') ? explaining : {}),
    ...(!sendsMail && mayDoEverything(context) ? mail : {}),
  };
}

function formPaths(context: CallContext): Json {
  const tag = 'Forms';
  const answer = dataOf({ type: 'object' });
  const record = inPath('record', { type: 'string', format: 'uuid' });
  const open = [...context.model.forms.values()].filter((form) => context.model.objects.has(form.object) && rightsFor(context, form.object).canRead);
  return Object.fromEntries(
    open.flatMap((form): readonly (readonly [string, Json])[] => {
      const name = camel(form.name);
      const shown: readonly [string, Json] = [`/api/v1/forms/${form.name}`, { get: operation({ id: `form${name}`, summary: form.title, tag, answer }) }];
      if (form.signing !== undefined) {
        const path = `/api/v1/forms/${form.name}/signing/{record}`;
        const read = operation({ id: `signing${name}`, summary: `${form.title}: the document and who signed`, tag, parameters: [record], answer });
        const sign = operation({ id: `sign${name}`, summary: `Sign: ${form.title}`, tag, parameters: [record], body: FORM_BODIES.sign.schema, answer });
        const maySign = rightsFor(context, form.object).transitions.has(form.signing.transitions.staff ?? '');
        return [shown, [path, maySign ? { get: read, post: sign } : { get: read }]];
      }
      if (!mayFill(context, form, 'fill')) return [shown];
      const base = `/api/v1/submissions/${form.name}/{record}`;
      return [
        shown,
        [base, { get: operation({ id: `submission${name}`, summary: `${form.title}, as filled in so far`, tag, parameters: [record], answer }) }],
        [
          `${base}/pages/{page}`,
          {
            patch: operation({
              id: `page${name}`,
              summary: `Save a page of ${form.title}; drafts accept anything`,
              tag,
              parameters: [record, inPath('page')],
              body: FORM_BODIES.page.schema,
              answer,
            }),
          },
        ],
        ...(mayFill(context, form, 'submit')
          ? [
              [
                `${base}/submit`,
                {
                  post: operation({
                    id: `submit${name}`,
                    summary: `Send ${form.title}; everything is checked`,
                    tag,
                    parameters: [record, ONCE],
                    body: FORM_BODIES.submit.schema,
                    answer,
                  }),
                },
              ] as const,
            ]
          : []),
      ];
    }),
  );
}
