import { createHmac } from 'node:crypto';

/** How a secret is written down (Standard Webhooks 1.0): `whsec_` and base64. */
const PREFIX = 'whsec_';
/** The text of a secret, for whoever verifies. */
export function secretText(secret: Uint8Array): string {
  return `${PREFIX}${Buffer.from(secret).toString('base64')}`;
}

/** The headers of a message by Standard Webhooks 1.0, signed with each of the secrets. `seconds` since 1970, of this attempt. */
export function signedHeaders(secrets: readonly Uint8Array[], id: string, seconds: number, body: string): Readonly<Record<string, string>> {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': secrets.map((secret) => `v1,${sign(secret, id, String(seconds), body).toString('base64')}`).join(' '),
  };
}

function sign(secret: Uint8Array, id: string, seconds: string, body: string): Buffer {
  return createHmac('sha256', secret).update(`${id}.${seconds}.${body}`).digest();
}
