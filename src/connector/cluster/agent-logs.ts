import type { Clock } from '../../core/clock.ts';
import type { AgentConfig, LogSettings } from '../config/agent-config.ts';
import { type AppLog, createAppLog } from '../logs/app-log.ts';
import { createAppLogWriter, type AppLogWriter } from '../logs/app-log-writer.ts';
import { type AuditLog, openAuditLog } from '../logs/audit-log.ts';
import { localZone } from '../logs/log-day.ts';
import { createLogFolder } from '../logs/log-folder.ts';
import { createLogFile, type LogFileOptions } from '../logs/log-file.ts';
import { APP_LOG_MODE, AUDIT_LOG_MODE, toRetention } from '../logs/log-limits.ts';

/** Both logs of an agent, as its primary writes them. */
export interface AgentLogs {
  readonly log: AppLog;
  readonly writer: AppLogWriter;
  readonly audit: AuditLog;
}

export interface AgentLogsDeps {
  readonly clock: Clock;
  readonly printError: (text: string) => void;
  /** The configuration in force: levels change while the agent runs. */
  readonly config: () => AgentConfig;
}

/** @throws where the audit log cannot be opened; why is in the application log then */
export async function openAgentLogs({ clock, printError, config }: AgentLogsDeps): Promise<AgentLogs> {
  const { app, audit: auditSettings } = config().logs;
  const deps = { clock, zone: localZone };
  const file = createLogFile(toOptions('app', app), deps);
  const writer = createAppLogWriter({ file, clock, printError });
  const log = createAppLog({ write: writer.write, level: () => config().logs.app.level, clock });
  try {
    await createLogFolder(auditSettings.path);
    const options = toOptions('audit', auditSettings);
    const audit = await openAuditLog(options, (given) => createLogFile(given, deps), { clock, log });
    return { log, writer, audit };
  } catch (error) {
    log.fatal('the audit log cannot be opened', { error });
    await writer.close();
    throw error;
  }
}

function toOptions(kind: 'app' | 'audit', settings: LogSettings): LogFileOptions {
  const { path, prefix } = settings;
  const mode = kind === 'app' ? APP_LOG_MODE : AUDIT_LOG_MODE;
  return { folder: path, prefix, mode, ...toRetention(kind, settings) };
}
