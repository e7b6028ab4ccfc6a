import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import type { Knex } from 'knex';
import { bouncesAt, type Config } from './config.ts';
import { EXTENSIONS, metadataDirectories } from './extensions.ts';
import { formRoutes } from './http/api/forms.ts';
import { deliveryRoutes } from './http/api/deliveries.ts';
import { effectRoutes } from './http/api/effects.ts';
import { metadataRoutes } from './http/api/metadata.ts';
import { policyRoutes } from './http/api/policies.ts';
import { webhookRoutes } from './http/api/webhooks.ts';
import { makeHttp } from './http/server.ts';
import { makeRenderer } from './http/portal/render.ts';
import { makePortalRoutes, makeProblemPage } from './http/portal/routes.ts';
import { makeWrongSecrets } from './http/portal/wrong-secrets.ts';
import type { CallContext, Cause, Principal } from './platform/access/types.ts';
import { makeDeliveryOutcome, makeDeliveryTransition, platformActions } from './platform/automation/actions.ts';
import { makeAutomation, type Automation } from './platform/automation/automation.ts';
import { systemCall } from './platform/automation/call-context.ts';
import { systemClock, type Clock } from './platform/clock.ts';
import { inTransaction, openDb } from './platform/db.ts';
import type { SlowStatement } from './platform/sql.ts';
import { makeDocuments } from './platform/documents/documents.ts';
import { AppError } from './platform/errors.ts';
import { makeFileStore } from './platform/files/store.ts';
import type { FileStore } from './platform/files/types.ts';
import { makeForms, type Forms } from './platform/forms/submissions.ts';
import { makeSignIn, type SignIn } from './platform/identity/sign-in.ts';
import { userById } from './platform/identity/identity.sql.ts';
import { inviteFirstAdministrator } from './platform/identity/users.ts';
import { inBlocks, uuidV7, type RandomBytes } from './platform/ids.ts';
import { isJobOpen } from './platform/import/job.sql.ts';
import { makeImporter, type Importer } from './platform/import/import.ts';
import { makeImportJobs, type ImportJobs } from './platform/import/jobs.ts';
import type { JobPrincipal } from './platform/import/types.ts';
import { makeWorker, type Worker } from './platform/jobs/worker.ts';
import { makeLog, type Log } from './platform/log.ts';
import { makeMailHealth } from './platform/mail/health.ts';
import { makeMailFetcher, type MailFetcher } from './platform/mail/fetch.ts';
import { makeInboundMail, type InboundMail } from './platform/mail/inbound.ts';
import { isMailDue, isSandbox } from './platform/mail/mail.sql.ts';
import { makeMailQueue } from './platform/mail/queue.ts';
import { makeMailRetention } from './platform/mail/retention.ts';
import { makePacing } from './platform/mail/pacing.ts';
import { makeMailSender } from './platform/mail/sender.ts';
import { makeSettleMail, type SettleMail } from './platform/mail/settle.ts';
import { makeUnsubscribe, type DeliveryHook, type Unsubscribe } from './platform/mail/suppression.ts';
import { makeOutgoing } from './platform/outgoing.ts';
import { makeWebhooks, type Webhooks } from './platform/webhooks/endpoints.ts';
import { makeWebhookSender } from './platform/webhooks/sender.ts';
import { isWebhookDue } from './platform/webhooks/webhooks.sql.ts';
import { loadMetadata } from './platform/metadata/load.ts';
import { installApprovals } from './platform/policies/approve.ts';
import { policyLookup } from './platform/policies/policies.ts';
import { makeReader, type Reader } from './platform/query/reader.ts';
import { makeDerivedValues, type DerivedValues } from './platform/record/derived.ts';
import { makeRecordEngine } from './platform/record/engine.ts';
import { makeMatchBacklog } from './platform/record/match-backlog.ts';
import { hasSearchBacklog, indexBacklog } from './platform/record/search-backlog.sql.ts';
import { makeTransitionStates } from './platform/record/transition-states.sql.ts';
import type { RecordEngine } from './platform/record/types.ts';
import { packageRoot } from './platform/root.ts';
import { makeHistoryYears } from './platform/schema/history-years.ts';
import { migratePlatform } from './platform/schema/migrate.ts';
import { makeModelStore, type ModelStore } from './platform/schema/store.ts';
import type { ApplyResult } from './platform/schema/types.ts';

