-- Alerts and cooldowns are about any subject, named by its kind and id. SQLite cannot drop a column that a constraint names,
-- so the tables are created again.

ALTER TABLE alert_mails RENAME TO alert_mails_old;
ALTER TABLE alerts RENAME TO alerts_old;
DROP INDEX alert_mails_due;
DROP INDEX alerts_account;
DROP INDEX alerts_key;
DROP INDEX alerts_age;

CREATE TABLE alerts (
  -- Derived from the time of raising, so the order of ids is the order of the list.
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  -- Not a foreign key: the alert can outlive its subject.
  subject_kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  rule TEXT NOT NULL,
  severity TEXT NOT NULL,
  message TEXT NOT NULL,
  figures TEXT NOT NULL,
  raised_at BIGINT NOT NULL,
  acknowledged_at BIGINT,
  acknowledged_by TEXT
);
INSERT INTO alerts (id, account_id, subject_kind, subject_id, rule, severity, message, figures, raised_at, acknowledged_at,
    acknowledged_by)
  SELECT id, account_id, CASE WHEN key_id IS NULL THEN 'webhook' ELSE 'key' END, COALESCE(key_id, webhook_id), rule,
    severity, message, figures, raised_at, acknowledged_at, acknowledged_by FROM alerts_old;
CREATE INDEX alerts_account ON alerts (account_id, id);
CREATE INDEX alerts_subject ON alerts (subject_id, id);
CREATE INDEX alerts_age ON alerts (raised_at);

CREATE TABLE alert_mails (
  alert_id TEXT NOT NULL PRIMARY KEY REFERENCES alerts (id),
  attempts BIGINT NOT NULL,
  due_at BIGINT NOT NULL
);
INSERT INTO alert_mails (alert_id, attempts, due_at) SELECT alert_id, attempts, due_at FROM alert_mails_old;
CREATE INDEX alert_mails_due ON alert_mails (due_at);
DROP TABLE alert_mails_old;
DROP TABLE alerts_old;

ALTER TABLE alert_cooldowns RENAME TO alert_cooldowns_old;
DROP INDEX alert_cooldowns_age;
CREATE TABLE alert_cooldowns (
  subject_kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  rule TEXT NOT NULL,
  occasion TEXT NOT NULL,
  raised_at BIGINT NOT NULL,
  PRIMARY KEY (subject_kind, subject_id, rule, occasion)
);
INSERT INTO alert_cooldowns (subject_kind, subject_id, rule, occasion, raised_at)
  SELECT 'key', key_id, rule, occasion, raised_at FROM alert_cooldowns_old;
CREATE INDEX alert_cooldowns_age ON alert_cooldowns (raised_at);
DROP TABLE alert_cooldowns_old;
