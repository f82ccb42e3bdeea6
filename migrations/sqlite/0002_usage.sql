-- What keys are used for. Every answered request of a known key stands in a segment of the request log; folding a segment
-- adds its requests to the counters, the buckets and the addresses of their keys.

-- Requests of about one second, encoded together, because one row per request would cost more than the request.
CREATE TABLE request_segments (
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  entries INTEGER NOT NULL,
  payload BLOB NOT NULL,
  -- 0 until its requests are in the counters, then 1.
  folded INTEGER NOT NULL
) STRICT;
CREATE INDEX request_segments_time ON request_segments (account_id, last_at, id);
CREATE INDEX request_segments_unfolded ON request_segments (id) WHERE folded = 0;

CREATE TABLE usage_buckets (
  key_id TEXT NOT NULL REFERENCES keys (id),
  -- 'minute', 'hour' or 'day'
  span TEXT NOT NULL,
  -- When the bucket begins, in UTC.
  start INTEGER NOT NULL,
  -- Method and template, such as 'GET /v1/trunks/{id}'; 'unmatched' for what is no route.
  route TEXT NOT NULL,
  status INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  -- The sum of all durations.
  duration_us INTEGER NOT NULL,
  PRIMARY KEY (key_id, span, start, route, status)
) STRICT;
CREATE INDEX usage_buckets_age ON usage_buckets (span, start);

CREATE TABLE usage_addresses (
  key_id TEXT NOT NULL REFERENCES keys (id),
  address TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY (key_id, address)
) STRICT;
CREATE INDEX usage_addresses_age ON usage_addresses (key_id, last_seen);
