-- Deliveries to every endpoint of an account, in the order of their events.
CREATE INDEX webhook_deliveries_account ON webhook_deliveries (account_id, id);