export type AppConfig = Omit<Config, 'listing' | 'dataDirectory' | 'databaseUrl'> & { readonly databaseUrl: string };

/** The outside world, for tests and simulations. */
export interface AppOverrides {
  readonly clock?: Clock;
  readonly random?: RandomBytes;
  readonly log?: Log;
  /** A pool that is already open; `stop` then leaves it open. */
  readonly db?: Knex;
}

/** The whole product on one database, wired by hand. Nothing runs before `start`. */
export interface App {
  readonly db: Knex;
  readonly config: AppConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly store: ModelStore;
  readonly engine: RecordEngine;
  readonly reader: Reader;
  readonly signIn: SignIn;
  readonly files: FileStore;
  readonly automation: Automation;
  readonly derived: DerivedValues;
  readonly worker: Worker;
  readonly importer: Importer;
  readonly imports: ImportJobs;
  readonly inbound: InboundMail;
  /** Fetches mail by IMAP; looks after its accounts by itself once the work is started. */
  readonly fetcher: MailFetcher;
  /** Address that reports about failed deliveries come in at. */
  readonly bounceAddress: string;
  readonly unsubscribe: Unsubscribe;
  readonly settleMail: SettleMail;
  readonly webhooks: Webhooks;
  readonly forms: Forms;
  readonly publicUrl: () => string;
  /** A call at this moment, on the current Model. */
  contextFor(principal: Principal, cause: Cause): Promise<CallContext>;
  /** Migrates the platform's tables and applies the shipped metadata with the configured packages and the one applied last; local changes stay. */
  prepare(): Promise<{ readonly migrations: readonly string[]; readonly metadata: ApplyResult }>;
  /** An address that makes the first administrator, while there is none. */
  firstAdministratorLink(): Promise<string | null>;
  start(parts: { readonly web: boolean; readonly work: boolean }): Promise<{ readonly url: string | null; readonly smtpPort: number | null }>;
  /** Stops in good order: no new requests, work in hand done, connections closed. */
  stop(): Promise<void>;
}

