-- Times are milliseconds since the Unix epoch; ids are their public text; hashes and sealed secrets are raw bytes.

CREATE TABLE settings (
  name TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

CREATE TABLE accounts (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  mode TEXT NOT NULL CHECK (mode IN ('live', 'test')),
  max_rate_limit INTEGER NOT NULL,
  -- The head of the account's audit chain, so that entries cut off at the end are noticed too.
  audit_position INTEGER NOT NULL,
  audit_hash BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  email TEXT NOT NULL,
  name TEXT NOT NULL,
  password_hash TEXT,
  created_at INTEGER NOT NULL,
  disabled_at INTEGER
) STRICT;
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_account ON users (account_id);

CREATE TABLE keys (
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  name TEXT NOT NULL,
  preset TEXT NOT NULL,
  scopes TEXT NOT NULL,
  rate_limit INTEGER NOT NULL,
  allowed_ips TEXT NOT NULL,
  not_before INTEGER,
  expires_at INTEGER,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  last_used_at INTEGER,
  last_used_ip TEXT,
  request_count INTEGER NOT NULL,
  error_count INTEGER NOT NULL,
  revoked_at INTEGER,
  revoked_by TEXT,
  revoke_reason TEXT,
  -- Grows by one with every change of the key's rights; counters leave it alone.
  version INTEGER NOT NULL
) STRICT;
CREATE INDEX keys_account ON keys (account_id, created_at, id);

CREATE TABLE key_secrets (
  id TEXT NOT NULL PRIMARY KEY,
  key_id TEXT NOT NULL REFERENCES keys (id),
  hash BLOB NOT NULL,
  mask TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  last_used_at INTEGER,
  last_used_ip TEXT
) STRICT;
CREATE UNIQUE INDEX key_secrets_hash ON key_secrets (hash);
CREATE INDEX key_secrets_key ON key_secrets (key_id, created_at);

CREATE TABLE trunks (
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  ai_provider TEXT NOT NULL,
  agent_protocol TEXT NOT NULL,
  sip_username TEXT NOT NULL,
  sip_md5 BLOB NOT NULL,
  sip_sha256 BLOB NOT NULL,
  sip_password_at INTEGER NOT NULL,
  allowed_ips TEXT NOT NULL,
  settings TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- A deleted trunk stays for the calls that name it; its SIP username is free again.
  deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX trunks_sip_username ON trunks (lower(sip_username)) WHERE deleted_at IS NULL;
CREATE INDEX trunks_account ON trunks (account_id, created_at, id);

CREATE TABLE trunk_credentials (
  trunk_id TEXT NOT NULL REFERENCES trunks (id),
  field TEXT NOT NULL,
  sealed BLOB NOT NULL,
  last4 TEXT,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (trunk_id, field)
) STRICT;

CREATE TABLE calls (
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  trunk_id TEXT NOT NULL REFERENCES trunks (id),
  from_party TEXT NOT NULL,
  to_party TEXT NOT NULL,
  direction TEXT NOT NULL,
  carrier TEXT,
  status TEXT NOT NULL,
  disconnect_reason TEXT,
  reason_text TEXT,
  start_time INTEGER NOT NULL,
  answer_time INTEGER,
  end_time INTEGER,
  duration_seconds INTEGER NOT NULL,
  -- Copied out of the figures, because lists are ordered and filtered by them.
  carrier_lag_ms INTEGER,
  ai_latency_ms INTEGER,
  gateway_processing_ms INTEGER,
  metrics TEXT NOT NULL,
  turns TEXT NOT NULL,
  sip_trace TEXT NOT NULL
) STRICT;
CREATE INDEX calls_account ON calls (account_id, start_time, id);
CREATE INDEX calls_trunk ON calls (trunk_id, start_time);
CREATE INDEX calls_live ON calls (status) WHERE status = 'connected';

CREATE TABLE audit_events (
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  position INTEGER NOT NULL,
  actor TEXT NOT NULL,
  address TEXT,
  at INTEGER NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  before_json TEXT NOT NULL,
  after_json TEXT NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX audit_events_position ON audit_events (account_id, position);

-- The last number given to an event of each subject.
CREATE TABLE outbox_subjects (
  subject TEXT NOT NULL PRIMARY KEY,
  last_sequence INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox_events (
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  trunk_id TEXT,
  sequence INTEGER NOT NULL,
  payload TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX outbox_events_sequence ON outbox_events (subject, sequence);
CREATE INDEX outbox_events_created ON outbox_events (created_at);
