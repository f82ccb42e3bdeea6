-- The master keys of each server: a key is activated only when every server has loaded it.

-- The id of the key that the server seals with.
ALTER TABLE nodes ADD COLUMN sealing_key TEXT NOT NULL DEFAULT '';
-- The ids of the keys that it has loaded, separated by blanks.
ALTER TABLE nodes ADD COLUMN master_keys TEXT NOT NULL DEFAULT '';
