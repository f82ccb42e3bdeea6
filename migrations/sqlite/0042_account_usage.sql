-- The requests of all keys of an account, so that a chart of them costs the same with one key and with thousands.
CREATE TABLE account_usage (
  account_id TEXT NOT NULL REFERENCES accounts (id),
  -- 'minute', 'hour' or 'day'
  span TEXT NOT NULL,
  -- When the bucket begins, in UTC.
  start INTEGER NOT NULL,
  status INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY (account_id, span, start, status)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_usage_age ON account_usage (span, start);
INSERT INTO account_usage (account_id, span, start, status, requests)
  SELECT keys.account_id, b.span, b.start, b.status, CAST(sum(b.requests) AS BIGINT)
  FROM usage_buckets b JOIN keys ON keys.id = b.key_id
  GROUP BY keys.account_id, b.span, b.start, b.status;
