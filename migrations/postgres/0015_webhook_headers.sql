-- The same columns and order as for SQLite; only the names of types differ.
-- Headers that are added to each delivery, sealed as one JSON object, and the authorities that verify the endpoint's certificate.

ALTER TABLE webhooks ADD COLUMN headers BYTEA;
ALTER TABLE webhooks ADD COLUMN headers_at BIGINT;
ALTER TABLE webhooks ADD COLUMN ca_pem TEXT;
