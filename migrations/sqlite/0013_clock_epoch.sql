-- The key clock's epoch: a random text, so that the clock of another database is never taken for this one. Servers compare
-- it, together with what identifies the running PostgreSQL, at each renewal of their lease. Empty until the first start.

ALTER TABLE key_clock ADD COLUMN epoch TEXT NOT NULL DEFAULT '';
