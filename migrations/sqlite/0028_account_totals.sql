-- How many objects an account has of each kind with a limit, changed with them, because counting them would take longer the
-- more there are, and a key that was revoked stays.
CREATE TABLE account_totals (
  account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id),
  keys INTEGER NOT NULL DEFAULT 0,
  trunks INTEGER NOT NULL DEFAULT 0,
  webhooks INTEGER NOT NULL DEFAULT 0,
  revoked_keys INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO account_totals (account_id, keys, trunks, webhooks, revoked_keys)
  SELECT id,
    (SELECT count(*) FROM keys WHERE account_id = accounts.id AND revoked_at IS NULL),
    (SELECT count(*) FROM trunks WHERE account_id = accounts.id AND deleted_at IS NULL),
    (SELECT count(*) FROM webhooks WHERE account_id = accounts.id AND deleted_at IS NULL),
    (SELECT count(*) FROM keys WHERE account_id = accounts.id AND revoked_at IS NOT NULL)
  FROM accounts;

-- Finds the keys that were revoked first.
CREATE INDEX keys_revoked ON keys (account_id, revoked_at) WHERE revoked_at IS NOT NULL;
