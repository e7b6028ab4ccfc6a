import { principalKey } from '../access/rights.ts';
import type { CallContext, Principal } from '../access/types.ts';
import type { Model } from '../model/types.ts';

const MOST_PLANS = 500;

/**
 * Keeps what was planned for a read, so that the next one like it goes straight to the database. A plan is kept under
 * the Model, the caller's permission sets and the day that is asked for, and only when making it looked at nothing else of the call: one that
 * binds the clock or the caller's id (through a row rule, a formula or a filter) is made anew each time.
 */
export function makePlanCache<T extends object>(): (ctx: CallContext, key: string, make: (planning: CallContext) => T) => T {
  const models = new WeakMap<Model, Map<string, T>>();
  return (ctx, key, make) => {
    const known = models.get(ctx.model) ?? new Map<string, T>();
    models.set(ctx.model, known);
    const full = `${principalKey(ctx.principal)}|${ctx.effectiveOn ?? ''}|${key}`;
    const found = known.get(full);
    if (found !== undefined) return found;
    const { planning, isCallBound } = watch(ctx);
    const plan = make(planning);
    if (isCallBound()) return plan;
    if (known.size >= MOST_PLANS) known.clear();
    known.set(full, plan);
    return plan;
  };
}

/** The same call, which notices when a value that differs from call to call is read. */
function watch(ctx: CallContext): { readonly planning: CallContext; readonly isCallBound: () => boolean } {
  let isRead = false;
  const noticed = <T>(value: T): T => {
    isRead = true;
    return value;
  };
  const planning: CallContext = {
    ...ctx,
    principal: watchPrincipal(ctx.principal, noticed),
    get now() {
      return noticed(ctx.now);
    },
    get today() {
      return noticed(ctx.today);
    },
  };
  return { planning, isCallBound: () => isRead };
}

function watchPrincipal(principal: Principal, noticed: <T>(value: T) => T): Principal {
  switch (principal.kind) {
    case 'user':
      return {
        kind: 'user',
        permissionSets: principal.permissionSets,
        get userId() {
          return noticed(principal.userId);
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
          return noticed(principal.subject);
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
