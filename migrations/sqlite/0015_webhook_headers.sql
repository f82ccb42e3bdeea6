-- Headers that are added to each delivery, sealed as one JSON object, and the authorities that verify the endpoint's certificate.

ALTER TABLE webhooks ADD COLUMN headers BLOB;
ALTER TABLE webhooks ADD COLUMN headers_at INTEGER;
ALTER TABLE webhooks ADD COLUMN ca_pem TEXT;
