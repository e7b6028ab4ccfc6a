import type { Knex } from 'knex';
import type { CallContext, Principal } from '../../platform/access/types.ts';
import type { FileStore } from '../../platform/files/types.ts';
import type { Forms, FormsDeps } from '../../platform/forms/submissions.ts';
import type { PortalLink } from '../../platform/identity/portal-link.sql.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Renderer } from './render.ts';
import type { WrongSecrets } from './wrong-secrets.ts';

export interface PortalDeps extends FormsDeps {
  readonly db: Knex;
  readonly forms: Forms;
  readonly files: FileStore;
  readonly render: Renderer;
  readonly newId: NewId;
  readonly secureCookies: boolean;
  readonly wrongSecrets: WrongSecrets;
  contextFor(principal: Principal, requestId: string): Promise<CallContext>;
  /** Takes an address out of campaign mail; answers false for an unknown token. */
  unsubscribe(token: string): Promise<boolean>;
}

/** A call through a personal link that is good now. */
export interface LinkCall {
  readonly link: PortalLink;
  readonly form: string;
  readonly context: CallContext;
  /** Address that the pages of this link begin with. */
  readonly base: string;
}
