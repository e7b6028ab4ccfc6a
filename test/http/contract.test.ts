import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { checkAnswer, type Exchange } from '../support/contract.ts';

const DOCUMENT = {
  openapi: '3.1.0',
  paths: {
    '/api/v1/records/Shelf/{id}': {
      get: {
        parameters: [{ name: 'fields', in: 'query', schema: { type: 'string' } }],
        responses: {
          200: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Shelf' } } } },
          404: { $ref: '#/components/responses/NotFound' },
        },
      },
      delete: { responses: { 204: { description: 'Done.' } } },
    },
  },
  components: {
    schemas: {
      Shelf: { type: 'object', required: ['id'], properties: { id: { type: 'integer' }, owner: { $ref: '#/components/schemas/Owner' } } },
      Owner: { type: 'object', properties: { name: { type: 'string' } } },
    },
    responses: {
      NotFound: { content: { 'application/problem+json': { schema: { type: 'object', required: ['code'], properties: { code: { type: 'string' } } } } } },
    },
  },
};

describe('answers held against the OpenAPI document', () => {
  let server: Server;
  let url: string;
  before(async () => {
    server = createServer((_request, response) => void response.setHeader('content-type', 'application/json').end(JSON.stringify(DOCUMENT)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address: AddressInfo | string | null = server.address();
    url = `http://127.0.0.1:${String(typeof address === 'object' ? address?.port : '')}`;
  });
  after(() => new Promise((resolve) => server.close(resolve)));

  const good: Exchange = {
    method: 'GET',
    path: '/api/v1/records/Shelf/7',
    credentials: {},
    status: 200,
    contentType: 'application/json; charset=utf-8',
    text: '{"id":7}',
  };
  const problem: Exchange = { ...good, status: 404, contentType: 'application/problem+json', text: '{"code":"not_found"}' };

  it('a documented answer passes', async () => {
    for (const exchange of [
      good,
      { ...good, path: `${good.path}?fields=id` },
      { ...good, text: '{"id":7,"owner":{"name":"Ada"}}' },
      problem,
      { ...good, method: 'DELETE', status: 204, contentType: '', text: '' },
      { ...problem, path: '/api/v1/records/Hidden/7' },
      { ...good, path: '/livez', text: 'anything' },
    ])
      await checkAnswer(url, exchange);
  });

  const wrong: readonly (readonly [string, Exchange, RegExp])[] = [
    ['a status that is not documented', { ...good, status: 202 }, /status 202/],
    ['a problem that is not documented', { ...problem, status: 409 }, /status 409/],
    ['a failure on our side', { ...problem, status: 500 }, /failure on our side/],
    ['a member that is missing', { ...good, text: '{}' }, /required property 'id'/],
    ['a member that is not documented', { ...good, text: '{"id":7,"secret":1}' }, /"additionalProperty":"secret"/],
    ['such a member deep inside', { ...good, text: '{"id":7,"owner":{"ssn":"1"}}' }, /\/owner .*"additionalProperty":"ssn"/],
    ['a value of another type', { ...good, text: '{"id":"7"}' }, /\/id must be integer/],
    ['another media type', { ...good, contentType: 'text/html' }, /text\/html is not documented/],
    ['a body where none is documented', { ...good, method: 'DELETE', status: 204 }, /a body is not documented/],
    ['a parameter that is taken but not documented', { ...good, path: `${good.path}?shade=red` }, /"shade" is not documented/],
    ['an address outside the document that answers', { ...good, path: '/api/v1/records/Hidden/7' }, /not in the caller's document/],
    ['a method outside the document that answers', { ...good, method: 'PATCH' }, /not in the caller's document/],
  ];
  for (const [title, exchange, message] of wrong) {
    it(`${title} fails`, async () => {
      const refused = await checkAnswer(url, exchange).then(
        () => '',
        (error: unknown) => String(error),
      );
      expect(refused).to.match(message);
    });
  }
});
