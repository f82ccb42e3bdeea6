-- The numbers of trunks, so that a call from a trusted address finds its trunk by the dialled number.

CREATE TABLE trunk_numbers (
  -- E.164 with its +
  number TEXT NOT NULL,
  trunk_id TEXT NOT NULL REFERENCES trunks (id),
  PRIMARY KEY (number, trunk_id)
) STRICT;
CREATE INDEX trunk_numbers_trunk ON trunk_numbers (trunk_id);
CREATE INDEX trunks_allowed_ips ON trunks (id) WHERE deleted_at IS NULL AND allowed_ips <> '';

INSERT OR IGNORE INTO trunk_numbers (number, trunk_id)
SELECT numbers.value, trunks.id FROM trunks, json_each(trunks.settings, '$.inbound_numbers') AS numbers
WHERE trunks.deleted_at IS NULL AND numbers.type = 'text';
