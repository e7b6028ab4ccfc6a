import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { TokenAccess } from './accounts.ts';

/** Gives access tokens of one account (XOAUTH2, OAUTHBEARER). */
export interface TokenSource {
  /** A token that is good for a while yet; asks the issuer only when there is none. @throws AppError external_unavailable */
  token(): Promise<string>;
  /** Says that the server refused this token: the next one is a new one. */
  refuse(token: string): void;
}

const TIMEOUT_MS = 15_000;
/** A token is renewed so long before its end, or after nine tenths of its time where that is shorter. */
const MARGIN_MS = 60_000;
/** Where the issuer does not say how long (RFC 6749, 5.1 recommends that it does). */
const UNSAID_SECONDS = 600;

/** A source of tokens that keeps each until shortly before its end; callers at the same time share one question. */
export function makeTokenSource({ clock, access }: { readonly clock: Clock; readonly access: TokenAccess }): TokenSource {
  let refreshToken = access.refreshToken;
  let kept: { readonly token: string; readonly untilMs: number } | null = null;
  let asked: Promise<string> | null = null;

  async function ask(): Promise<string> {
    const form = new URLSearchParams({ client_id: access.clientId });
    if (refreshToken === null) form.set('grant_type', 'client_credentials');
    else {
      form.set('grant_type', 'refresh_token');
      form.set('refresh_token', refreshToken);
    }
    if (access.clientSecret !== null) form.set('client_secret', access.clientSecret);
    if (access.scope !== null) form.set('scope', access.scope);
    const beganMs = clock.nowMs();
    const answer = await post(access.tokenUrl, form);
    // The issuer may give each refresh token once.
    if (answer.refreshToken !== null && refreshToken !== null) refreshToken = answer.refreshToken;
    const lifeMs = (answer.expiresIn ?? UNSAID_SECONDS) * 1000;
    kept = { token: answer.token, untilMs: beganMs + lifeMs - Math.min(MARGIN_MS, lifeMs / 10) };
    return answer.token;
  }

  return {
    token() {
      if (kept !== null && clock.nowMs() < kept.untilMs) return Promise.resolve(kept.token);
      asked ??= ask().finally(() => {
        asked = null;
      });
      return asked;
    },
    refuse(token) {
      if (kept?.token === token) kept = null;
    },
  };
}

interface TokenAnswer {
  readonly token: string;
  readonly expiresIn: number | null;
  readonly refreshToken: string | null;
}

function unavailable(detail: string, cause?: unknown): AppError {
  return new AppError('external_unavailable', `No access token for a mailbox: ${detail}`, cause === undefined ? {} : { cause });
}

async function post(url: string, form: URLSearchParams): Promise<TokenAnswer> {
  let status: number;
  let text: string;
  try {
    const response = await fetch(url, {
      method: 'POST',
      body: form,
      redirect: 'error',
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    status = response.status;
    text = await response.text();
  } catch (error) {
    throw unavailable(`${new URL(url).host} does not answer.`, error);
  }
  const answer = toMembers(text);
  if (status !== 200) {
    // Only the code: a description may hold what was sent.
    const code = String(answer.get('error') ?? '');
    throw unavailable(`${new URL(url).host} answered ${String(status)}${/^[a-z_]{1,40}$/.test(code) ? ` (${code})` : ''}.`);
  }
  const token = answer.get('access_token');
  const type = answer.get('token_type');
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token) || typeof type !== 'string' || type.toLowerCase() !== 'bearer')
    throw unavailable(`${new URL(url).host} gave no bearer token.`);
  const expiresIn = Number(answer.get('expires_in') ?? Number.NaN);
  const refreshToken = answer.get('refresh_token');
  return { token, expiresIn: expiresIn > 0 ? expiresIn : null, refreshToken: typeof refreshToken === 'string' && refreshToken !== '' ? refreshToken : null };
}

/** Boundary: the issuer's answer. */
function toMembers(text: string): ReadonlyMap<string, unknown> {
  try {
    const found: unknown = JSON.parse(text);
    return new Map(typeof found === 'object' && found !== null ? Object.entries(found) : []);
  } catch (error) {
    throw unavailable('the issuer did not answer with JSON.', error);
  }
}
