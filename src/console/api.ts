/** The console's only door to the server: the public API, with the session cookie and its CSRF token. */
export interface ProblemDetail {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
  readonly fix?: string;
}

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly ProblemDetail[];
  readonly body: Readonly<Record<string, unknown>>;
  constructor(status: number, body: Readonly<Record<string, unknown>>) {
    super(typeof body['detail'] === 'string' ? body['detail'] : `The server answered ${String(status)}.`);
    this.status = status;
    this.code = typeof body['code'] === 'string' ? body['code'] : 'internal';
    this.errors = Array.isArray(body['errors']) ? (body['errors'] as readonly ProblemDetail[]) : [];
    this.body = body;
  }
}

let csrf = '';

export function setCsrf(token: string): void {
  csrf = token;
}

interface Call {
  readonly method?: string;
  readonly body?: unknown;
  readonly version?: number;
  readonly signal?: AbortSignal;
}

/** Calls the API; throws Problem for every answer that is not 2xx. The one place where JSON gets its type. */
export async function call<T>(path: string, { method = 'GET', body, version, signal }: Call = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET') headers['X-CSRF-Token'] = csrf;
  if (version !== undefined) headers['If-Match'] = `"v${String(version)}"`;
  const answer = await fetch(`/api/v1${path}`, {
    method,
    headers,
    credentials: 'same-origin',
    signal: signal ?? null,
    body: body === undefined ? null : JSON.stringify(body),
  });
  if (answer.status === 204) return undefined as T;
  const type = answer.headers.get('content-type') ?? '';
  const parsed: unknown = type.includes('json') ? await answer.json() : {};
  if (!answer.ok) throw new Problem(answer.status, parsed as Record<string, unknown>);
  return parsed as T;
}
