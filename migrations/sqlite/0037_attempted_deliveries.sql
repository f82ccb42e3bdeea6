-- When the last attempt of a delivery ended, for readers that follow deliveries.
ALTER TABLE webhook_deliveries ADD COLUMN attempted_at INTEGER;
CREATE INDEX webhook_deliveries_attempted ON webhook_deliveries (account_id, attempted_at, id)
  WHERE attempted_at IS NOT NULL;
