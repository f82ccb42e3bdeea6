-- Usage of each secret of a key: buckets with a histogram of durations, addresses, and programs.

CREATE TABLE usage_buckets_of_secrets (
  key_id TEXT NOT NULL REFERENCES keys (id),
  -- 'minute', 'hour' or 'day'
  span TEXT NOT NULL,
  -- When the bucket begins, in UTC.
  start BIGINT NOT NULL,
  -- Method and template, such as 'GET /v1/trunks/{id}'; 'unmatched' for what is no route.
  route TEXT NOT NULL,
  status BIGINT NOT NULL,
  -- The first 8 bytes of the secret's hash; empty for what was counted before secrets were told apart.
  secret BYTEA NOT NULL,
  requests BIGINT NOT NULL,
  -- The sum of all durations.
  duration_us BIGINT NOT NULL,
  -- The requests up to 100 us, 250 us, 500 us, 1 ms, 2.5 ms, and so on to one minute, and beyond; each without those
  -- below. What was counted before has none.
  duration_0 BIGINT NOT NULL DEFAULT 0,
  duration_1 BIGINT NOT NULL DEFAULT 0,
  duration_2 BIGINT NOT NULL DEFAULT 0,
  duration_3 BIGINT NOT NULL DEFAULT 0,
  duration_4 BIGINT NOT NULL DEFAULT 0,
  duration_5 BIGINT NOT NULL DEFAULT 0,
  duration_6 BIGINT NOT NULL DEFAULT 0,
  duration_7 BIGINT NOT NULL DEFAULT 0,
  duration_8 BIGINT NOT NULL DEFAULT 0,
  duration_9 BIGINT NOT NULL DEFAULT 0,
  duration_10 BIGINT NOT NULL DEFAULT 0,
  duration_11 BIGINT NOT NULL DEFAULT 0,
  duration_12 BIGINT NOT NULL DEFAULT 0,
  duration_13 BIGINT NOT NULL DEFAULT 0,
  duration_14 BIGINT NOT NULL DEFAULT 0,
  duration_15 BIGINT NOT NULL DEFAULT 0,
  duration_16 BIGINT NOT NULL DEFAULT 0,
  duration_17 BIGINT NOT NULL DEFAULT 0,
  duration_18 BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (key_id, span, start, route, status, secret)
);
INSERT INTO usage_buckets_of_secrets (key_id, span, start, route, status, secret, requests, duration_us)
  SELECT key_id, span, start, route, status, '', requests, duration_us FROM usage_buckets;
DROP TABLE usage_buckets;
ALTER TABLE usage_buckets_of_secrets RENAME TO usage_buckets;
CREATE INDEX usage_buckets_age ON usage_buckets (span, start);

CREATE TABLE usage_addresses_of_secrets (
  key_id TEXT NOT NULL REFERENCES keys (id),
  secret BYTEA NOT NULL,
  address TEXT NOT NULL,
  first_seen BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  PRIMARY KEY (key_id, secret, address)
);
INSERT INTO usage_addresses_of_secrets (key_id, secret, address, first_seen, last_seen, requests)
  SELECT key_id, '', address, first_seen, last_seen, requests FROM usage_addresses;
DROP TABLE usage_addresses;
ALTER TABLE usage_addresses_of_secrets RENAME TO usage_addresses;

CREATE TABLE usage_programs (
  key_id TEXT NOT NULL REFERENCES keys (id),
  secret BYTEA NOT NULL,
  -- The header User-Agent.
  program TEXT NOT NULL,
  first_seen BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  PRIMARY KEY (key_id, secret, program)
);
