import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import express from 'express';
import { makeProblemHandler } from '../../src/http/problem.ts';
import { AppError } from '../../src/platform/errors.ts';
import { makeLog } from '../../src/platform/log.ts';
import { rows, sql } from '../../src/platform/sql.ts';
import { clientOf, type Answer } from '../support/app.ts';
import { makeTestDatabase, type TestDatabase } from '../support/database.ts';

describe('a request that fails on our side', () => {
  let test: TestDatabase;
  before(async () => {
    test = await makeTestDatabase();
  });
  after(() => test.drop());

  async function failing(work: () => Promise<unknown>): Promise<{ readonly answer: Answer; readonly logged: string }> {
    let logged = '';
    const log = makeLog('info', new Writable({ write: (chunk, _encoding, done) => ((logged += String(chunk)), done()) }));
    const app = express().get('/', async (_request, response) => {
      await work();
      response.end();
    });
    app.use(makeProblemHandler(log));
    const server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      return { answer: await clientOf(`http://127.0.0.1:${String(port)}`, null)('GET', '/'), logged };
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  }

  it('is logged with the state of the database and where, never with a value', async () => {
    const { answer, logged } = await failing(() => rows(test.db, sql`select ${'Ada - Byron'}::text::date`));
    expect([answer.status, answer.body['code']]).to.deep.equal([500, 'internal']);
    expect(logged)
      .to.contain('SQLSTATE 22007')
      .and.to.match(/"stack":"\w/);
    expect(logged + answer.text).not.to.match(/Ada|Byron/);
  });

  it('is logged with the failure below an error of ours too', async () => {
    const { logged } = await failing(() =>
      rows(test.db, sql`select ${'Ada - Byron'}::text::date`).catch((error: unknown) => {
        throw new AppError('internal', 'The record was not written.', { cause: error });
      }),
    );
    expect(logged)
      .to.contain('SQLSTATE 22007')
      .and.not.to.match(/Ada|Byron/);
  });
});
