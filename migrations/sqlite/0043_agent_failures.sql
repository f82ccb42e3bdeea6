-- Attempts to reach the agent of a trunk that failed since the last success, and why the latest did. After several of them, the
-- status of an active trunk is 'error'.
ALTER TABLE trunks ADD COLUMN agent_failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trunks ADD COLUMN status_reason TEXT;
