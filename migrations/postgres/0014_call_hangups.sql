-- A hang-up that was requested at another server than the one that carries the call: when, or NULL.

ALTER TABLE calls ADD COLUMN hangup_requested_at BIGINT;
