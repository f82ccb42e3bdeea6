-- The trunks that a key reaches, comma-separated; empty means all.
ALTER TABLE keys ADD COLUMN trunk_ids TEXT NOT NULL DEFAULT '';
