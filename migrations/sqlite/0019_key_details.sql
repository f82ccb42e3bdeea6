-- What people note about a key, and when it was paused.

ALTER TABLE keys ADD COLUMN description TEXT;

-- A JSON object of strings.
ALTER TABLE keys ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';

-- NULL while the key is not paused.
ALTER TABLE keys ADD COLUMN paused_at INTEGER;
