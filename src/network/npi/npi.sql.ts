import { letSql } from '../../platform/expression/functions/let.sql.ts';
import { sql, type Sql } from '../../platform/sql.ts';

/** What the digits of the issuer prefix 80840 add to the Luhn sum: 8 + 0 + 8 + 8 (4 doubled) + 0 (45 CFR 162.406). */
const PREFIX_SUM = 24;

/** True in SQL for a text that is a National Provider Identifier, as `isNpi` is; null for null. */
export function isNpiSql(text: Sql): Sql {
  const digits = sql`(select u.i, substr(_l.v, u.i, 1)::integer as d from generate_series(1, 10) as u (i)) as q`;
  const doubled = sql`case when q.i % 2 = 1 then q.d * 2 / 10 + q.d * 2 % 10 else q.d end`;
  return letSql(
    { v: text },
    sql`case when _l.v ~ '^[12][0-9]{9}$' then (${PREFIX_SUM}::integer + (select sum(${doubled}) from ${digits})) % 10 = 0 when _l.v is not null then false end`,
  );
}
