-- Alerts and cooldowns are about any subject, named by its kind and id. The alert can outlive its subject, so the id is not a
-- foreign key.

ALTER TABLE alerts ADD COLUMN subject_kind TEXT;
ALTER TABLE alerts ADD COLUMN subject_id TEXT;
UPDATE alerts SET subject_kind = CASE WHEN key_id IS NULL THEN 'webhook' ELSE 'key' END,
  subject_id = COALESCE(key_id, webhook_id);
ALTER TABLE alerts ALTER COLUMN subject_kind SET NOT NULL;
ALTER TABLE alerts ALTER COLUMN subject_id SET NOT NULL;
-- The index and the constraint on the columns go with them.
ALTER TABLE alerts DROP COLUMN key_id;
ALTER TABLE alerts DROP COLUMN webhook_id;
CREATE INDEX alerts_subject ON alerts (subject_id, id);

ALTER TABLE alert_cooldowns ADD COLUMN subject_kind TEXT;
ALTER TABLE alert_cooldowns ADD COLUMN subject_id TEXT;
UPDATE alert_cooldowns SET subject_kind = 'key', subject_id = key_id;
ALTER TABLE alert_cooldowns DROP COLUMN key_id;
ALTER TABLE alert_cooldowns ADD PRIMARY KEY (subject_kind, subject_id, rule, occasion);
