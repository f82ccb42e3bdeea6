-- The same columns and order as for SQLite; only the names of types differ.
-- How far an endpoint that signals overload is slowed down. It was in the memory of each server; here it applies to all.

-- Deliveries in flight at most; NULL for max_in_flight.
ALTER TABLE webhooks ADD COLUMN reduced_limit BIGINT;
ALTER TABLE webhooks ADD COLUMN overloads BIGINT NOT NULL DEFAULT 0;
ALTER TABLE webhooks ADD COLUMN paused_until BIGINT;
