-- When the grace period of a replaced secret was granted, so that one that was granted while the clock was ahead is recognized.
ALTER TABLE key_secrets ADD COLUMN grace_from BIGINT;
UPDATE key_secrets SET grace_from = (SELECT min(newer.created_at) FROM key_secrets newer
    WHERE newer.key_id = key_secrets.key_id AND newer.created_at > key_secrets.created_at)
  WHERE expires_at IS NOT NULL;
CREATE INDEX key_secrets_grace ON key_secrets (grace_from) WHERE grace_from IS NOT NULL AND ended_at IS NULL;

ALTER TABLE webhook_secrets ADD COLUMN grace_from BIGINT;
UPDATE webhook_secrets SET grace_from = (SELECT min(newer.created_at) FROM webhook_secrets newer
    WHERE newer.webhook_id = webhook_secrets.webhook_id AND newer.created_at > webhook_secrets.created_at)
  WHERE expires_at IS NOT NULL;
CREATE INDEX webhook_secrets_grace ON webhook_secrets (grace_from) WHERE grace_from IS NOT NULL;
