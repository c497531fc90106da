/** The composition root: the only file that wires parts together. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Server as TlsServer } from 'node:tls';
import { AccessRules } from './account/access.ts';
import { AccessKeys } from './account/access-keys.ts';
import { makeFirstAccount } from './account/first-account.ts';
import { accountOperations } from './account/index.ts';
import { ownersGoWithTheirResources, ownershipHook } from './account/ownership.ts';
import { Quotas } from './account/quotas.ts';
import { Sessions } from './account/sessions.ts';
import { AuditLog } from './audit/audit-log.ts';
import { runAuditCleaner } from './audit/cleaner.ts';
import { BackupStorages } from './backup-storage/backup-storages.ts';
import { contentsOfAll } from './backup-storage/delete.ts';
import { backupStorageOperations } from './backup-storage/index.ts';
import { runPings } from './backup-storage/pings.ts';
import { messages, resources } from './catalogue.ts';
import { type Config, egressRules, listed, splitListen } from './config.ts';
import { openDatabase } from './database/database.ts';
import { declaredSettings } from './declared-settings.ts';
import { makeFirstZone } from './first-start.ts';
import { globalConfigOperations } from './global-config/index.ts';
import { Settings } from './global-config/settings.ts';
import { createApp } from './http/app.ts';
import { Dispatcher } from './http/dispatcher.ts';
import { WebHooks } from './http/web-hooks.ts';
import { bootModeOfNewImages } from './image/boot-mode.ts';
import { reportDamages } from './image/damage.ts';
import { Describer } from './image/describer.ts';
import { exportedFile } from './image/export.ts';
import { runExpunger } from './image/expunger.ts';
import { imageOperations } from './image/index.ts';
import { imageQuotas } from './image/quotas.ts';
import { runScrubber } from './image/scrubber.ts';
import { imagesOnStorages } from './image/storage-contents.ts';
import { ReceiveImageUpload, receiveImageUpload } from './image/upload/receive.ts';
import { Uploads } from './image/upload/uploads.ts';
import { reportJobs } from './job/job-metrics.ts';
import type { AnyOperation } from './job/operation.ts';
import { JobRunner } from './job/runner.ts';
import { systemClock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import type { Message } from './kernel/message.ts';
import { nobodyListens, type StepListener } from './kernel/steps.ts';
import { newUuid } from './kernel/uuid.ts';
import { listen, readIdentity } from './listening.ts';
import { longJobOperations } from './long-job/index.ts';
import { progressOf } from './long-job/progress.ts';
import { managementNodeOperations } from './management-node/index.ts';
import { Node } from './management-node/node.ts';
import { runCacheCleaner } from './primary-storage/cache-cleaner.ts';
import { ImageCaches } from './primary-storage/image-cache.ts';
import { primaryStorageOperations } from './primary-storage/index.ts';
import { runPrimaryPings } from './primary-storage/pings.ts';
import { PrimaryStorages } from './primary-storage/primary-storages.ts';
import { Trash } from './primary-storage/trash.ts';
import { secretBoxOf } from './secret-key.ts';
import { snapshotOperations } from './snapshot/index.ts';
import { snapshotsOnBackupStorages } from './snapshot/storage-contents.ts';
import { closeApp, GRACE, stop } from './stopping.ts';
import { tagOperations } from './tag/index.ts';
import { tagsOfNewResources } from './tag/new-resource.ts';
import { Egress } from './transfer/egress.ts';
import { parseEgressSchemes } from './transfer/egress-schemes.ts';
import { KnownHosts } from './transfer/known-hosts.ts';
import { VERSION } from './version.ts';
import { describeHost, joinLocalHost, localHostUuid } from './vm/hosts.ts';
import { vmOperations } from './vm/index.ts';
import { LiveLayers } from './vm/live-layers.ts';
import { qemuHypervisor } from './vm/qemu/driver.ts';
import { runTracer } from './vm/tracer.ts';
import { volumeOperations } from './volume/index.ts';
import { disksOnStorages } from './volume/storage-disks.ts';
import { zoneOperations } from './zone/index.ts';

export interface Service {
  /** `http://127.0.0.1:8080`. */
  address: string;
  /** The administrator's password, when this start has made it. */
  firstPassword: string | undefined;
  /** Reads the certificate and its key again, where the service has one; connections that stand keep theirs. */
  reload(): void;
  /** Stops taking calls, lets short work end, leaves long jobs for the next start. Within ten seconds. */
  stop(): Promise<void>;
}

