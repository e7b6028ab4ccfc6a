export type { FieldDescription, ObjectDescription } from '../http/api/describe.ts';

export interface RecordData {
  readonly id: string;
  readonly version: number;
  readonly displayName?: string;
  readonly expanded?: Readonly<Record<string, RecordData | { readonly data: readonly RecordData[]; readonly more: boolean } | null>>;
  readonly [field: string]: unknown;
}

export interface ListAnswer {
  readonly data: readonly RecordData[];
  readonly page: { readonly next: string | null };
  readonly meta: { readonly count?: number; readonly countIsCapped?: boolean };
}

export interface Session {
  readonly user: { readonly id: string; readonly name: string; readonly email: string };
  readonly permissionSets: readonly string[];
  readonly csrf: string;
  readonly mail?: 'captured' | 'smtp';
  readonly sandbox?: boolean;
}

export interface TransitionState {
  readonly name: string;
  readonly label: string;
  readonly to: string;
  readonly allowed: boolean;
  readonly accepts: readonly string[];
  readonly required: readonly string[];
  readonly reasons: readonly { readonly name?: string; readonly message: string; readonly fix?: string | null }[];
}

export interface HistoryRow {
  readonly version: number;
  readonly kind: string;
  readonly at: string;
  readonly actor: { readonly id: string | null; readonly name: string };
  readonly cause: {
    readonly kind: string;
    readonly rule?: string;
    readonly decisions?: readonly { readonly policy: string; readonly version: string | null; readonly band: string | null }[];
  };
  readonly reason: string | null;
  readonly changes: readonly { readonly field: string; readonly label: string; readonly from: unknown; readonly to: unknown }[];
}
