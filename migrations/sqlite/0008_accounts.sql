-- The policies of an account for its keys.

-- The longest time from now until a new or changed key expires; NULL is no limit.
ALTER TABLE accounts ADD COLUMN max_key_lifetime_days INTEGER;

-- Whether every new or changed key must expire: 0 or 1.
ALTER TABLE accounts ADD COLUMN keys_must_expire INTEGER NOT NULL DEFAULT 0;
