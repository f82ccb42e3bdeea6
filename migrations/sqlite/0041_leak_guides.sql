-- The response to a leaked key, from its start on. What was done since is read from keys, usage and connections; only what
-- people say about it is kept here.
CREATE TABLE leak_guides (
  key_id TEXT NOT NULL PRIMARY KEY REFERENCES keys (id),
  account_id TEXT NOT NULL REFERENCES accounts (id),
  started_at INTEGER NOT NULL,
  started_by TEXT NOT NULL,
  -- Who reviewed the requests of the key, and since when they did.
  reviewed_at INTEGER,
  reviewed_by TEXT,
  reviewed_since INTEGER,
  -- Why the provider credentials were kept.
  kept_at INTEGER,
  kept_by TEXT,
  kept_reason TEXT
) STRICT;
CREATE INDEX leak_guides_account ON leak_guides (account_id, started_at);
