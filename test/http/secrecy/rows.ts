import { inTransaction } from '../../../src/platform/db.ts';
import { run, sql } from '../../../src/platform/sql.ts';
import type { Product } from './product.ts';

/** Which of two databases: they hold the same but for what neither caller may see. */
export type Variant = 'left' | 'right';

export interface People {
  /** Sees deals of hers, of her team and shared with her. */
  readonly anna: { readonly id: string; readonly token: string };
  /** Sees all items and the deals of one team, but few of the fields. */
  readonly ben: { readonly id: string; readonly token: string };
  /** Nobody looks with her eyes: what is hers is hidden. */
  readonly cara: { readonly id: string; readonly token: string };
}

const KINDS = ['Team', 'Account', 'Deal', 'Remark', 'Term', 'Vault', 'Item', 'Share', 'Membership', 'Ticket'] as const;
type Kind = (typeof KINDS)[number];

/** An id that stands for its object and number. */
export function idOf(kind: Kind, number: number): string {
  return `00000000-0000-7000-8${String(KINDS.indexOf(kind)).padStart(3, '0')}-${String(number).padStart(12, '0')}`;
}

export const VISIBLE_DEALS = 45;
/** Numbers of deals that are hidden in both databases, or in one of them. */
export const HIDDEN_FROM = 100;
export const EAST_ACCOUNTS = 8;
const STAGES = ['new', 'talks', 'won', 'lost'] as const;
const CITIES = ['Bern', 'Zug', 'Aarau', 'Chur'] as const;
export const WORDS = ['Harbor', 'Meadow', 'Summit', 'River', 'Orchard', 'Lantern'] as const;
/** Words that stand in hidden records only, the second half in one of the databases only. */
export const HIDDEN_WORDS = ['Obsidian', 'Quokka', 'Zeppelin', 'Marzipan'] as const;
const ITEMS = 1_060;

const choose = (list: readonly string[], index: number): string => list[index % list.length] ?? '';
const day = (index: number): string => new Date(Date.UTC(2026, 0, 1 + (index % 300))).toISOString().slice(0, 10);

/** Fills a database. What is visible is written first, each record at its own second, so that both databases agree in it. */
export async function fillDatabase(product: Product, variant: Variant): Promise<People> {
  product.at(1);
  const anna = await product.user('Anna', ['owner', 'colleague', 'guest-of-deal']);
  const ben = await product.user('Ben', ['auditor']);
  const cara = await product.user('Cara', ['owner']);
  const people = { anna, ben, cara };
  let second = 1;
  const make = async (kind: Kind, number: number, values: Readonly<Record<string, unknown>>): Promise<void> => {
    second += 1;
    product.at(second);
    await product.make(kind, idOf(kind, number), values);
  };
  await fillVisible(make, people);
  await changeVisible(product, people, make);
  await fillItems(product, variant);
  second = 1_000;
  await fillHidden(make, people, variant);
  await changeHidden(product, variant);
  // The planner's guesses are of what is there now, on both sides.
  await run(product.app.db, sql`analyze`);
  return people;
}

type Make = (kind: Kind, number: number, values: Readonly<Record<string, unknown>>) => Promise<void>;

