import { expect } from 'chai';
import { startTestApp, type TestApp } from '../support/app.ts';

describe('names in a caller’s filter', () => {
  let product: TestApp;
  before(async () => {
    product = await startTestApp();
  });
  after(() => product.stop());

  it('a field named like one of the caller’s own names is the field', async () => {
    const administrator = await product.caller('administrator');
    const made = await administrator('POST', '/api/v1/records/Case', { subject: 'A question about claims', contactEmail: 'office@practice.example' });
    expect(made.status, made.text).to.equal(201);
    const found = await administrator('GET', `/api/v1/records/Case?count=exact&filter=${encodeURIComponent("subject.contains('claims')")}`);
    expect(found.status, found.text).to.equal(200);
    expect(found.body['meta']).to.deep.equal({ count: 1 });
    const own = await administrator('GET', `/api/v1/records/Case?count=exact&filter=${encodeURIComponent('ownerId == user')}`);
    expect(own.body['meta']).to.deep.equal({ count: 1 });
  });
});
