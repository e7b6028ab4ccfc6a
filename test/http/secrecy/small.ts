import { at } from '../../support/app.ts';
import { secrecySet } from './metadata.ts';
import { startProduct, type Product, type Received } from './product.ts';
import { idOf } from './rows.ts';

/** A product with two people and nothing else: each test makes the records that it looks at. */
export interface Small {
  readonly product: Product;
  readonly anna: { readonly id: string; readonly token: string };
  readonly cara: { readonly id: string; readonly token: string };
  readonly counter: { readonly id: string; readonly token: string };
  readonly auditor: { readonly id: string; readonly token: string };
  /** The next second, and with it ids that were not given before. */
  tick(): void;
  /** Makes a record as the system. Answers its id. */
  make(kind: Parameters<typeof idOf>[0], values: Readonly<Record<string, unknown>>): Promise<string>;
  /** A call by Anna: `GET path`, or with a body and headers. */
  ask(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Received>;
}

export async function startSmall(): Promise<Small> {
  const product = await startProduct(secrecySet());
  let second = 1;
  let number = 0;
  const tick = (): void => {
    second += 1;
    product.at(second);
  };
  tick();
  const anna = await product.user('Anna', ['owner', 'colleague', 'guest-of-deal']);
  const cara = await product.user('Cara', ['owner']);
  const counter = await product.user('Dora', ['counter']);
  const auditor = await product.user('Ben', ['auditor']);
  return {
    product,
    anna,
    cara,
    counter,
    auditor,
    tick,
    async make(kind, values) {
      tick();
      number += 1;
      const id = idOf(kind, 10_000 + number);
      await product.make(kind, id, values);
      return id;
    },
    ask(method, path, body, headers = {}) {
      tick();
      return product.call(anna.token, { method, path: `/api/v1${path}`, body, headers });
    },
  };
}

/** A member of an answer, by path. */
export function of(answer: Received, path: string): unknown {
  const body: unknown = answer.text === '' ? {} : JSON.parse(answer.text);
  return at(body, path);
}

/** The answer without what names the request. */
export function told({ status, text }: Received): readonly unknown[] {
  return [status, text.replace(/"requestId":"[^"]*"/, '').replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID')];
}
