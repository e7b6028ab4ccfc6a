/** The prefix of the card issuer "health, United States", which the check digit includes though the number does not show it. */
const ISSUER_SUM = 24;

/** True for ten digits that begin with 1 or 2 and whose last digit is the Luhn check digit over `80840` and the rest. */
export function isNpi(text: string): boolean {
  if (!/^[12]\d{9}$/.test(text)) return false;
  let sum = ISSUER_SUM;
  for (let index = 0; index < 10; index += 1) {
    const digit = Number(text[index]);
    const doubled = index % 2 === 0 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}
