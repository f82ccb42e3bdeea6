-- Requests that a key may make per calendar day and month (UTC); NULL for any number.
ALTER TABLE keys ADD COLUMN quota_per_day INTEGER;
ALTER TABLE keys ADD COLUMN quota_per_month INTEGER;

-- The counts of keys with quotas that one server counts in its memory. A period is named by its first moment, in Unix
-- milliseconds. The other period is the one before, or after if the clock was set back.
CREATE TABLE key_quotas (
  key_id TEXT NOT NULL PRIMARY KEY REFERENCES keys (id),
  day INTEGER NOT NULL,
  day_used INTEGER NOT NULL,
  other_day INTEGER NOT NULL,
  other_day_used INTEGER NOT NULL,
  month INTEGER NOT NULL,
  month_used INTEGER NOT NULL,
  other_month INTEGER NOT NULL,
  other_month_used INTEGER NOT NULL
) STRICT;