async function fillVisible(make: Make, { anna, cara }: People): Promise<void> {
  await make('Team', 1, { name: 'Blue' });
  await make('Team', 2, { name: 'Grey' });
  await make('Membership', 1, { team: idOf('Team', 1), member: anna.id });
  for (let at = 1; at <= EAST_ACCOUNTS; at += 1) {
    const parent = at > 4 ? idOf('Account', at - 4) : null;
    const own = at % 3 === 0 ? { ownerId: anna.id } : { ownerId: cara.id };
    await make('Account', at, {
      name: `${choose(WORDS, at)} ${String(at)}`,
      code: `E-${String(at)}`,
      region: 'east',
      tier: at % 2 === 0 ? 'gold' : 'silver',
      parent,
      ...own,
    });
  }
  // These are hidden, but visible deals lead to them.
  for (const at of [51, 52]) await make('Account', at, { name: `West ${String(at)}`, region: 'west', ownerId: cara.id });
  for (let at = 1; at <= VISIBLE_DEALS; at += 1) {
    const account = idOf('Account', at % 5 === 0 ? 51 + (at % 2) : 1 + (at % EAST_ACCOUNTS));
    // A third each is hers, her team's, and shared with her.
    const how = at % 3 === 0 ? { ownerId: anna.id } : at % 3 === 1 ? { ownerId: cara.id, team: idOf('Team', 1) } : { ownerId: cara.id };
    const closed = at % 4 === 0 ? { closedOn: day(at * 7 + 30) } : {};
    await make('Deal', at, {
      name: `${choose(WORDS, Math.floor(at / 2))} deal`,
      number: `D-${String(at)}`,
      stage: choose(STAGES, at),
      amount: at % 7 === 0 ? null : String(at * 37),
      city: at % 6 === 0 ? null : choose(CITIES, Math.floor(at / 3)),
      openedOn: day(at * 7),
      tags: at % 2 === 0 ? ['a', choose(WORDS, at)] : null,
      isHot: at % 3 === 0 ? null : at % 2 === 0,
      account,
      probability: at % 3 === 0 ? at : null,
      bonus: at % 3 === 0 ? String(at) : null,
      ...closed,
      ...how,
    });
    if (at % 3 === 2) await make('Share', at, { deal: idOf('Deal', at), member: anna.id });
  }
  for (let at = 1; at <= 40; at += 1) {
    const deal = idOf('Deal', 3 * (1 + (at % 14)));
    const about = at % 3 === 0 ? { object: 'Account', id: idOf('Account', at % 2 === 0 ? 51 : 2) } : { object: 'Deal', id: idOf('Deal', at) };
    await make('Remark', at, { text: `${choose(WORDS, at)} remark`, deal, about, weight: at % 5, ownerId: anna.id });
  }
  for (let at = 1; at <= 6; at += 1)
    await make('Term', at, { account: idOf('Account', 1 + (at % 3)), since: `202${String(at)}-01-01`, until: `202${String(at)}-12-31` });
}

/** A past of changes that may be read, and a trash that may be looked into. */
async function changeVisible(product: Product, { anna }: People, make: Make): Promise<void> {
  for (let at = 1; at <= VISIBLE_DEALS; at += 4) {
    product.at(500 + at);
    await product.change('Deal', idOf('Deal', at), { amount: String(at * 41), city: choose(CITIES, at) }, `Counted again, ${String(at)}.`);
  }
  for (const at of [46, 47, 48]) await make('Deal', at, { name: `${choose(WORDS, at)} gone`, number: `D-${String(at)}`, ownerId: anna.id });
  for (const at of [46, 47, 48]) {
    product.at(600 + at);
    await product.trash('Deal', idOf('Deal', at));
  }
}

/** Items are many, so that a count may be a guess. Their costs differ. */
async function fillItems(product: Product, variant: Variant): Promise<void> {
  const context = await product.app.contextFor({ kind: 'system', name: 'test' }, { kind: 'command', name: 'test' });
  const items = Array.from({ length: ITEMS }, (_, at) => ({
    kind: 'create' as const,
    id: idOf('Item', at),
    values: {
      name: `${choose(WORDS, at)} item`,
      size: at % 11,
      cost: String(variant === 'left' ? at % 17 : at % 5),
      // To items of hers the cost is open.
      ...(at % 50 === 0 ? { deal: idOf('Deal', 3), cost: '4' } : { deal: idOf('Deal', variant === 'left' ? 1 : 2) }),
      account: idOf('Account', at % 4 === 0 ? 51 : 1 + (at % EAST_ACCOUNTS)),
    },
  }));
  for (let start = 0; start < items.length; start += 500) {
    await inTransaction(product.app.db, (tx) => product.app.engine.write(tx, context, 'Item', items.slice(start, start + 500), { mode: 'atomic' }));
  }
}

