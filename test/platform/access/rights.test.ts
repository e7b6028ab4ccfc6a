import { expect } from 'chai';
import { mayDoEverything, mayRunAction, readRights, rightsFor } from '../../../src/platform/access/rights.ts';
import { isAppError } from '../../../src/platform/errors.ts';
import type { Model } from '../../../src/platform/model/types.ts';
import { context, id, smallModel, smallSet, staffSet, system, user } from '../query/support.ts';

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isAppError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'no error';
}

describe('rights', () => {
  const sets = [
    staffSet('reader', { Shop: { read: true } }),
    staffSet('listed', { Shop: { read: true, fields: ['name'] } }),
    staffSet('auditor', { Shop: { read: true, fields: ['*', 'secret'], update: true, writes: ['stage'] } }),
    staffSet('own', {
      Shop: { read: { where: 'ownerId == user' }, update: { where: 'ownerId == user' }, create: true, fields: ['*', 'secret'], transitions: ['*'] },
    }),
    staffSet('orders', { Order: { read: true } }),
    { name: 'boss', label: 'Boss', audience: 'staff' as const, all: true as const },
    staffSet('subjects', { Shop: { read: { where: 'ownerId == subject' }, update: { where: 'stage == "open" || ownerId == subject' } } }),
    {
      name: 'owners',
      label: 'Owners',
      audience: 'portal' as const,
      objects: { Shop: { read: { where: 'ownerId == user' }, update: { where: 'orders.exists(o, o.ownerId == user)' } } },
    },
    { name: 'visitor', label: 'Visitor', audience: 'portal' as const, objects: { Shop: { read: { where: 'id == subject' } } }, actions: ['upload'] },
  ];
  let model: Model;
  before(() => {
    model = smallModel(sets, smallSet(sets));
  });

  it('denies by default, and an unknown object answers as a hidden one', () => {
    const ctx = user(model, ['orders']);
    expect(rightsFor(ctx, 'Shop').canRead).to.equal(false);
    expect(messageOf(() => readRights(ctx, 'Shop')).replace('Shop', '*')).to.equal(messageOf(() => readRights(ctx, 'Nothing')).replace('Nothing', '*'));
    expect(messageOf(() => readRights(ctx, 'Shop'))).to.match(/^not_found/);
  });

  it('gives all fields but restricted ones without a list, and adds named ones after *', () => {
    const plain = rightsFor(user(model, ['reader']), 'Shop').readable;
    expect([...plain]).to.include.members(['id', 'ownerId', 'name', 'turnover']);
    expect([...plain]).not.to.include('secret');
    expect([...rightsFor(user(model, ['auditor']), 'Shop').readable]).to.include.members(['name', 'secret', 'hint']);
    expect([...rightsFor(user(model, ['listed']), 'Shop').readable].sort()).to.deep.equal([
      'createdAt',
      'createdBy',
      'deletedAt',
      'id',
      'name',
      'ownerId',
      'updatedAt',
      'updatedBy',
      'version',
    ]);
  });

  it('hides a formula whose inputs are hidden, through references too', () => {
    expect([...rightsFor(user(model, ['reader']), 'Shop').readable])
      .to.include('half')
      .and.not.include('hint');
    expect([...rightsFor(user(model, ['orders']), 'Order').readable]).not.to.include('shopCity');
    expect([...rightsFor(user(model, ['orders', 'reader']), 'Order').readable]).to.include('shopCity');
    expect([...rightsFor(user(model, ['orders', 'listed']), 'Order').readable]).not.to.include('shopCity');
  });

  it('adds sets up and masks only what is given for some rows', () => {
    const both = rightsFor(user(model, ['reader', 'own']), 'Shop');
    expect([...both.conditional].sort()).to.deep.equal(['hint', 'secret']);
    expect(both.canCreate).to.equal(true);
    expect(both.canUpdate).to.equal(true);
    expect(rightsFor(user(model, ['auditor', 'own']), 'Shop').conditional.size).to.equal(0);
    expect(rightsFor(user(model, ['own']), 'Shop').conditional.size).to.equal(0);
  });

  it('limits writes to the list', () => {
    expect([...rightsFor(user(model, ['auditor']), 'Shop').writable]).to.deep.equal(['stage']);
    expect([...rightsFor(user(model, ['own']), 'Shop').writable])
      .to.include.members(['name', 'secret', 'ownerId'])
      .and.not.include.members(['half']);
  });

  it('lets administrators, sets for everything and the system do everything, and guests nothing', () => {
    for (const ctx of [user(model, ['administrator']), user(model, ['boss']), system(model)]) {
      expect(mayDoEverything(ctx)).to.equal(true);
      expect([...rightsFor(ctx, 'Shop').readable]).to.include('secret');
      expect(rightsFor(ctx, 'Shop').canDelete).to.equal(true);
      expect(mayRunAction(ctx, 'anything')).to.equal(true);
    }
    const guest = context(model, { kind: 'guest' });
    expect(rightsFor(guest, 'Shop').canRead).to.equal(false);
    expect(rightsFor(guest, 'User').canRead).to.equal(false);
  });

  it('takes portal sets for portal callers only and staff sets for staff only', () => {
    const portal = context(model, {
      kind: 'portal',
      permissionSets: ['visitor', 'boss', 'reader', 'administrator'],
      subject: { object: 'Shop', id: id(1) },
      linkId: id(2),
    });
    expect(mayDoEverything(portal)).to.equal(false);
    expect(rightsFor(portal, 'Shop').readGrants.map((grant) => grant.read.kind)).to.deep.equal(['where']);
    expect(rightsFor(portal, 'Order').canRead).to.equal(false);
    expect(mayRunAction(portal, 'upload')).to.equal(true);
    expect(mayRunAction(portal, 'delete-all')).to.equal(false);
    expect(rightsFor(user(model, ['visitor']), 'Shop').canRead).to.equal(false);
  });

  it('never lets a rule that names the user or the subject hold for who is neither: null is the owner of nothing', () => {
    const portal = context(model, { kind: 'portal', permissionSets: ['owners', 'visitor'], subject: { object: 'Shop', id: id(1) }, linkId: id(2) });
    expect(rightsFor(portal, 'Shop').grants.map((grant) => [grant.set, grant.read.kind, grant.update.kind])).to.deep.equal([
      ['owners', 'none', 'none'],
      ['visitor', 'where', 'none'],
    ]);
    expect(rightsFor(user(model, ['subjects']), 'Shop').canRead).to.equal(false);
    expect(rightsFor(user(model, ['subjects']), 'Shop').canUpdate).to.equal(false);
    expect(rightsFor(user(model, ['own']), 'Shop').readGrants.map((grant) => grant.read.kind)).to.deep.equal(['where']);
  });

  it('lets staff read the names of colleagues, nothing else of them, and nobody write them', () => {
    const people = rightsFor(user(model, []), 'User');
    expect([...people.readable])
      .to.include('name')
      .and.not.include('email');
    expect(rightsFor(system(model), 'User').canCreate).to.equal(false);
    expect(rightsFor(system(model), 'User').canUpdate).to.equal(false);
  });
});
