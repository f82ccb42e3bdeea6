-- What needs somebody's attention: what was raised, since when it is quiet, what is owed by mail, and what each key usually does.

CREATE TABLE alerts (
  -- Made from the time of raising, so the order of ids is the order of the list.
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  -- What it is about: a key, or a webhook endpoint, which may be gone before the alert is.
  key_id TEXT REFERENCES keys (id),
  webhook_id TEXT,
  rule TEXT NOT NULL,
  severity TEXT NOT NULL,
  message TEXT NOT NULL,
  figures TEXT NOT NULL,
  raised_at BIGINT NOT NULL,
  acknowledged_at BIGINT,
  acknowledged_by TEXT,
  CHECK ((key_id IS NULL) <> (webhook_id IS NULL))
);
CREATE INDEX alerts_account ON alerts (account_id, id);
CREATE INDEX alerts_key ON alerts (key_id, id);
CREATE INDEX alerts_age ON alerts (raised_at);

-- The last alert of each rule, key and occasion. Kept apart from the alerts, because those are deleted with age.
CREATE TABLE alert_cooldowns (
  key_id TEXT NOT NULL REFERENCES keys (id),
  rule TEXT NOT NULL,
  occasion TEXT NOT NULL,
  raised_at BIGINT NOT NULL,
  PRIMARY KEY (key_id, rule, occasion)
);
CREATE INDEX alert_cooldowns_age ON alert_cooldowns (raised_at);

-- Mails not sent yet; a row goes when its mail was taken or is given up.
CREATE TABLE alert_mails (
  alert_id TEXT NOT NULL PRIMARY KEY REFERENCES alerts (id),
  attempts BIGINT NOT NULL,
  due_at BIGINT NOT NULL
);
CREATE INDEX alert_mails_due ON alert_mails (due_at);

CREATE TABLE key_watches (
  key_id TEXT NOT NULL PRIMARY KEY REFERENCES keys (id),
  -- What is usual for the key, as JSON.
  state TEXT NOT NULL,
  -- The start of the first minute that was not looked at yet.
  evaluated_until BIGINT NOT NULL,
  -- When to look again even if the key is silent.
  wake_at BIGINT
);
CREATE INDEX key_watches_wake ON key_watches (wake_at) WHERE wake_at IS NOT NULL;

-- Keys that were in use before they were watched have not been idle.
INSERT INTO key_watches (key_id, state, evaluated_until)
  SELECT id, '{"last_active_ms":' || last_used_at || '}', last_used_at - last_used_at % 60000
  FROM keys WHERE last_used_at IS NOT NULL;
