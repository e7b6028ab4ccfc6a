import { Router, type RequestHandler } from 'express';
import type { Knex } from 'knex';
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import { pendingMigrations } from '../platform/schema/migrate.ts';

export interface Health {
  readonly routes: Router;
  /** Measures every request by method, route and status. */
  readonly measure: RequestHandler;
}

/** How often the event loop is looked at for the metrics of its lag: a hundred times a second, as by default, takes 1 % of a core. */
const LOOP_MS = 250;

/** `/livez` (the process runs), `/readyz` (it can serve: database, migrations; with warnings), `/metrics` (Prometheus). */
export function makeHealth(options: { readonly db: Knex; readonly warnings: () => readonly string[] }): Health {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'credenza_', eventLoopMonitoringPrecision: LOOP_MS });
  const seconds = new Histogram({
    name: 'credenza_http_request_seconds',
    help: 'Duration of requests.',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [registry],
  });
  const routes = Router();
  routes.get('/livez', (_request, response) => void response.json({ status: 'ok' }));
  routes.get('/readyz', async (_request, response) => {
    const problem = await notReady(options.db);
    const warnings = options.warnings();
    response.status(problem === null ? 200 : 503).set('Cache-Control', 'no-store');
    if (problem !== null) response.set('Retry-After', '5');
    response.json({ status: problem === null ? 'ok' : 'unavailable', ...(problem === null ? {} : { problem }), warnings });
  });
  routes.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });
  const measure: RequestHandler = (request, response, next) => {
    const stop = seconds.startTimer({ method: request.method });
    response.once('finish', () => {
      const route: unknown = request.route;
      const path = typeof route === 'object' && route !== null && 'path' in route ? String(route.path) : 'other';
      stop({ route: `${request.baseUrl}${path}`, status: String(response.statusCode) });
    });
    next();
  };
  return { routes, measure };
}

async function notReady(db: Knex): Promise<string | null> {
  try {
    const pending = await pendingMigrations(db);
    return pending.length === 0 ? null : `Migrations are missing: ${pending.join(', ')}. Run credenza migrate.`;
  } catch {
    return 'The database does not answer.'; // this is the report: why stands in the log of the requests that failed
  }
}