/** How long the start waits to hear which storages are there, in milliseconds. */
const FIRST_CHECK = 5000;
/** Over which the least rate of a download is held against it, in milliseconds. */
const PACE_SPAN = 300_000;

/**
 * Starts the service on its data directory. Rejects, with everything let go again, where that can't be. `onStep` is
 * the crash suite's way in.
 */
export async function startService(config: Config, log: Log, onStep?: StepListener): Promise<Service> {
  const undo: (() => Promise<unknown>)[] = [];
  try {
    return await start(config, log, undo, onStep);
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => {});
    throw error;
  }
}

async function start(
  config: Config,
  log: Log,
  undo: (() => Promise<unknown>)[],
  onStep: StepListener = nobodyListens,
): Promise<Service> {
  const { data } = config;
  const clock = systemClock;
  const tls = readIdentity(config);
  await data.lock();
  undo.push(() => data.unlock());
  await data.emptyScratch();
  const database = await openDatabase(config.databaseUrl || data.databaseFile, onStep);
  undo.push(() => database.close());

  const egress = new Egress({
    rules: egressRules(config),
    schemes: parseEgressSchemes(config.egressSchemes),
  });
  egress.keepFrom(splitListen(config.listen).port);
  const ca = config.caFile === '' ? undefined : readFileSync(config.caFile, 'utf8');
  const secrets = secretBoxOf(config);
  const storages = new BackupStorages({ database, log, secrets, egress, onStep });
  undo.push(() => storages.close());
  const primaryStorages = new PrimaryStorages({ database, log, onStep });
  undo.push(() => primaryStorages.close());
  const caches = new ImageCaches({ database, storages, primaryStorages, clock, log });
  const hostUuid = await localHostUuid(data.machines);
  const hypervisor = qemuHypervisor({
    directory: data.machines,
    accelerator: config.accelerator,
    learned: (facts) =>
      void describeHost({ database, clock }, hostUuid, facts).catch((error) =>
        log.error({ err: error }, 'what was found out about this host could not be kept'),
      ),
    log,
  });
  undo.push(() => hypervisor.close());
  const settings = new Settings({ database, clock, log, settings: declaredSettings });
  await settings.start();
  const sessions = new Sessions({ database, clock, settings });
  const quotas = new Quotas({ database, clock, quotas: imageQuotas });
  await ownersGoWithTheirResources(database, resources.values());
  const node = newUuid();
  // The directory's lock keeps others from the database in it, and from no other.
  const alone = config.databaseUrl === '';
  const trash = new Trash({ database, storages, primaryStorages, log, alone });
  const operations = new Map<string, { message: Message; operation: AnyOperation }>();
  const audit = new AuditLog({ database, clock, messages });
  const runner = new JobRunner({
    database,
    journal: audit,
    secrets,
    log,
    clock,
    node,
    alone,
    operations,
    onCreate: [
      ownershipHook({ clock }),
      quotas.hook(),
      tagsOfNewResources({ clock }),
      bootModeOfNewImages({ clock }),
    ],
    settings: {
      lease: config.jobLease * 1000,
      parallel: config.parallelJobs,
      keep: config.keepJobs * 3_600_000,
    },
  });
  let reachedAt = '';
  const publicUrl = () => config.publicUrl || reachedAt;
  const uploads = new Uploads({
    database,
    publicUrl,
    async cancel(job) {
      await database.transaction((tx) => runner.cancel(job, tx));
      runner.noticeCancelled(job);
    },
  });
  const parts = {
    publicUrl,
    uploads,
    receiver: ReceiveImageUpload,
    database,
    storages,
    primaryStorages,
    caches,
    trash,
    hypervisor,
    host: { uuid: hostUuid },
    live: new LiveLayers({ database, primaryStorages, hypervisor, clock }),
    screens: data.screens,
    scratch: data.scratch,
    sessions,
    secrets,
    settings,
    quotas,
    resources,
    clock,
    log,
    version: VERSION,
    runner: () => runner,
    contents: contentsOfAll([imagesOnStorages, snapshotsOnBackupStorages]),
    disks: disksOnStorages,
    reserved: [data.path],
    mounts: data.mounts,
    transfer: {
      stallTimeout: config.stallTimeout * 1000,
      pace: { bytes: config.leastRate * (PACE_SPAN / 1000), milliseconds: PACE_SPAN },
      importDirectories: config.importDirectories.split(',').flatMap((directory) => directory.trim() || []),
      ...(config.knownHosts !== '' && {
        knownHosts: new KnownHosts(readFileSync(config.knownHosts, 'utf8')),
      }),
      egress,
      ...(ca !== undefined && { ca }),
    },
  };
  const access = new AccessRules({ database, resources });
  const dispatcher = new Dispatcher({ database, runner, operations, access, audit, clock, log });
  const onPrimaryStorages = primaryStorageOperations(parts);
  addOperations(operations, {
    ...imageOperations(parts),
    ...backupStorageOperations(parts),
    ...onPrimaryStorages,
    ...zoneOperations({ ...parts, primaryStorage: onPrimaryStorages.deletePrimaryStorage }),
    ...volumeOperations(parts),
    ...vmOperations(parts),
    ...snapshotOperations(parts),
    ...longJobOperations({ ...parts, messages, check: (...call) => dispatcher.check(...call) }),
    ...accountOperations(parts),
    ...globalConfigOperations(parts),
    ...managementNodeOperations(parts),
    ...tagOperations({ ...parts, requireChange: (...asked) => access.requireChange(...asked) }),
  });

  operations.set(ReceiveImageUpload.name, {
    message: ReceiveImageUpload,
    operation: receiveImageUpload(parts) as unknown as AnyOperation,
  });

  const accessKeys = new AccessKeys({ database, secrets });
  await accessKeys.start();
  const firstPassword = await makeFirstAccount(database, data.passwordFile, clock.now());
  await quotas.start();
  await makeFirstZone({
    database,
    clock,
    directory: data.defaultStorage,
    primaryDirectory: data.defaultPrimaryStorage,
  });
  await joinLocalHost({ database, clock, hypervisor, uuid: hostUuid });
  // A storage whose server is silent must not keep the service from its start; its status comes when it is known.
  const checks = Promise.all([storages.check(), primaryStorages.check()]);
  checks.catch((error) => log.error({ err: error }, 'checking the storages failed'));
  await Promise.race([checks, delay(FIRST_CHECK, undefined, { ref: false })]);
  reportJobs(database);
  reportDamages(database);
  await runner.start();
  void trash.empty();
  undo.push(() => runner.stop(GRACE));

  const thisNode = new Node({ database, clock, log, uuid: node, alone });
  await thisNode.start();
  undo.push(() => thisNode.stop());

  const webHooks = new WebHooks({
    database,
    clock,
    log,
    node,
    hosts: listed(config.webHookHosts),
    egress,
    secrets,
    ...(ca !== undefined && { ca }),
    dispatcher,
  });
  const app = createApp({
    tls,
    trustedProxies: listed(config.trustedProxies),
    requestTimeout: config.requestTimeout * 1000,
    answerTimeout: config.answerTimeout * 1000,
    dispatcher,
    authenticators: { sessions, accessKeys, clock },
    webHooks,
    progressOf: (jobUuid) => progressOf(parts, jobUuid),
    messages,
    log,
    uploads,
    exportedFile: (key) => exportedFile(parts, key),
    version: VERSION,
    ready: () => database.ping(),
  });
  const address = await listen(app, config.listen, tls ? 'https' : 'http');
  reachedAt = address;
  undo.push(() => closeApp(app));
  egress.keepFrom(Number(new URL(address).port));
  await data.publishAddress(address, tls?.cert);

  const stopping = new AbortController();
  undo.push(async () => stopping.abort());
  void runPrimaryPings(parts, stopping.signal);
  void runPings(parts, stopping.signal);
  void runCacheCleaner(parts, stopping.signal);
  void runExpunger(parts, stopping.signal);
  void runScrubber(parts, stopping.signal);
  const describing = new Describer(parts).run({ alone, signal: stopping.signal });
  void runAuditCleaner({ audit, settings, log }, stopping.signal);
  void webHooks.run(stopping.signal);
  void runTracer(parts, stopping.signal);
  return {
    address,
    firstPassword,
    reload: () => {
      const renewed = readIdentity(config);
      if (renewed && app.server instanceof TlsServer) app.server.setSecureContext(renewed);
    },
    stop: () =>
      stop({
        app,
        runner,
        node: thisNode,
        storages,
        primaryStorages,
        hypervisor,
        trash: parts.trash,
        database,
        config,
        stopping,
        describing,
      }),
  };
}

/** By the message's name; the types of the folders' records see to it that none is missing. */
function addOperations(
  operations: Map<string, { message: Message; operation: AnyOperation }>,
  byAction: Record<string, unknown>,
): void {
  for (const message of messages) {
    const operation = byAction[message.action] as AnyOperation | undefined;
    // The query engine answers those that nothing else does.
    if (message.query && !operation) continue;
    if (!operation) throw new Error(`nothing carries out ${message.name}`);
    operations.set(message.name, { message, operation });
  }
}
