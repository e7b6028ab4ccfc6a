import { mayRunAction } from '../../platform/access/rights.ts';
import type { CallContext } from '../../platform/access/types.ts';
import { ACCEPT_BODY, SIGN_IN_BODY, TOKEN_BODY } from '../api/sessions.ts';
import { NEW_USER_BODY, USER_CHANGE_BODY } from '../api/users.ts';
import { common, dataOf, get, IF_MATCH, inPath, list, ONCE, patch, post, RECORD_ID, remove, shape, TEXT, UUID, type Json } from './parts.ts';

const tag = 'Accounts';

/** Signing in and out, invitations, tokens; accounts for those who manage them. */
export function accountPaths(context: CallContext): Json {
  const session = dataOf(common('Session'));
  const signedIn = dataOf(common('NewSession'));
  return {
    '/api/v1/sign-in': post({
      id: 'signIn',
      summary: 'Sign in with a password',
      tag,
      body: SIGN_IN_BODY.schema,
      answer: signedIn,
      open: true,
      errors: ['unauthenticated', 'forbidden', 'too_many_requests'],
    }),
    '/api/v1/sign-out': post({ id: 'signOut', summary: 'End the session', tag, open: true, errors: ['unauthenticated', 'forbidden'] }),
    '/api/v1/session': get({ id: 'getSession', summary: 'Who is signed in, with the CSRF token', tag, answer: session }),
    '/api/v1/me': get({ id: 'getMe', summary: 'The same as /session', tag, answer: session }),
    '/api/v1/invitations/{secret}': get({
      id: 'getInvitation',
      summary: 'Whom an invitation is for',
      tag,
      parameters: [inPath('secret')],
      answer: dataOf(shape({ email: TEXT, name: TEXT })),
      open: true,
    }),
    '/api/v1/invitations/accept': post({
      id: 'acceptInvitation',
      summary: 'Take an invitation',
      tag,
      body: ACCEPT_BODY.schema,
      answer: signedIn,
      open: true,
      errors: ['forbidden', 'not_found', 'validation_failed', 'conflict_unique'],
    }),
    '/api/v1/tokens': post({
      id: 'createToken',
      summary: 'A new API token, shown once',
      tag,
      parameters: [ONCE],
      body: TOKEN_BODY.schema,
      status: 201,
      answer: dataOf(shape({ id: UUID, token: TEXT })),
    }),
    '/api/v1/tokens/{id}': remove({ id: 'revokeToken', summary: 'End an API token', tag, parameters: [RECORD_ID] }),
    ...(mayRunAction(context, 'users') ? userPaths() : {}),
  };
}

function userPaths(): Json {
  const account = dataOf(common('Account'));
  return {
    '/api/v1/users': {
      ...get({ id: 'listAccounts', summary: 'Accounts', tag, answer: list(common('Account')) }),
      ...post({
        id: 'addAccount',
        summary: 'Add an account',
        tag,
        parameters: [ONCE],
        body: NEW_USER_BODY.schema,
        status: 201,
        answer: account,
        headers: ['ETag', 'Location'],
        errors: ['conflict_unique', 'validation_failed'],
      }),
    },
    '/api/v1/users/{id}': {
      ...get({ id: 'getAccount', summary: 'One account', tag, parameters: [RECORD_ID], answer: account, headers: ['ETag'] }),
      ...patch({
        id: 'changeAccount',
        summary: 'Change an account',
        tag,
        parameters: [RECORD_ID, IF_MATCH],
        body: USER_CHANGE_BODY.schema,
        answer: account,
        headers: ['ETag'],
      }),
    },
    '/api/v1/users/{id}/invitation': post({
      id: 'inviteAccount',
      summary: 'A new invitation',
      tag,
      parameters: [RECORD_ID, ONCE],
      status: 201,
      answer: dataOf(shape({ invitation: TEXT })),
    }),
  };
}
