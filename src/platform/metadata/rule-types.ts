import type { DurationText, Expression, Json } from './scalars.ts';

export type RuleTrigger =
  | { readonly created: string }
  | { readonly updated: string; readonly fields?: readonly string[] }
  | { readonly entered: string; readonly state: string }
  | { readonly left: string; readonly state: string }
  /** Cron of five fields and an IANA zone. Runs once, or once for each record of `for.object` where `for.filter`. */
  | { readonly schedule: string; readonly zone: string; readonly for?: { readonly object: string; readonly filter?: Expression } }
  /** `Object.field`, offsets as ISO durations (`P7D`, `-P30D`), local wall time in the plan's zone. */
  | { readonly date: string; readonly offsets: readonly DurationText[]; readonly at: string; readonly calendar?: string }
  /** Message put into a mailbox; the record is the one that was created. */
  | { readonly mail: string }
  /** The record was put into the trash; its values are those that it had. */
  | { readonly deleted: string }
  /** The record was taken out of the trash. */
  | { readonly restored: string }
  /** The rule's condition holds after the event and did not before; it reads fields of the record alone. */
  | { readonly becameTrue: string };

/** Records of an object, whatever they have to do with the rule's own, which the filter may name as `record`. */
export interface MatchingRecords {
  readonly object: string;
  readonly filter?: Expression;
}

/** What every step may have. A step that is done once is remembered by its id, else its name, else by what it makes. */
interface StepNames {
  readonly id?: string;
  readonly name?: string;
}

export type RuleStep = StepNames & RuleAct;

type RuleAct =
  | {
      readonly step: 'create';
      readonly object: string;
      readonly values: Readonly<Record<string, Expression>>;
      readonly once?: string;
      readonly when?: Expression;
      /** With `object`, records are made in sets, and those whose unique key exists already are left out. */
      readonly forEach?: Expression | { readonly relation: string; readonly filter?: Expression } | MatchingRecords;
    }
  /** With `forEach` the record written is `each`, unless `record` names another. */
  | {
      readonly step: 'update';
      readonly record?: Expression;
      readonly values: Readonly<Record<string, Expression>>;
      /** Fields that get the number of the records that match. */
      readonly counts?: Readonly<Record<string, MatchingRecords>>;
      readonly when?: Expression;
      readonly forEach?: Expression | { readonly relation: string; readonly filter?: Expression } | MatchingRecords;
    }
  | {
      readonly step: 'transition';
      readonly record?: Expression;
      readonly transition: string;
      readonly when?: Expression;
      readonly forEach?: Expression | { readonly relation: string; readonly filter?: Expression } | MatchingRecords;
    }
  | { readonly step: 'assign'; readonly owner?: Expression; readonly queue?: string; readonly when?: Expression }
  | {
      readonly step: 'send-mail';
      readonly template: string;
      readonly to: Expression;
      readonly class: 'campaign' | 'transactional';
      /** Reference of the rule's object to the record that this mail and others belong to. */
      readonly group?: string;
      readonly when?: Expression;
      readonly mailbox?: string;
      readonly attach?: Expression;
    }
  /** A registered action of the platform or a domain module. */
  | { readonly step: 'action'; readonly action: string; readonly input?: Readonly<Record<string, Expression>>; readonly when?: Expression };

export interface RuleFile {
  readonly $schema?: string;
  readonly id?: string;
  readonly name: string;
  readonly label?: string;
  readonly enabled?: boolean;
  readonly on: RuleTrigger;
  readonly when?: Expression;
  readonly do: readonly RuleStep[];
  readonly missed?: 'once' | 'all' | 'skip';
  /** What becomes of a run while another of the rule and record waits or is under way; they follow each other unless said otherwise. */
  readonly concurrency?: 'queue' | 'skip-if-running' | 'replace' | 'parallel';
  /** Pauses before the 2nd, 3rd ... attempt of a run that failed. */
  readonly retry?: readonly DurationText[];
  /** Most runs that it starts in an hour; further ones go into quarantine. */
  readonly budget?: number;
  readonly tests?: readonly { readonly given: Readonly<Record<string, Json>>; readonly at?: string; readonly expect: readonly string[] }[];
}
