-- The last failed attempt of the current run of failures: a step of the clock between two attempts does not count as time that the
-- endpoint has been failing.
ALTER TABLE webhooks ADD COLUMN failed_at BIGINT;
