-- The response to a leaked key, from its start on. What was done since is read from keys, usage and connections; only what
-- people say about it is kept here.
CREATE TABLE leak_guides (
  key_id TEXT NOT NULL PRIMARY KEY REFERENCES keys (id),
  account_id TEXT NOT NULL REFERENCES accounts (id),
  started_at BIGINT NOT NULL,
  started_by TEXT NOT NULL,
  -- Who reviewed the requests of the key, and since when they did.
  reviewed_at BIGINT,
  reviewed_by TEXT,
  reviewed_since BIGINT,
  -- Why the provider credentials were kept.
  kept_at BIGINT,
  kept_by TEXT,
  kept_reason TEXT
);
CREATE INDEX leak_guides_account ON leak_guides (account_id, started_at);
