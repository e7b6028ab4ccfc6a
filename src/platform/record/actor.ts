import type { Principal } from '../access/types.ts';

/** Who did it, as history and audit keep it: a user's id, else the kind of caller and its own id or name. */
export function actorOf(principal: Principal): string {
  switch (principal.kind) {
    case 'user':
      return principal.userId;
    case 'portal':
      return `portal:${principal.linkId}`;
    case 'system':
      return `system:${principal.name}`;
    case 'guest':
      return 'guest';
  }
}
