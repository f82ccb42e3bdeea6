-- Usage of each secret of a key: buckets with a histogram of durations, addresses, and programs.

CREATE TABLE usage_buckets_of_secrets (
  key_id TEXT NOT NULL REFERENCES keys (id),
  -- 'minute', 'hour' or 'day'
  span TEXT NOT NULL,
  -- When the bucket begins, in UTC.
  start INTEGER NOT NULL,
  -- Method and template, such as 'GET /v1/trunks/{id}'; 'unmatched' for what is no route.
  route TEXT NOT NULL,
  status INTEGER NOT NULL,
  -- The first 8 bytes of the secret's hash; empty for what was counted before secrets were told apart.
  secret BLOB NOT NULL,
  requests INTEGER NOT NULL,
  -- The sum of all durations.
  duration_us INTEGER NOT NULL,
  -- The requests up to 100 us, 250 us, 500 us, 1 ms, 2.5 ms, and so on to one minute, and beyond; each without those
  -- below. What was counted before has none.
  duration_0 INTEGER NOT NULL DEFAULT 0,
  duration_1 INTEGER NOT NULL DEFAULT 0,
  duration_2 INTEGER NOT NULL DEFAULT 0,
  duration_3 INTEGER NOT NULL DEFAULT 0,
  duration_4 INTEGER NOT NULL DEFAULT 0,
  duration_5 INTEGER NOT NULL DEFAULT 0,
  duration_6 INTEGER NOT NULL DEFAULT 0,
  duration_7 INTEGER NOT NULL DEFAULT 0,
  duration_8 INTEGER NOT NULL DEFAULT 0,
  duration_9 INTEGER NOT NULL DEFAULT 0,
  duration_10 INTEGER NOT NULL DEFAULT 0,
  duration_11 INTEGER NOT NULL DEFAULT 0,
  duration_12 INTEGER NOT NULL DEFAULT 0,
  duration_13 INTEGER NOT NULL DEFAULT 0,
  duration_14 INTEGER NOT NULL DEFAULT 0,
  duration_15 INTEGER NOT NULL DEFAULT 0,
  duration_16 INTEGER NOT NULL DEFAULT 0,
  duration_17 INTEGER NOT NULL DEFAULT 0,
  duration_18 INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (key_id, span, start, route, status, secret)
) STRICT, WITHOUT ROWID;
INSERT INTO usage_buckets_of_secrets (key_id, span, start, route, status, secret, requests, duration_us)
  SELECT key_id, span, start, route, status, x'', requests, duration_us FROM usage_buckets;
DROP TABLE usage_buckets;
ALTER TABLE usage_buckets_of_secrets RENAME TO usage_buckets;
CREATE INDEX usage_buckets_age ON usage_buckets (span, start);

CREATE TABLE usage_addresses_of_secrets (
  key_id TEXT NOT NULL REFERENCES keys (id),
  secret BLOB NOT NULL,
  address TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY (key_id, secret, address)
) STRICT, WITHOUT ROWID;
INSERT INTO usage_addresses_of_secrets (key_id, secret, address, first_seen, last_seen, requests)
  SELECT key_id, x'', address, first_seen, last_seen, requests FROM usage_addresses;
DROP TABLE usage_addresses;
ALTER TABLE usage_addresses_of_secrets RENAME TO usage_addresses;

CREATE TABLE usage_programs (
  key_id TEXT NOT NULL REFERENCES keys (id),
  secret BLOB NOT NULL,
  -- The header User-Agent.
  program TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY (key_id, secret, program)
) STRICT, WITHOUT ROWID;
