-- Webhook endpoints, what is delivered to them, and what came of each attempt.

CREATE TABLE webhooks (
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  url TEXT NOT NULL,
  description TEXT,
  -- '*', or names with commas between them.
  events TEXT NOT NULL,
  -- Ids with commas between them; empty for all.
  trunk_ids TEXT NOT NULL,
  scheme TEXT NOT NULL,
  max_in_flight INTEGER NOT NULL,
  status TEXT NOT NULL,
  disabled_reason TEXT,
  -- The run of failures that the endpoint is in.
  failing_since INTEGER,
  failures INTEGER NOT NULL,
  warned_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- A deleted endpoint stays until its deliveries were removed, a few at a time.
  deleted_at INTEGER
) STRICT;
CREATE INDEX webhooks_account ON webhooks (account_id, created_at, id);

CREATE TABLE webhook_secrets (
  id TEXT NOT NULL PRIMARY KEY,
  webhook_id TEXT NOT NULL REFERENCES webhooks (id),
  sealed BLOB NOT NULL,
  public_key TEXT,
  created_at INTEGER NOT NULL,
  -- Until when a replaced secret signs too.
  expires_at INTEGER
) STRICT;
CREATE INDEX webhook_secrets_webhook ON webhook_secrets (webhook_id, created_at);

-- One row per event and endpoint, written in the transaction of the event.
CREATE TABLE webhook_deliveries (
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  webhook_id TEXT NOT NULL REFERENCES webhooks (id),
  event_id TEXT NOT NULL REFERENCES outbox_events (id),
  kind TEXT NOT NULL,
  status TEXT NOT NULL,
  -- All attempts, and those since it was last asked for.
  attempts INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  -- When it is due; while it is leased, when the lease ends.
  next_at INTEGER NOT NULL,
  -- Which process is sending it.
  lease TEXT,
  created_at INTEGER NOT NULL,
  finished_at INTEGER
) STRICT;
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_at, id) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_leased ON webhook_deliveries (webhook_id, lease) WHERE lease IS NOT NULL;
CREATE INDEX webhook_deliveries_lease ON webhook_deliveries (lease) WHERE lease IS NOT NULL;
CREATE INDEX webhook_deliveries_finished ON webhook_deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event_id);

CREATE TABLE webhook_attempts (
  delivery_id TEXT NOT NULL REFERENCES webhook_deliveries (id),
  number INTEGER NOT NULL,
  at INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  status INTEGER,
  error TEXT,
  -- The beginning of the answer's body.
  answer BLOB NOT NULL,
  PRIMARY KEY (delivery_id, number)
) STRICT;
