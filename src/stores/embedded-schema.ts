import type { DatabaseSyncInstance } from '@photostructure/sqlite';

/** Written into the file, so that a later version knows what it has before it. */
const VERSION = 5;

/**
 * What has an end carries it; a row past it counts as absent until it is swept. Keys, ids and bodies are blobs, so that they
 * are kept and compared byte for byte. An identity that is kept has no `expires_at_ms`. A row of `records` is a replay record,
 * with the time of its use, or a session, with whose it is (embedded-record-keys.ts).
 */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL, id BLOB NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (collection, id)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS changes (collection TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS records (
    key BLOB PRIMARY KEY, expires_at_ms INTEGER NOT NULL, used_at_ms INTEGER, identity BLOB, incarnation BLOB, body BLOB
    ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS records_by_expiry ON records (expires_at_ms);
  CREATE TABLE IF NOT EXISTS former_replays (
    key BLOB PRIMARY KEY, used_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS former_sessions (
    key BLOB PRIMARY KEY, identity BLOB NOT NULL, incarnation BLOB NOT NULL, body BLOB NOT NULL,
    expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS identities (
    key BLOB PRIMARY KEY, owner BLOB NOT NULL, incarnation BLOB NOT NULL, conversation BLOB NOT NULL,
    active_until_ms INTEGER NOT NULL, body BLOB NOT NULL, expires_at_ms INTEGER) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS identities_by_owner ON identities (owner, key) WHERE expires_at_ms IS NULL;
  CREATE INDEX IF NOT EXISTS identities_by_expiry ON identities (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
  CREATE TABLE IF NOT EXISTS messages (
    key INTEGER PRIMARY KEY, conversation BLOB NOT NULL, body BLOB NOT NULL, expires_at_ms INTEGER NOT NULL);
  CREATE INDEX IF NOT EXISTS messages_by_conversation ON messages (conversation, key);
  CREATE INDEX IF NOT EXISTS messages_by_expiry ON messages (expires_at_ms);
  CREATE TABLE IF NOT EXISTS tickets (
    key BLOB PRIMARY KEY, body BLOB NOT NULL, expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS tickets_by_expiry ON tickets (expires_at_ms);
  CREATE TABLE IF NOT EXISTS endings (
    key INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id BLOB NOT NULL, expires_at_ms INTEGER NOT NULL);
  CREATE INDEX IF NOT EXISTS endings_by_expiry ON endings (expires_at_ms);
  CREATE TABLE IF NOT EXISTS presence (
    key BLOB PRIMARY KEY, body BLOB NOT NULL, expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS presence_by_expiry ON presence (expires_at_ms);
  CREATE TABLE IF NOT EXISTS claims (key BLOB PRIMARY KEY, expires_at_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS claims_by_expiry ON claims (expires_at_ms);
  CREATE TABLE IF NOT EXISTS audit (
    key INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, body BLOB NOT NULL);
  CREATE INDEX IF NOT EXISTS audit_by_time ON audit (at_ms);
  CREATE TABLE IF NOT EXISTS audit_expiry (before_ms INTEGER NOT NULL);
`;

/**
 * SECURITY: what was written into the audit trail is not changed by any statement; lines go only below the bound that
 * `audit_expiry` holds while they are dropped. A replacing insert deletes without asking the deletion's trigger, so inserts
 * have triggers, too: a line is added at the end or not at all.
 */
const AUDIT_TRIGGERS = `
  CREATE TRIGGER IF NOT EXISTS audit_keeps_lines BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'a line of the audit trail is not changed'); END;
  CREATE TRIGGER IF NOT EXISTS audit_keeps_all BEFORE DELETE ON audit
    WHEN NOT EXISTS (SELECT 1 FROM audit_expiry WHERE OLD.at_ms < before_ms)
    BEGIN SELECT RAISE(ABORT, 'a line of the audit trail is not deleted'); END;
  CREATE TRIGGER IF NOT EXISTS audit_replaces_nothing BEFORE INSERT ON audit
    WHEN EXISTS (SELECT 1 FROM audit WHERE key = NEW.key)
    BEGIN SELECT RAISE(ABORT, 'a line of the audit trail is not replaced'); END;
  CREATE TRIGGER IF NOT EXISTS audit_grows_at_its_end AFTER INSERT ON audit
    WHEN NEW.key < (SELECT max(key) FROM audit)
    BEGIN SELECT RAISE(ABORT, 'a line is added at the end of the audit trail'); END;
`;

/** Since then sessions belong to identities. */
const VERSION_OF_IDENTITIES = 2;

/** Since then replay records and sessions lie in one table. */
const VERSION_OF_RECORDS = 5;

/** Tables with sessions in them. */
export const SESSION_TABLES = ['records', 'former_sessions'] as const;

/** Tables whose rows end. */
export const MORTAL_TABLES = [
  'records',
  'former_replays',
  'former_sessions',
  'identities',
  'messages',
  'tickets',
  'endings',
  'presence',
  'claims',
] as const;

/**
 * Makes what is missing in the file. The sessions of version 1 belonged to no identity: they end, users sign in again. Those of
 * later versions go on.
 * @throws Error where a later version wrote the file
 */
export function prepareSchema(db: DatabaseSyncInstance): void {
  if (readVersion(db) === VERSION) return;
  db.exec('BEGIN IMMEDIATE');
  try {
    const version = readVersion(db);
    if (version > VERSION) throw new Error(`the database was written by a later version of Countersign (${version})`);
    if (version < VERSION_OF_IDENTITIES) db.exec('DROP TABLE IF EXISTS sessions');
    if (version < VERSION_OF_RECORDS) setFormerAside(db);
    db.exec(SCHEMA);
    db.exec(AUDIT_TRIGGERS);
    db.exec(`PRAGMA user_version = ${VERSION}`);
    db.exec('COMMIT');
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}

/**
 * Renames the tables that version 4 wrote to: they are read until they are empty.
 * SECURITY: a process of version 4 that was not stopped finds them no more, and refuses; else neither would see the other's records.
 */
function setFormerAside(db: DatabaseSyncInstance): void {
  const isThere = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?");
  for (const table of ['replays', 'sessions']) {
    if (isThere.get(table)) db.exec(`ALTER TABLE ${table} RENAME TO former_${table}`);
  }
}

function readVersion(db: DatabaseSyncInstance): number {
  return (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
}
