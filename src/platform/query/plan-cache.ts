import { principalKey } from '../access/rights.ts';
import type { CallContext, Principal } from '../access/types.ts';
import type { Model } from '../model/types.ts';

const MOST_PLANS = 500;

interface Kept<T> {
  /** By rights and query. */
  readonly shared: Map<string, T>;
  /** Those that bind the caller's id, by caller too. */
  readonly own: Map<string, T>;
}

/**
 * Keeps what was planned for a read, so that the next one like it goes straight to the database. A plan is kept under
 * the Model, the caller's permission sets, the day that is asked for and how rows are looked for, when making it looked at nothing else of the
 * call; one that binds the caller's id (through a row rule, a formula or a filter) is kept for that caller alone; one that
 * binds the clock is made anew each time.
 */
export function makePlanCache<T extends object>(): (ctx: CallContext, key: string, make: (planning: CallContext) => T) => T {
  const models = new WeakMap<Model, Kept<T>>();
  return (ctx, key, make) => {
    const kept: Kept<T> = models.get(ctx.model) ?? { shared: new Map(), own: new Map() };
    models.set(ctx.model, kept);
    const narrow = ctx.narrow === undefined ? '' : [...ctx.narrow].join();
    const full = `${principalKey(ctx.principal)}|${ctx.effectiveOn ?? ''}|${narrow}|${key}`;
    const own = `${idOf(ctx.principal)}|${full}`;
    const found = kept.shared.get(full) ?? kept.own.get(own);
    if (found !== undefined) return found;
    const { planning, bound } = watch(ctx);
    const plan = make(planning);
    const { caller, call } = bound();
    if (!call) keep(caller ? kept.own : kept.shared, caller ? own : full, plan);
    return plan;
  };
}

function keep<T>(plans: Map<string, T>, key: string, plan: T): void {
  if (plans.size >= MOST_PLANS) plans.clear();
  plans.set(key, plan);
}

function idOf(principal: Principal): string {
  if (principal.kind === 'user') return principal.userId;
  return principal.kind === 'portal' ? `${principal.subject.object} ${principal.subject.id}` : principal.kind;
}

interface Bound {
  /** Who calls was looked at. */
  readonly caller: boolean;
  /** What differs from call to call was looked at. */
  readonly call: boolean;
}

/** The same call, which notices when a value is read that differs from caller to caller, or from call to call. */
function watch(ctx: CallContext): { readonly planning: CallContext; readonly bound: () => Bound } {
  let [caller, call] = [false, false];
  const noticed = <T>(value: T): T => {
    call = true;
    return value;
  };
  const noticedCaller = <T>(value: T): T => {
    caller = true;
    return value;
  };
  const planning: CallContext = {
    ...ctx,
    principal: watchPrincipal(ctx.principal, noticed, noticedCaller),
    get now() {
      return noticed(ctx.now);
    },
    get today() {
      return noticed(ctx.today);
    },
  };
  return { planning, bound: () => ({ caller, call }) };
}

function watchPrincipal(principal: Principal, noticed: <T>(value: T) => T, noticedCaller: <T>(value: T) => T): Principal {
  switch (principal.kind) {
    case 'user':
      return {
        kind: 'user',
        permissionSets: principal.permissionSets,
        get userId() {
          return noticedCaller(principal.userId);
        },
        get email() {
          return noticed(principal.email);
        },
        get name() {
          return noticed(principal.name);
        },
      };
    case 'portal':
      return {
        kind: 'portal',
        permissionSets: principal.permissionSets,
        get subject() {
          return noticedCaller(principal.subject);
        },
        get linkId() {
          return noticed(principal.linkId);
        },
      };
    case 'system':
    case 'guest':
      return principal;
  }
}
