import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { AppError } from '../errors.ts';

/** A key that outgoing mail is signed with (DKIM, RFC 6376). */
export interface DkimKey {
  /** Domain that answers for the mail; receivers compare it with that of the sender (DMARC). */
  readonly domain: string;
  /** The public key stands in DNS as TXT record of `<selector>._domainkey.<domain>`. */
  readonly selector: string;
  /** RSA, as PEM. */
  readonly privateKey: string;
}

/**
 * Header fields that the signature covers, where a mail has them. RFC 8058, 4 demands both fields of the one-click
 * unsubscription; without them receivers show no such button.
 */
export const SIGNED_FIELDS = [
  'From',
  'Sender',
  'Reply-To',
  'Subject',
  'Date',
  'Message-ID',
  'To',
  'Cc',
  'MIME-Version',
  'Content-Type',
  'Content-Transfer-Encoding',
  'In-Reply-To',
  'References',
  'Auto-Submitted',
  'List-Unsubscribe',
  'List-Unsubscribe-Post',
] as const;

/** Signers should use at least so many bits (RFC 8301, 3.2). */
const LEAST_BITS = 2048;

/**
 * Reads the key that signs outgoing mail. Looked at when the product starts, for a key that cannot sign would let mail leave unsigned.
 * @throws AppError config_invalid when there is no file, or no RSA key of at least 2048 bits in it
 */
export function readDkimKey(file: string): string {
  const wrong = (detail: string): AppError => new AppError('config_invalid', `The key that mail is signed with (DKIM_KEY_FILE) ${detail}`);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw wrong(`cannot be read: ${error instanceof Error ? error.message : 'unknown failure'}`);
  }
  let bits: number;
  try {
    const key = createPrivateKey(text);
    bits = key.asymmetricKeyType === 'rsa' ? (key.asymmetricKeyDetails?.modulusLength ?? 0) : 0;
  } catch {
    throw wrong('is no private key in PEM without a password.');
  }
  if (bits === 0) throw wrong('is no RSA key; receivers verify RSA everywhere.');
  if (bits < LEAST_BITS) throw wrong(`has ${String(bits)} bits; make one of ${String(LEAST_BITS)}.`);
  return text;
}
