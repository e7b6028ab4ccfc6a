import { hash, verify } from '@node-rs/argon2';
import { AppError } from '../errors.ts';

/** argon2id with OWASP's figures: 19 MiB, two passes, one lane. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

export const PASSWORD_MIN = 12;
const PASSWORD_MAX = 200;

let decoy: Promise<string> | null = null;

/** The stored form of a password. @throws AppError validation_failed when it is too short or too long */
export async function hashPassword(password: string): Promise<string> {
  if (password.length < PASSWORD_MIN || password.length > PASSWORD_MAX) {
    const detail = `The password must have ${String(PASSWORD_MIN)} to ${String(PASSWORD_MAX)} characters.`;
    throw new AppError('validation_failed', detail, {
      errors: [{ pointer: '/password', code: 'length', detail, fix: 'Take a sentence that only you would say.' }],
    });
  }
  return hash(password, COST);
}

/** Whether the password is right; takes as long when there is no account or no password, so that the time tells nothing. */
export async function verifyPassword(stored: string | null, password: string): Promise<boolean> {
  if (password.length > PASSWORD_MAX) return false;
  if (stored === null) {
    decoy ??= hash('no account has this password', COST);
    await verify(await decoy, password);
    return false;
  }
  return verify(stored, password);
}
