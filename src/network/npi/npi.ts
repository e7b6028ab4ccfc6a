/** Prefix of the card issuer identifier for US health applications, put before the NPI for the check digit (45 CFR 162.406; ISO/IEC 7812). */
const ISSUER_PREFIX = '80840';

/**
 * True when the text is a National Provider Identifier: ten digits, the first 1 or 2, with a right Luhn check digit over
 * `80840` + NPI (rules.md, section 3, "NPI").
 */
export function isNpi(text: unknown): boolean {
  if (typeof text !== 'string' || !/^[12]\d{9}$/.test(text)) return false;
  const digits = `${ISSUER_PREFIX}${text}`;
  let sum = 0;
  for (let index = 0; index < digits.length; index += 1) {
    const digit = Number(digits[digits.length - 1 - index]);
    const doubled = index % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

/** The NPI with its check digit, from its first nine digits; for synthetic data. */
export function withCheckDigit(nine: string): string {
  if (!/^[12]\d{8}$/.test(nine)) throw new RangeError('An NPI begins with 1 or 2 and has nine digits before its check digit.');
  const found = Array.from({ length: 10 }, (_, digit) => `${nine}${String(digit)}`).find(isNpi);
  if (found === undefined) throw new RangeError(`No check digit fits ${nine}.`);
  return found;
}
