-- Reports of leaked keys, and keys seen in cleartext, until they are worked off. Every report has a row, also one without a
-- single key of this server, so that storing it takes the same time.

CREATE TABLE pending_revocations (
  id TEXT NOT NULL PRIMARY KEY,
  -- 'reported' or 'seen_in_clear'
  cause TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  -- Of the reporter, or of the client that sent the key in cleartext.
  address TEXT,
  -- The hashes of the secrets, one after another, and a JSON list with a reason for each.
  hashes BYTEA NOT NULL,
  reasons TEXT NOT NULL,
  -- When it is due; while it is claimed, when the claim ends.
  due_at BIGINT NOT NULL
);
CREATE INDEX pending_revocations_due ON pending_revocations (due_at, id);
