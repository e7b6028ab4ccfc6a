import { afterwards } from './chapters/afterwards.ts';
import { application } from './chapters/application.ts';
import { contract } from './chapters/contract.ts';
import { inquiries } from './chapters/inquiries.ts';
import { recruiting } from './chapters/recruiting.ts';
import { visits } from './chapters/visits.ts';
import { makeStory } from './story.ts';
import { makeWorld, type World } from './support/world.ts';

describe('From a provider file to an active, visited provider', function () {
  this.bail(true);
  this.timeout(120_000);
  let open: World | null = null;
  const story = makeStory(() => {
    if (open === null) throw new Error('The world is not open.');
    return open;
  });

  before(async () => {
    open = await makeWorld('2026-03-02T12:30:00.000Z');
  });
  after(() => open?.close());

  describe('Recruiting', () => recruiting(story));
  describe('Application', () => application(story));
  describe('Contract and activation', () => contract(story));
  describe('Visits', () => visits(story));
  describe('Inquiries', () => inquiries(story));
  describe('Afterwards', () => afterwards(story));
});
