import { Writable } from 'node:stream';
import { loadConfig } from '../../../src/config.ts';
import { makeApp } from '../../../src/main.ts';
import { makeLog } from '../../../src/platform/log.ts';

/** The web server as a process of its own, so that it can be killed: `server-process DATABASE_URL PORT`. */
const [databaseUrl = '', port = '0'] = process.argv.slice(2);
const stderr = new Writable({ write: (chunk, _encoding, done) => (process.stderr.write(String(chunk)), done()) });
const config = loadConfig({ PORT: port, DATABASE_POOL_SIZE: '3' }, '/nowhere');
const app = makeApp({ ...config, databaseUrl }, { log: makeLog('error', stderr) });
const { url } = await app.start({ web: true, work: false });
process.stdout.write(`${String(url)}\n`);
