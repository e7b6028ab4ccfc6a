import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadConfig } from '../src/config.ts';
import { makeApp } from '../src/main.ts';
import { isAppError } from '../src/platform/errors.ts';
import { makeLog } from '../src/platform/log.ts';
import { makeTestDatabase } from './support/database.ts';

function refusal(work: () => unknown): { readonly code: string; readonly pointers: readonly string[] } {
  try {
    work();
  } catch (error) {
    if (isAppError(error)) return { code: error.code, pointers: error.errors.map((entry) => entry.pointer) };
    throw error;
  }
  throw new Error('It was accepted.');
}

describe('configuration', () => {
  it('has a default for everything', () => {
    const config = loadConfig({}, '/nowhere');
    expect(config).to.include({ port: 3000, host: '127.0.0.1', databaseUrl: null, smtpUrl: null, publicUrl: 'http://127.0.0.1:3000' });
    expect(config.listing.every((entry) => entry.source === 'default')).to.equal(true);
  });

  it('names every wrong setting at once', () => {
    const wrong = { PORT: '70000', DATABASE_URL: 'mysql://x', WORKER: 'yes', LOG_LEVEL: 'loud', DATABASE_SCHEMA: 'A b' };
    expect(refusal(() => loadConfig(wrong, '/nowhere'))).to.deep.equal({
      code: 'config_invalid',
      pointers: ['/PORT', '/DATABASE_URL', '/DATABASE_SCHEMA', '/LOG_LEVEL', '/WORKER'],
    });
  });

  it('takes on or off for names of statements, and an address past the pooler', () => {
    expect(loadConfig({}, '/nowhere')).to.include({ prepares: true, directUrl: null });
    const set = { DATABASE_PREPARED_STATEMENTS: 'off', DATABASE_DIRECT_URL: 'postgres://there/plan' };
    expect(loadConfig(set, '/nowhere')).to.include({ prepares: false, directUrl: 'postgres://there/plan' });
    expect(loadConfig(set, '/nowhere').listing.find((entry) => entry.name === 'DATABASE_DIRECT_URL')?.value).to.equal('(set)');
    expect(refusal(() => loadConfig({ DATABASE_PREPARED_STATEMENTS: 'false', DATABASE_DIRECT_URL: 'http://there' }, '/nowhere')).pointers).to.deep.equal([
      '/DATABASE_PREPARED_STATEMENTS',
      '/DATABASE_DIRECT_URL',
    ]);
  });

  it('takes how many proxies to believe, or which, and never all of them', () => {
    const trusted = (value: string): unknown => loadConfig({ TRUST_PROXY: value }, '/nowhere').trustProxy;
    expect([trusted(''), trusted('false'), trusted('2')]).to.deep.equal([false, false, 2]);
    expect(trusted('loopback, 10.0.0.0/8, fd00::1')).to.deep.equal(['loopback', '10.0.0.0/8', 'fd00::1']);
    for (const wrong of ['true', '0', '10.0.0.0/33', '10.0.0.0/0', '10.0.0.300', 'proxy.example', 'loopback,,'])
      expect(refusal(() => trusted(wrong)).pointers, wrong).to.deep.equal(['/TRUST_PROXY']);
  });

  it('honours .env, and the environment above it', () => {
    const directory = mkdtempSync(join(tmpdir(), 'credenza-config-'));
    try {
      writeFileSync(join(directory, '.env'), '# a comment\nPORT=4000\nexport PLAN_NAME="Acme Health"\nHOST=0.0.0.0\n');
      const config = loadConfig({ HOST: '127.0.0.2' }, directory);
      expect(config).to.include({ port: 4000, planName: 'Acme Health', host: '127.0.0.2' });
      expect(config.listing.find((entry) => entry.name === 'PORT')?.source).to.equal('.env');
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it('a port that is taken is one clear problem', async () => {
    const database = await makeTestDatabase();
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const app = makeApp({ ...loadConfig({ PORT: String(port) }, '/nowhere'), databaseUrl: database.url }, { log: makeLog('silent') });
    let failure: unknown;
    try {
      await app.start({ web: true, work: false }).catch((error: unknown) => (failure = error));
      expect(isAppError(failure, 'config_invalid'), String(failure)).to.equal(true);
      expect(String(failure)).to.match(new RegExp(`Port ${String(port)} on 127\\.0\\.0\\.1 is taken`));
    } finally {
      await app.stop();
      await new Promise((resolve) => other.close(resolve));
      await database.drop();
    }
  });
});
