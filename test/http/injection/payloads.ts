/** How a text tries to leave the literal or the name that it stands in. */
const OPENINGS = [
  '',
  "'",
  '"',
  "')",
  "'))",
  '")',
  '`',
  '$$',
  '$1',
  "\\'",
  "''",
  "'''",
  '%27',
  '%2527',
  '\u2019',
  '\uFF07',
  "E'\\x27",
  "U&'\\0027",
  '?',
  '::text',
  ']',
  '}}',
];

/** What would then be run: by truth, by error, by union, stacked, by time, out of band; the sequence tells that one of them was. */
const BODIES = [
  ' OR 1=1',
  ' AND 1=2',
  " OR 'a'='a",
  " OR nextval('credenza.canary')>0",
  " AND 1=(SELECT CASE WHEN (nextval('credenza.canary')>0) THEN 1/0 ELSE 1 END)",
  ' AND 1=CAST((SELECT version()) AS integer)',
  " AND 1=CAST(nextval('credenza.canary')::text||'~' AS numeric)",
  ' UNION SELECT NULL',
  " UNION ALL SELECT NULL,NULL,nextval('credenza.canary')::text",
  ' UNION SELECT secret_hash FROM credenza.api_token',
  "; SELECT nextval('credenza.canary')",
  '; DROP TABLE credenza.app_user CASCADE',
  "; UPDATE credenza.app_user SET name='owned'",
  "; DO LANGUAGE plpgsql $x$ BEGIN PERFORM nextval('credenza.canary'); END $x$",
  "; SELECT pg_sleep(0.2), nextval('credenza.canary')",
  " AND 1=(SELECT 1 FROM pg_sleep(0.2), nextval('credenza.canary'))",
  " || (SELECT nextval('credenza.canary'))::text || ",
  "; COPY credenza.app_user TO PROGRAM 'true'",
  ' ORDER BY 9999',
  ' GROUP BY 1 HAVING 1=1',
  " LIMIT 1 OFFSET (SELECT nextval('credenza.canary'))",
  '; SET ROLE postgres',
];

/** How the rest of the statement is made harmless. */
const ENDINGS = ['', '--', '-- -', '#', '/*', ';--', '\u0000', " AND '1'='1", ' AND "1"="1', ') AND (1=1', '$$', '\\'];

/** How filters that look for words are led by the nose. */
const DISGUISES: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => text.replaceAll(' ', '/**/'),
  (text) => text.replaceAll(' ', '\n'),
  (text) => text.replaceAll(' ', '\t'),
  (text) => text.toLowerCase(),
  (text) => [...text].map((character, index) => (index % 2 === 0 ? character.toUpperCase() : character.toLowerCase())).join(''),
  (text) => text.replace(/SELECT|UNION|DROP|UPDATE/g, (word) => `${word.slice(0, 2)}/**/${word.slice(2)}`),
  (text) => encodeURIComponent(text),
  (text) => text.replaceAll("'", '\u02BC'),
  (text) => text.replaceAll("'", "'||chr(39)||'"),
];

function commonFactor(left: number, right: number): number {
  return right === 0 ? left : commonFactor(right, left % right);
}

/** So many payloads of all classes, evenly over all combinations; the same in every run. */
export function injectionPayloads(count: number): readonly string[] {
  const all = OPENINGS.length * BODIES.length * ENDINGS.length * DISGUISES.length;
  // A step that has no factor in common with their number comes to every combination.
  let step = Math.max(1, Math.floor(all / count));
  while (commonFactor(step, all) > 1) step += 1;
  const found = new Set<string>();
  for (let number = 0; found.size < count && number < all; number += 1) {
    const at = (number * step) % all;
    const opening = OPENINGS[at % OPENINGS.length] ?? '';
    const body = BODIES[Math.floor(at / OPENINGS.length) % BODIES.length] ?? '';
    const ending = ENDINGS[Math.floor(at / (OPENINGS.length * BODIES.length)) % ENDINGS.length] ?? '';
    const disguise = DISGUISES[Math.floor(at / (OPENINGS.length * BODIES.length * ENDINGS.length))];
    found.add(disguise?.(`x${opening}${body}${ending}`) ?? '');
  }
  return [...found];
}
