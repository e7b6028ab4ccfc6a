import { completeIds } from '../../../src/platform/metadata/assign-ids.ts';
import type { FieldSchema, MetadataSet, ObjectFile, PermissionFile } from '../../../src/platform/metadata/types.ts';
import { objectFile, setOf } from '../../platform/schema/builders.ts';

const text: FieldSchema = { type: 'string', maxLength: 80 };
const money: FieldSchema = { type: 'string', format: 'money' };
const day: FieldSchema = { type: 'string', format: 'date' };
const reference = (to: string | readonly string[], as: string, onDelete: 'restrict' | 'clear' | 'cascade' = 'clear'): FieldSchema => ({
  type: 'string',
  format: 'uuid',
  'x-ref': { to, as, onDelete },
});

/** Every way of hiding something: rows by owner, team and share, fields by grant, related records, whole objects. */
function objects(): Readonly<Record<string, ObjectFile>> {
  return {
    Team: objectFile('Team', { name: text }),
    Membership: objectFile('Membership', { team: reference('Team', 'members'), member: reference('User', 'memberships') }),
    Account: objectFile(
      'Account',
      {
        name: { ...text, 'x-search': true },
        code: { ...text, 'x-unique': true, 'x-search': true },
        region: { ...text, 'x-index': true },
        tier: { type: 'string', 'x-values': 'tier' },
        parent: reference('Account', 'children'),
        credit: { ...money, 'x-sensitive': 'restricted' },
        dealCount: { type: 'integer', 'x-rollup': { relation: 'deals', op: 'count' } },
        worth: { ...money, 'x-rollup': { relation: 'deals', op: 'sum', value: 'amount', declassified: true } },
        bigDeals: { type: 'integer', 'x-formula': 'deals.count(d, d.amount > 500)' },
        headroom: { ...money, 'x-formula': 'credit - 100' },
      },
      { 'x-object': { plural: 'Accounts', name: '{name} ({parent})' }, required: ['name'] },
    ),
    Deal: objectFile(
      'Deal',
      {
        name: { ...text, 'x-search': true },
        number: { ...text, 'x-unique': true, 'x-search': true },
        stage: { type: 'string', 'x-values': 'stage', 'x-index': true },
        amount: money,
        city: { ...text, 'x-index': true },
        openedOn: day,
        closedOn: day,
        tags: { type: 'array', items: { type: 'string' } },
        note: { type: 'string', format: 'multiline' },
        isHot: { type: 'boolean' },
        serial: text,
        account: reference('Account', 'deals', 'cascade'),
        team: reference('Team', 'deals'),
        bonus: money,
        probability: { type: 'integer', minimum: 0, maximum: 100 },
        margin: { ...money, 'x-sensitive': 'restricted' },
        cost: { ...money, 'x-sensitive': 'restricted' },
        doubled: { ...money, 'x-formula': 'amount * 2' },
        gain: { ...money, 'x-formula': 'amount - margin' },
        reward: { ...money, 'x-formula': 'bonus + 1' },
        accountTier: { type: 'string', 'x-formula': 'account.tier' },
        noteCount: { type: 'integer', 'x-formula': 'remarks.count()' },
        remarkCount: { type: 'integer', 'x-rollup': { relation: 'remarks', op: 'count' } },
      },
      { 'x-object': { plural: 'Deals', name: '{name} of {account}' }, required: ['name'] },
    ),
    Share: objectFile('Share', { deal: reference('Deal', 'shares', 'cascade'), member: reference('User', 'dealShares') }),
    Remark: objectFile('Remark', {
      text: { ...text, 'x-search': true },
      deal: reference('Deal', 'remarks', 'cascade'),
      about: reference(['Deal', 'Account'], 'mentions'),
      weight: { type: 'integer' },
    }),
    Term: objectFile(
      'Term',
      { account: reference('Account', 'terms', 'cascade'), since: day, until: day, price: money },
      {
        required: ['account', 'since'],
        'x-effective': { from: 'since', through: 'until', key: ['account'] },
        'x-object': { plural: 'Terms', name: '{since}' },
      },
    ),
    Vault: objectFile('Vault', {
      text: { ...text, 'x-search': true },
      deal: reference('Deal', 'vaults', 'restrict'),
      stage: text,
      city: text,
      account: reference('Account', 'vaults'),
    }),
    Item: objectFile('Item', {
      name: { ...text, 'x-search': true },
      size: { type: 'integer', 'x-index': true },
      cost: { ...money, 'x-sensitive': 'restricted' },
      account: reference('Account', 'items'),
      deal: reference('Deal', 'items'),
      loss: { ...money, 'x-formula': 'cost - 1' },
      accountRegion: { type: 'string', 'x-formula': 'account.region' },
    }),
    Ticket: objectFile(
      'Ticket',
      {
        number: { type: 'string', 'x-sequence': 'T-{0000}' },
        subject: text,
        ceiling: { ...money, 'x-sensitive': 'restricted' },
        asked: money,
        deal: reference('Deal', 'tickets'),
      },
      {
        'x-checks': [
          { name: 'below-ceiling', assert: 'asked == null || ceiling == null || asked <= ceiling', field: 'asked', message: 'That is too much.' },
          { name: 'bound', assert: "subject != 'bound' || deal != null", field: 'deal', message: 'A bound ticket keeps its deal.' },
        ],
        'x-object': { plural: 'Tickets', name: '{subject}' },
      },
    ),
  };
}

