import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:http';
import { expect } from 'chai';
import { Router } from 'express';
import { loadConfig } from '../../src/config.ts';
import { makeHttp } from '../../src/http/server.ts';
import { makeTransitionStates } from '../../src/platform/record/transition-states.sql.ts';
import { at, startTestApp, type TestApp } from '../support/app.ts';

describe('the address that a caller comes from, as signatures keep it', () => {
  let test: TestApp;
  const servers: Server[] = [];
  before(async () => {
    test = await startTestApp();
  });
  after(async () => {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    await test.stop();
  });

  /** The product's web server under a setting, with one more address that answers where the request came from. */
  async function serverWith(setting: string): Promise<(forwarded: string) => Promise<unknown>> {
    const { app } = test;
    const routes = Router().get('/where', (request, response) => void response.json({ address: request.ip }));
    const web = makeHttp({
      ...app,
      newId: () => crypto.randomUUID(),
      currentModel: () => app.store.current(),
      latestModel: () => app.store.load(),
      transitionStates: makeTransitionStates(undefined),
      trustProxy: loadConfig({ TRUST_PROXY: setting }, '/nowhere').trustProxy,
      sendsMail: false,
      isSandbox: () => Promise.resolve(false),
      consoleDirectory: '/nowhere',
      moreApi: [routes],
    });
    const server = createServer(web);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    return async (forwarded) => {
      const answer = await fetch(`http://127.0.0.1:${String(port)}/api/v1/where`, { headers: { 'x-forwarded-for': forwarded } });
      return at(await answer.json(), 'address');
    };
  }

  it('is that of the connection unless a proxy is trusted: nobody writes it himself', async () => {
    const where = await serverWith('');
    expect(await where('203.0.113.7')).to.equal('127.0.0.1');
  });

  it('is what the trusted proxies say, and no further', async () => {
    const behindOne = await serverWith('1');
    expect(await behindOne('198.51.100.1, 203.0.113.7')).to.equal('203.0.113.7');
    const behindNamed = await serverWith('loopback, 203.0.113.0/24');
    expect(await behindNamed('198.51.100.1, 203.0.113.7')).to.equal('198.51.100.1');
    const behindOthers = await serverWith('10.0.0.0/8');
    expect(await behindOthers('198.51.100.1')).to.equal('127.0.0.1');
  });
});
