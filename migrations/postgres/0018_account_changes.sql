-- The version of the key clock at the last change of an account, from which other servers learn of it.

ALTER TABLE accounts ADD COLUMN change_version BIGINT NOT NULL DEFAULT 0;