const OWN = 'ownerId == user';
const TEAM = 'team.members.exists(m, m.member == user)';
const HOT = 'isHot == true';
const SHARED = 'shares.exists(s, s.member == user)';

const PERMISSIONS: readonly PermissionFile[] = [
  {
    name: 'owner',
    label: 'Own deals',
    audience: 'staff',
    objects: {
      Deal: { read: { where: OWN }, create: true, update: { where: OWN }, delete: { where: OWN }, export: true },
      Account: {
        read: { where: "region == 'east'" },
        fields: ['name', 'code', 'region', 'tier', 'parent', 'dealCount', 'bigDeals', 'headroom'],
        update: { where: OWN },
        delete: { where: OWN },
        create: true,
        export: true,
      },
      Remark: { read: { where: 'deal.ownerId == user || ownerId == user' }, create: true, update: { where: OWN }, export: true },
      Ticket: { read: { where: OWN }, create: true, update: { where: OWN }, export: true },
      Term: { read: { where: "account.region == 'east'" }, fields: ['account', 'since', 'until'], create: true },
      Item: { read: { where: 'deal.ownerId == user' }, fields: ['*', 'cost'], export: true },
    },
  },
  {
    name: 'colleague',
    label: 'Deals of the team',
    audience: 'staff',
    objects: {
      Team: { read: true, export: true },
      Item: { read: true, fields: ['name', 'size', 'account', 'loss', 'accountRegion'], export: true },
      Deal: {
        read: { where: TEAM },
        fields: ['name', 'number', 'stage', 'amount', 'city', 'openedOn', 'closedOn', 'tags', 'account', 'team', 'isHot', 'doubled', 'gain', 'accountTier'],
        transitions: ['win'],
      },
      Term: { read: { where: "account.region == 'east'" }, fields: ['account', 'since', 'until'] },
    },
  },
  {
    name: 'guest-of-deal',
    label: 'Deals shared with one',
    audience: 'staff',
    objects: {
      Deal: {
        read: { where: SHARED },
        fields: ['name', 'number', 'stage', 'city', 'account'],
        update: { where: SHARED },
        writes: ['city'],
      },
    },
  },
  // Every item, but not every field; of deals those of one team.
  {
    name: 'auditor',
    label: 'Auditor',
    audience: 'staff',
    objects: {
      Item: { read: true, fields: ['name', 'size', 'account', 'accountRegion'], export: true },
      Deal: {
        read: { where: "team.name == 'Blue'" },
        fields: ['name', 'stage', 'amount', 'city', 'openedOn', 'closedOn', 'doubled', 'gain', 'reward', 'remarkCount', 'number', 'account'],
        export: true,
      },
      Account: { read: { where: "region == 'east'" }, fields: ['name', 'code', 'region', 'tier'] },
    },
  },
  // May write, and throw away, what is read in rows of one's own only.
  {
    name: 'blind',
    label: 'Writes unseen',
    audience: 'staff',
    objects: {
      Deal: { read: { where: HOT }, fields: ['name', 'city'], update: { where: HOT }, delete: { where: HOT }, writes: ['city', 'bonus'] },
    },
  },
  { name: 'counter', label: 'Counter', audience: 'staff', objects: { Account: { read: { where: "region == 'east'" }, fields: ['name', 'worth'] } } },
];

