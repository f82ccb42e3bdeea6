-- The numbers of trunks, so that a call from a trusted address finds its trunk by the dialled number.

CREATE TABLE trunk_numbers (
  -- E.164 with its +
  number TEXT NOT NULL,
  trunk_id TEXT NOT NULL REFERENCES trunks (id),
  PRIMARY KEY (number, trunk_id)
);
CREATE INDEX trunk_numbers_trunk ON trunk_numbers (trunk_id);
CREATE INDEX trunks_allowed_ips ON trunks (id) WHERE deleted_at IS NULL AND allowed_ips <> '';

INSERT INTO trunk_numbers (number, trunk_id)
SELECT numbers.number, trunks.id
FROM trunks
CROSS JOIN LATERAL json_array_elements_text(
  CASE WHEN json_typeof(trunks.settings::json -> 'inbound_numbers') = 'array'
    THEN trunks.settings::json -> 'inbound_numbers' ELSE '[]'::json END
) AS numbers (number)
WHERE trunks.deleted_at IS NULL
ON CONFLICT DO NOTHING;
