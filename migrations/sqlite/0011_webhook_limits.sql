-- How far an endpoint that signals overload is slowed down. It was in the memory of each server; here it applies to all.

-- Deliveries in flight at most; NULL for max_in_flight.
ALTER TABLE webhooks ADD COLUMN reduced_limit INTEGER;
ALTER TABLE webhooks ADD COLUMN overloads INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhooks ADD COLUMN paused_until INTEGER;