/** The metadata of both databases: ids are given once, so that both get the same tables. */
export function secrecySet(): MetadataSet {
  const values = (name: string, ...codes: readonly string[]) => ({ name, values: codes.map((code) => ({ code, label: code.toUpperCase() })) });
  return completeIds(
    setOf(objects(), {
      valueSets: new Map([
        ['stage', values('stage', 'new', 'talks', 'won', 'lost')],
        ['tier', values('tier', 'gold', 'silver')],
      ]),
      paths: new Map([
        [
          'deal',
          {
            name: 'deal',
            object: 'Deal',
            field: 'stage',
            initial: 'new',
            states: (['new', 'talks', 'won', 'lost'] as const).map((name) => ({ name, label: name, kind: name === 'won' || name === 'lost' ? name : 'open' })),
            transitions: [
              { name: 'talk', label: 'Talk', from: ['new'], to: 'talks' },
              { name: 'lose', label: 'Lose', from: ['new', 'talks'], to: 'lost' },
              { name: 'win', label: 'Win', from: ['new', 'talks'], to: 'won', guards: [{ name: 'profit', assert: 'margin > 0', message: 'It does not pay.' }] },
            ],
          },
        ],
      ]),
      matching: new Map([
        [
          'deals',
          {
            name: 'deals',
            label: 'Deals',
            object: 'Deal',
            rules: [
              { name: 'alike', label: 'Same name and city', keys: ['name + city'], action: 'report' },
              { name: 'same-note', label: 'Same note', keys: ['note'], action: 'refuse' },
              { name: 'same-serial', label: 'Same serial', keys: ['serial'], action: 'refuse' },
            ],
          },
        ],
      ]),
      reports: new Map([
        [
          'pipeline',
          {
            name: 'pipeline',
            label: 'Pipeline',
            stages: [
              { label: 'All', object: 'Deal', filter: 'true', since: 'openedOn', until: 'closedOn' },
              { label: 'Won', object: 'Deal', filter: "stage == 'won'", since: 'openedOn', until: 'closedOn' },
              { label: 'Profitable', object: 'Deal', filter: 'margin > 0' },
              { label: 'With remarks', object: 'Deal', filter: 'remarks.exists(r, r.weight > 2)' },
              { label: 'Kept secret', object: 'Vault', filter: 'true' },
            ],
            breakdown: { by: ['stage', 'account', 'city'], target: { stage: 'All', reachedBy: 'Won' } },
          },
        ],
        ['vaults', { name: 'vaults', label: 'Vaults', stages: [{ label: 'All', object: 'Vault', filter: 'true' }] }],
      ]),
      views: new Map([
        ['rich', { name: 'rich', label: 'Rich', object: 'Deal', filter: 'amount > 500', columns: ['name', 'amount', 'margin'], sort: '-margin,amount' }],
        ['good', { name: 'good', label: 'Good', object: 'Deal', filter: 'margin > 5', columns: ['name'] }],
      ]),
      layouts: new Map([
        [
          'deal',
          {
            name: 'deal',
            object: 'Deal',
            highlights: ['name', 'margin'],
            sections: [
              { title: 'Deal', fields: ['name', 'amount', 'cost'] },
              { title: 'Profit', fields: ['gain', 'name'], visibleWhen: 'margin > 5' },
              { title: 'Remarks', fields: ['noteCount', 'name'], visibleWhen: 'remarks.exists(r, r.weight > 2)' },
            ],
            related: [
              { relation: 'remarks', columns: ['text', 'weight'] },
              { relation: 'vaults', columns: ['text'] },
            ],
          },
        ],
      ]),
      permissions: new Map(PERMISSIONS.map((file) => [file.name, file])),
    }),
  );
}
