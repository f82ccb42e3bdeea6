-- The life of keys: ended secrets, edited presets, what becomes of keys seen in clear, and requests that carry an
-- Idempotency-Key.

-- When a secret was ended by hand: from then on it is dead whatever a clock says.
ALTER TABLE key_secrets ADD COLUMN ended_at INTEGER;

-- Whether a key that was sent over plain HTTP is revoked at once: 0 or 1.
ALTER TABLE accounts ADD COLUMN revoke_keys_seen_in_clear INTEGER NOT NULL DEFAULT 0;

-- Presets that an account has edited; the others are built in.
CREATE TABLE key_presets (
  account_id TEXT NOT NULL REFERENCES accounts (id),
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  rate_limit INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, name)
) STRICT;

-- One row per caller and Idempotency-Key, until its time is over.
CREATE TABLE idempotency_keys (
  account_id TEXT NOT NULL REFERENCES accounts (id),
  -- The id of the calling key, or 'local'.
  caller TEXT NOT NULL,
  -- SHA-256 of what the caller sent as key.
  key_hash BLOB NOT NULL,
  -- SHA-256 of method, path and body.
  request_hash BLOB NOT NULL,
  -- Names the one attempt that may carry the request out.
  claim TEXT NOT NULL,
  -- Which run of the server makes the attempt.
  run TEXT NOT NULL,
  claimed_at INTEGER NOT NULL,
  -- 'running', 'done', or 'lost': carried out, but its answer is not known.
  state TEXT NOT NULL,
  -- What was changed; set in the transaction of the change.
  target TEXT,
  status INTEGER,
  location TEXT,
  body TEXT,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, caller, key_hash)
) STRICT;
CREATE UNIQUE INDEX idempotency_keys_claim ON idempotency_keys (claim);
CREATE INDEX idempotency_keys_age ON idempotency_keys (expires_at);
