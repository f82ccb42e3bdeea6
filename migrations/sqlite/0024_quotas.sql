-- Quotas of accounts, and the size of the request log.

-- What the row counts in the quota of its account: the bytes of its response, or those reserved while it is running.
ALTER TABLE idempotency_keys ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE idempotency_keys SET bytes = COALESCE(octet_length(body), 0) + COALESCE(octet_length(location), 0);

-- The sums of idempotency_keys, changed with its rows, because counting them would take longer than the request.
CREATE TABLE idempotency_totals (
  account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id),
  responses INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
INSERT INTO idempotency_totals (account_id, responses, bytes)
  SELECT account_id, count(*), CAST(sum(bytes) AS INTEGER) FROM idempotency_keys GROUP BY account_id;

-- The sum of the bytes of all segments, changed with them.
CREATE TABLE request_log_size (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  bytes INTEGER NOT NULL
) STRICT;
INSERT INTO request_log_size (id, bytes)
  SELECT 1, CAST(COALESCE(sum(bytes), 0) AS INTEGER) FROM request_segments;

-- A deleted trunk stays for the calls that name it, but not its texts, whose number is not limited.
UPDATE trunks SET settings = '{}' WHERE deleted_at IS NOT NULL;
