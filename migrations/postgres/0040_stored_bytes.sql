-- What accounts store without a limit of its own: the audit trail, and the responses of webhook endpoints.

-- The bytes of the trail's entries, changed with them: their texts and 200 bytes each.
ALTER TABLE accounts ADD COLUMN audit_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE accounts SET audit_bytes = COALESCE((SELECT CAST(sum(octet_length(before_json) + octet_length(after_json)
    + octet_length(target) + 200) AS BIGINT) FROM audit_events e WHERE e.account_id = accounts.id), 0);

-- The bytes of the responses to the attempts of an account, changed with them.
CREATE TABLE webhook_response_totals (
  account_id TEXT NOT NULL PRIMARY KEY REFERENCES accounts (id),
  bytes BIGINT NOT NULL,
  -- No delivery that was last attempted before has a response any more: it made room for newer ones.
  cleared_until BIGINT NOT NULL
);
INSERT INTO webhook_response_totals (account_id, bytes, cleared_until)
  SELECT d.account_id, CAST(sum(octet_length(a.answer)) AS BIGINT), 0
  FROM webhook_attempts a JOIN webhook_deliveries d ON d.id = a.delivery_id GROUP BY d.account_id;
-- Deliveries of earlier versions are found by their last attempt too.
UPDATE webhook_deliveries SET attempted_at = (SELECT max(at) FROM webhook_attempts a WHERE a.delivery_id = webhook_deliveries.id)
  WHERE attempted_at IS NULL AND attempts > 0;
