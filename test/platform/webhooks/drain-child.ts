import { loadConfig } from '../../../src/config.ts';
import { makeApp } from '../../../src/main.ts';
import { makeVirtualClock } from '../../../src/platform/clock.ts';
import { setFaultPlan } from '../../../src/platform/fault.ts';
import { makeLog } from '../../../src/platform/log.ts';

/** A process of its own that does what is due and kills itself where its fault plan says. */
const [databaseUrl = '', allow = '', plan = '', now = ''] = process.argv.slice(2);
const app = makeApp({ ...loadConfig({ WEBHOOK_ALLOW: allow }, '/nowhere'), databaseUrl }, { clock: makeVirtualClock(now), log: makeLog('silent') });
setFaultPlan(plan);
await app.worker.drain();
await app.stop();