/** Wires the product. Nothing runs, and nothing is read from the database, before `prepare` or `start`. */
export function makeApp(config: AppConfig, overrides: AppOverrides = {}): App {
  const clock = overrides.clock ?? systemClock;
  const random = overrides.random ?? randomBytes;
  const log = overrides.log ?? makeLog(config.logLevel);
  const slow = { overMs: config.slowStatementMs, report: (statement: SlowStatement) => void log.warn(statement, 'slow statement') };
  const { databaseUrl: url, schema, poolSize, prepares, directUrl, idleTransactionMs } = config;
  const db = overrides.db ?? openDb({ url, schema, poolSize, statementTimeoutMs: 30_000, slow, prepares, directUrl, idleTransactionMs });
  const idRandom = overrides.random ?? inBlocks(random);
  const newId = (): string => uuidV7(clock.nowMs(), idRandom);
  let publicUrl = config.publicUrl.replace(/\/+$/, '');

  const store = makeModelStore({ db, clock, extensions: EXTENSIONS, log });
  const currentModel = (): ReturnType<ModelStore['current']> => store.current();
  const reader = makeReader();
  const engine = makeRecordEngine({ policies: policyLookup, onModelChanged: () => store.expire() });
  const files = makeFileStore({ newId });
  const documents = makeDocuments({ plan: { name: config.planName, address: config.planAddress, phone: config.planPhone } });
  const systemContext = async (cause?: Cause): Promise<CallContext> => systemCall(await store.current(), clock, random, 'mail', cause);
  const told = { engine, log, context: () => systemContext() };
  const health = makeMailHealth({ policies: policyLookup, log, context: () => systemContext() });
  const tellOutcome = makeDeliveryOutcome(told);
  const tellOptedOut = makeDeliveryTransition(told, 'unsubscribe');
  const onOutcome: DeliveryHook = async (tx, delivery, call) => {
    await tellOutcome(tx, delivery, call);
    if (delivery.state === 'bounced') await health(tx, delivery, call);
  };
  const onComplaint: DeliveryHook = async (tx, delivery, call) => {
    await tellOptedOut(tx, delivery, call);
    await health(tx, delivery, call);
  };
  const mail = makeMailQueue({
    newId,
    random,
    onOutcome,
    config: {
      from: config.mailFrom,
      domain: config.mailDomain,
      publicUrl: () => publicUrl,
      planName: config.planName,
      planAddress: config.planAddress,
      planPhone: config.planPhone,
    },
  });
  const sender = makeMailSender({
    smtpUrl: config.smtpUrl,
    clock,
    log,
    files,
    onOutcome,
    currentModel,
    pacing: makePacing({ policies: policyLookup, warmUpFrom: config.mailWarmUpFrom }),
    bounceAddress: config.mailBounces,
    dkim: config.dkim,
  });
  const isClosed = (): Promise<boolean> => isSandbox(db);
  const outgoing = makeOutgoing({ isSandbox: isClosed, allow: config.webhookAllow });
  const webhooks = makeWebhooks({ clock, random, outgoing });
  const webhookSender = makeWebhookSender({ clock, log, outgoing, isSandbox: isClosed, context: () => systemContext({ kind: 'command', name: 'webhooks' }) });
  const settleMail = makeSettleMail({ clock, onOutcome });
  const unsubscribe = makeUnsubscribe({ clock, onUnsubscribe: tellOptedOut });
  const actions = platformActions({ engine, reader, files, documents, random, publicUrl: () => publicUrl });
  const automation = makeAutomation({ currentModel, clock, random, engine, reader, mail, log, actions, onModelChanged: () => store.expire() });
  const sendMail = async (handle: Knex): Promise<number> => Object.values(await sender.sendDue(handle)).reduce((sum, count) => sum + count, 0);
  /** An import acts for who began it, with the rights of that account now. */
  const importContext = async (who: JobPrincipal, job: string): Promise<CallContext> => {
    const cause: Cause = { kind: 'import', job };
    if (who.kind === 'system') return contextFor({ kind: 'system', name: who.name }, cause);
    const user = await userById(db, who.id);
    if (user === null || user.status !== 'active') throw new AppError('forbidden', 'The account that this import acts for is not active.');
    return contextFor({ kind: 'user', userId: user.id, permissionSets: user.permissionSets, email: user.email, name: user.name }, cause);
  };
  const onModelChanged = (): void => store.expire();
  const limitBytes = config.importLimitMb * 1_000_000;
  const imports = makeImportJobs({ engine, clock, log, contextFor: importContext, limitBytes, onModelChanged });
  const importWork = { name: 'imports', run: (handle: Knex) => imports.run(handle), waiting: isJobOpen };
  const searchWork = { name: 'search', run: async (handle: Knex) => indexBacklog(handle, await store.current()), waiting: hasSearchBacklog };
  const matching = makeMatchBacklog({ context: () => systemContext({ kind: 'command', name: 'matching' }) });
  const derived = makeDerivedValues({ context: () => systemContext({ kind: 'command', name: 'derived' }), log });
  const worker = makeWorker({
    db,
    clock,
    log,
    handlers: [
      ...automation.handlers,
      ...derived.handlers,
      { name: 'mail', run: sendMail, waiting: isMailDue },
      { name: 'webhooks', run: (handle: Knex) => webhookSender.sendDue(handle), waiting: isWebhookDue },
      importWork,
      searchWork,
      matching,
      makeHistoryYears({ clock, log }),
      makeMailRetention({ clock, log, policies: policyLookup, context: () => systemContext({ kind: 'command', name: 'mail-retention' }) }),
    ],
  });
  const bounceAddress = config.mailBounces ?? bouncesAt(config.mailDomain);
  const inbound = makeInboundMail({
    db,
    engine,
    reader,
    policies: policyLookup,
    queue: mail,
    files,
    log,
    bounceAddress,
    onBounce: onOutcome,
    onComplaint,
    context: (cause) => systemContext(cause),
  });
  const fetcher = makeMailFetcher({ db, clock, log, accounts: config.mailAccounts, inbound });
  const signIn = makeSignIn({ clock, random });
  const forms = makeForms({ engine, reader, files });

  const contextFor = async (principal: Principal, cause: Cause): Promise<CallContext> => ({
    ...systemCall(await store.current(), clock, random, 'call', cause),
    principal,
  });

  const render = makeRenderer({ planName: config.planName, planPhone: config.planPhone });
  const routes = makePortalRoutes({
    db,
    engine,
    reader,
    files,
    forms,
    render,
    newId,
    secureCookies: publicUrl.startsWith('https:'),
    wrongSecrets: makeWrongSecrets(clock),
    contextFor: (principal, requestId) => contextFor(principal, { kind: 'request', requestId }),
    unsubscribe: (token) =>
      unsubscribe.unsubscribe(db, token).then(
        () => true,
        (error: unknown) => {
          if (error instanceof AppError && error.code === 'not_found') return false;
          throw error;
        },
      ),
  });
  const calls = { db, clock, newId, currentModel: () => store.current(), latestModel: () => store.load() };
  const web = makeHttp({
    ...calls,
    random,
    log,
    reader,
    engine,
    imports,
    worker,
    transitionStates: makeTransitionStates(policyLookup),
    signIn,
    files,
    moreApi: [
      metadataRoutes({ ...calls, store }),
      policyRoutes({ ...calls, store }),
      effectRoutes({ ...calls, automation, worker, settleMail }),
      deliveryRoutes({ ...calls, reader, worker }),
      webhookRoutes({ ...calls, worker, webhooks }),
      formRoutes({ ...calls, engine, reader, files, forms }),
    ],
    portal: { routes, problemPage: makeProblemPage(render) },
    publicUrl: () => publicUrl,
    trustProxy: config.trustProxy,
    sendsMail: config.smtpUrl !== null,
    isSandbox: isClosed,
    consoleDirectory: join(packageRoot(), 'dist', 'console'),
  });
  let server: Server | null = null;
  let stopBeating: (() => Promise<void>) | null = null;

  return {
    db,
    config,
    clock,
    log,
    store,
    engine,
    reader,
    signIn,
    files,
    automation,
    derived,
    worker,
    importer: makeImporter({ engine, clock, log, latestModel: () => store.load() }),
    imports,
    inbound,
    fetcher,
    bounceAddress,
    unsubscribe,
    settleMail,
    webhooks,
    forms,
    publicUrl: () => publicUrl,
    contextFor,
    async prepare() {
      const { applied } = await migratePlatform(db);
      await installApprovals(db, clock.now(), loadMetadata([packageRoot()]));
      const wish = { kind: 'files', set: loadMetadata(metadataDirectories(config.packages)), package: 'kept' } as const;
      const metadata = await store.apply(wish, 'system:start', { withTests: false });
      return { migrations: applied, metadata };
    },
    async firstAdministratorLink() {
      const secret = await inTransaction(db, (tx) => inviteFirstAdministrator(tx, { clock, random }, `administrator@${config.mailDomain}`));
      return secret === null ? null : `${publicUrl}/invitation/${secret}`;
    },
    async start(parts) {
      let url: string | null = null;
      stopBeating ??= store.startBeating();
      if (parts.web) {
        server = createServer(web);
        const port = await listen(server, config.port, config.host);
        url = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${String(port)}`;
        if (config.port === 0 && config.publicUrl.endsWith(':0')) publicUrl = url;
      }
      let smtpPort: number | null = null;
      if (parts.work) {
        worker.start();
        fetcher.start();
        if (config.smtpListenPort !== null) smtpPort = (await inbound.listen(config.smtpListenPort, config.host)).port;
      }
      return { url, smtpPort };
    },
    async stop() {
      if (server !== null) await close(server);
      await fetcher.stop();
      await inbound.close();
      await imports.close();
      await worker.stop();
      sender.close();
      documents.close();
      await stopBeating?.();
      if (overrides.db === undefined) await db.destroy();
    },
  };
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken =
        error.code === 'EADDRINUSE' ? `Port ${String(port)} on ${host} is taken; stop what uses it or set PORT to another (0 takes any free one).` : null;
      reject(
        new AppError('config_invalid', taken ?? `The web server cannot listen on ${host}:${String(port)}: ${error.message}. Check HOST and PORT.`, {
          cause: error,
        }),
      );
    });
    server.listen(port, host, () => {
      const address: AddressInfo | string | null = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

/** Ends idle connections at once and gives the others ten seconds. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), 10_000);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
