-- Audit trails are linked with a key that is not in the database.

-- Entries up to this position were linked by SHA-256 without a key.
ALTER TABLE accounts ADD COLUMN audit_keyed_after INTEGER NOT NULL DEFAULT 0;
-- The last entry that retention deleted; NULL is the beginning.
ALTER TABLE accounts ADD COLUMN audit_anchor_position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN audit_anchor_hash BLOB;
-- HMAC over the head, the position above and the anchor; NULL until the first start of this version.
ALTER TABLE accounts ADD COLUMN audit_tag BLOB;