/** What neither Anna nor Ben may see: other records, other numbers of them, other words. */
async function fillHidden(make: Make, { cara, ben }: People, variant: Variant): Promise<void> {
  const isLeft = variant === 'left';
  const word = (at: number): string => choose(isLeft ? HIDDEN_WORDS.slice(0, 2) : HIDDEN_WORDS.slice(1), at);
  for (let at = 60; at < (isLeft ? 75 : 68); at += 1)
    await make('Account', at, {
      name: `${word(at)} ${choose(WORDS, at)}`,
      code: `W-${String(at)}`,
      region: 'west',
      tier: isLeft ? 'gold' : 'silver',
      credit: String(at),
      parent: idOf('Account', 2),
      ownerId: cara.id,
    });
  for (let at = HIDDEN_FROM; at < HIDDEN_FROM + (isLeft ? 60 : 35); at += 1)
    await make('Deal', at, {
      // Some are called as visible ones are, and stand in pairs with them.
      name: at % 3 === 0 ? `${choose(WORDS, at)} deal` : `${word(at)} ${choose(WORDS, at)}`,
      number: `H-${String(at)}`,
      stage: choose(STAGES, isLeft ? at : at + 1),
      amount: String(isLeft ? at * 100 : at),
      city: choose(CITIES, at),
      openedOn: day(isLeft ? at : at * 3),
      closedOn: day(isLeft ? at + 9 : at * 3 + 40),
      account: idOf('Account', at % 2 === 0 ? 51 : 1 + (at % EAST_ACCOUNTS)),
      team: idOf('Team', 2),
      ownerId: cara.id,
      margin: isLeft ? '-5' : '5',
      bonus: String(at),
    });
  for (let at = 100; at < (isLeft ? 150 : 120); at += 1)
    await make('Remark', at, {
      text: `${word(at)} ${choose(WORDS, at)}`,
      deal: idOf('Deal', 1 + (at % 15) * 3),
      about: { object: 'Deal', id: idOf('Deal', 1 + (at % 20)) },
      weight: at % 7,
      ownerId: cara.id,
    });
  for (let at = 100; at < (isLeft ? 108 : 103); at += 1)
    await make('Term', at, { account: idOf('Account', 51), since: `20${String(at - 70)}-01-01`, until: `20${String(at - 70)}-06-30`, price: String(at) });
  for (let at = 1; at < (isLeft ? 30 : 12); at += 1)
    await make('Vault', at, { text: `${word(at)} ${choose(WORDS, at)}`, deal: idOf('Deal', 1 + (at % VISIBLE_DEALS)) });
  for (let at = 100; at < (isLeft ? 120 : 110); at += 1)
    await make('Share', at, { deal: idOf('Deal', 1 + (at % 40)), member: at % 2 === 0 ? ben.id : cara.id });
  await make('Membership', 100, { team: idOf('Team', 2), member: isLeft ? ben.id : cara.id });
  for (let at = 100; at < (isLeft ? 104 : 102); at += 1) await make('Ticket', at, { subject: word(at), ownerId: cara.id });
}

/**
 * Hidden values of visible records, changed at the same moments in both databases, for version and moment of a change are no
 * secret: what it was, and why, is.
 */
async function changeHidden(product: Product, variant: Variant): Promise<void> {
  const isLeft = variant === 'left';
  for (let at = 1; at <= VISIBLE_DEALS; at += 1) {
    product.at(2_000 + at);
    const margin = String(isLeft ? at : 90 - at);
    await product.change('Deal', idOf('Deal', at), { margin, cost: String(isLeft ? at * 2 : at * 3) }, `It earns ${margin} now.`);
    // Hers she may read, so they agree.
    if (at % 3 === 0) continue;
    product.at(2_100 + at);
    await product.change('Deal', idOf('Deal', at), {
      bonus: isLeft ? `${String(at)}.5` : String(at * 7),
      note: `${choose(HIDDEN_WORDS, isLeft ? at : at + 1)} ${String(at)}`,
      probability: isLeft ? at : 99 - at,
    });
  }
  for (let at = 1; at <= EAST_ACCOUNTS; at += 1) {
    product.at(2_200 + at);
    await product.change('Account', idOf('Account', at), { credit: String(isLeft ? at * 1_000 : at) });
  }
  for (let at = 1; at <= 6; at += 1) {
    product.at(2_300 + at);
    await product.change('Term', idOf('Term', at), { price: String(isLeft ? at : at * 2) });
  }
  for (const at of [51, 52]) {
    product.at(2_400 + at);
    await product.change('Account', idOf('Account', at), {
      name: isLeft ? `Left ${String(at)}` : `Right ${String(at)}`,
      tier: isLeft ? 'gold' : 'silver',
      code: `X-${isLeft ? '1' : '2'}${String(at)}`,
    });
  }
  // Hidden records in the trash, in one of the databases.
  for (let at = HIDDEN_FROM; at < HIDDEN_FROM + 8; at += 1) {
    product.at(2_500 + at);
    if (isLeft) await product.trash('Deal', idOf('Deal', at));
  }
  for (const at of [3, 6]) {
    product.at(2_700 + at);
    if (!isLeft) await product.trash('Vault', idOf('Vault', at));
  }
}
