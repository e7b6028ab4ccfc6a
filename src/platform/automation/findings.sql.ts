import type { Knex } from 'knex';
import type { Instant } from '../clock.ts';
import { toRfc3339 } from '../db.ts';
import { platformTable, rows, sql, type Sql } from '../sql.ts';

/** Mail that went more than once to one address for one record and one occasion. */
export interface MailSentTwice {
  readonly template: string;
  readonly object: string | null;
  readonly record: string | null;
  readonly occasion: string;
  readonly times: number;
  readonly lastAt: Instant;
}

/** A rule that was carried out more than once for one record and one cause. */
export interface RunRepeated {
  readonly rule: string;
  readonly object: string | null;
  readonly record: string | null;
  readonly cause: string;
  readonly times: number;
}

export interface MailFindings {
  /** Mails made, those to addresses that may not be written to included. */
  readonly made: number;
  /** How many are in each state, and how many there are of each template. */
  readonly states: Readonly<Record<string, number>>;
  readonly templates: Readonly<Record<string, number>>;
  readonly twice: readonly MailSentTwice[];
}

export interface RunFindings {
  readonly states: Readonly<Record<string, number>>;
  readonly repeated: readonly RunRepeated[];
}

/**
 * What started each run, from the log of events and not from the run's key: a change (the same one whenever record, moment
 * and both images are), the day and offset of a date rule, or the due time of a schedule.
 */
function causes(db: Knex): Sql {
  return sql`select r.id, r.rule, r.rule_id, r.object, r.record_id, r.state, r.trace, r.created_at,
      case when e.id is not null then 'change at ' || to_json(e.at)::text || ' ' || e.kind || ' ' || md5(coalesce(e.before::text, '') || ' ' || coalesce(e.after::text, ''))
           when r.event_id is not null then 'event ' || r.event_id
           when r.anchor is not null then 'date ' || r.anchor
           else 'schedule ' || to_json(r.due_at)::text end as cause,
      case when r.event_id is null and r.anchor is null
           then 'day ' || (r.due_at at time zone coalesce((select s.definition::jsonb->>'zone' from ${platformTable(db, 'rule_schedule')} s where s.rule_id = r.rule_id), 'UTC'))::date
      end as day
    from ${platformTable(db, 'rule_run')} r left join ${platformTable(db, 'event_log')} e on e.id = r.event_id`;
}

/**
 * Counts the mail of a span of time and finds what went twice: same template, same record, same address, same occasion. The
 * occasion is, of campaign mail and of mail that no rule made (an acknowledgement), the record itself, for ever; else what
 * started the rule: the change, the date and offset, or the schedule's day. Reads only.
 */
export async function findMail(db: Knex, from: Instant, to: Instant): Promise<MailFindings> {
  const span = sql`created_at between ${from}::timestamptz and ${to}::timestamptz`;
  const mail = platformTable(db, 'mail_delivery');
  const counted = await rows(db, sql`select state, template, count(*)::int as count from ${mail} where ${span} group by 1, 2 order by 2, 1`);
  const twice = await rows(
    db,
    sql`with cause as materialized (${causes(db)}),
          sent_by as materialized (
            select distinct on (delivery_id) s.value->>'record' as delivery_id, coalesce(c.day, c.cause) as cause
              from cause c cross join jsonb_array_elements(c.trace->'steps') s
              where s.value->>'kind' = 'send-mail' and s.value->>'record' is not null order by delivery_id, c.created_at),
          told as (
            select d.template, d.about_object, d.about_id, lower(d.recipient) as recipient, d.created_at,
                   case when d.class = 'campaign' then 'the record' else coalesce(b.cause, 'the record') end as occasion
              from ${mail} d left join sent_by b on b.delivery_id = d.id::text where d.state <> 'suppressed' and ${span})
        select template, about_object, about_id::text, occasion, count(*)::int as times, max(created_at) as last_at
          from told group by template, about_object, about_id, recipient, occasion having count(*) > 1
          order by last_at, template, about_id`,
  );
  return {
    made: counted.reduce((sum, row) => sum + Number(row['count']), 0),
    states: tally(counted, 'state'),
    templates: tally(counted, 'template'),
    twice: twice.map((row) => ({
      template: String(row['template']),
      object: textOrNull(row['about_object']),
      record: textOrNull(row['about_id']),
      occasion: String(row['occasion']),
      times: Number(row['times']),
      lastAt: toRfc3339(String(row['last_at'])),
    })),
  };
}

/** Counts the runs of a span of time and finds rules that were carried out twice for one record and one cause. Reads only. */
export async function findRuns(db: Knex, from: Instant, to: Instant): Promise<RunFindings> {
  const span = sql`created_at between ${from}::timestamptz and ${to}::timestamptz`;
  const counted = await rows(db, sql`select state, count(*)::int as count from ${platformTable(db, 'rule_run')} where ${span} group by 1 order by 1`);
  const repeated = await rows(
    db,
    sql`with cause as materialized (${causes(db)})
        select rule, object, record_id::text, cause, count(*)::int as times from cause where state = 'done' and ${span}
          group by rule, rule_id, object, record_id, cause having count(*) > 1 order by min(created_at), rule, record_id`,
  );
  return {
    states: tally(counted, 'state'),
    repeated: repeated.map((row) => ({
      rule: String(row['rule']),
      object: textOrNull(row['object']),
      record: textOrNull(row['record_id']),
      cause: String(row['cause']),
      times: Number(row['times']),
    })),
  };
}

function tally(counted: readonly Readonly<Record<string, unknown>>[], name: string): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const row of counted) sums[String(row[name])] = (sums[String(row[name])] ?? 0) + Number(row['count']);
  return sums;
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
