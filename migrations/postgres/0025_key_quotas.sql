-- Requests that a key may make per calendar day and month (UTC); NULL for any number.
ALTER TABLE keys ADD COLUMN quota_per_day BIGINT;
ALTER TABLE keys ADD COLUMN quota_per_month BIGINT;

-- The counts of keys with quotas that one server counts in its memory. A period is named by its first moment, in Unix
-- milliseconds. The other period is the one before, or after if the clock was set back.
CREATE TABLE key_quotas (
  key_id TEXT NOT NULL PRIMARY KEY REFERENCES keys (id),
  day BIGINT NOT NULL,
  day_used BIGINT NOT NULL,
  other_day BIGINT NOT NULL,
  other_day_used BIGINT NOT NULL,
  month BIGINT NOT NULL,
  month_used BIGINT NOT NULL,
  other_month BIGINT NOT NULL,
  other_month_used BIGINT NOT NULL
);
