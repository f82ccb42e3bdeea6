-- The requests of a key by hour and day, whatever their routes, statuses and secrets, for pages about many keys.
CREATE TABLE key_usage (
  key_id TEXT NOT NULL REFERENCES keys (id),
  -- 'hour' or 'day'
  span TEXT NOT NULL,
  -- When the bucket begins, in UTC.
  start BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  -- Those with a status of 400 or above.
  errors BIGINT NOT NULL,
  -- Those beyond the limit, which were answered with 429.
  limited BIGINT NOT NULL,
  -- The most requests in one minute, without those beyond the limit.
  busiest_minute BIGINT NOT NULL,
  PRIMARY KEY (key_id, span, start)
);
CREATE INDEX key_usage_age ON key_usage (span, start);
INSERT INTO key_usage (key_id, span, start, requests, errors, limited, busiest_minute)
  SELECT key_id, span, start, CAST(sum(requests) AS BIGINT),
    CAST(sum(CASE WHEN status >= 400 THEN requests ELSE 0 END) AS BIGINT),
    CAST(sum(CASE WHEN status = 429 THEN requests ELSE 0 END) AS BIGINT), 0
  FROM usage_buckets WHERE span <> 'minute' GROUP BY key_id, span, start;
-- Minutes are kept for two days; nobody asks for the busiest one of earlier hours.
UPDATE key_usage SET busiest_minute = COALESCE((SELECT CAST(max(m.requests) AS BIGINT)
    FROM (SELECT sum(b.requests) AS requests FROM usage_buckets b
      WHERE b.key_id = key_usage.key_id AND b.span = 'minute' AND b.start >= key_usage.start
        AND b.start < key_usage.start + CASE key_usage.span WHEN 'hour' THEN 3600000 ELSE 86400000 END
        AND b.status <> 429 GROUP BY b.start) m), 0)
  WHERE start > (SELECT min(start) FROM usage_buckets WHERE span = 'minute') - 86400000;
