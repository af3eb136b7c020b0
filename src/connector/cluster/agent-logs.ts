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

/** The application log alone, as a start writes it that does not come about. */
export async function tellRefusedStart(
  { clock, printError }: Pick<AgentLogsDeps, 'clock' | 'printError'>,
  settings: LogSettings,
  faults: readonly string[],
): Promise<void> {
  const file = createLogFile(toOptions('app', settings), { clock, zone: localZone });
  const writer = createAppLogWriter({ file, clock, printError });
  createAppLog({ write: writer.write, level: () => settings.level, clock }).fatal(
    'the agent does not start: the configuration has faults',
    { faults },
  );
  await writer.close();
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
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`the audit log in ${auditSettings.path} cannot be opened: ${why}`, { cause: error });
  }
}

function toOptions(kind: 'app' | 'audit', settings: LogSettings): LogFileOptions {
  const { path, prefix } = settings;
  const mode = kind === 'app' ? APP_LOG_MODE : AUDIT_LOG_MODE;
  return { folder: path, prefix, mode, ...toRetention(kind, settings) };
}
