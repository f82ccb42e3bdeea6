-- The digest hashes of SIP passwords are sealed under the master key. A script cannot seal, so the hashes wait in a table of
-- their own for the first start of this version.

CREATE TABLE unsealed_sip_digests (
  trunk_id TEXT NOT NULL PRIMARY KEY REFERENCES trunks (id),
  md5 BLOB NOT NULL,
  sha256 BLOB NOT NULL
) STRICT;
INSERT INTO unsealed_sip_digests (trunk_id, md5, sha256)
  SELECT id, sip_md5, sip_sha256 FROM trunks WHERE deleted_at IS NULL;

ALTER TABLE trunks DROP COLUMN sip_md5;
ALTER TABLE trunks DROP COLUMN sip_sha256;
-- NULL until the first start of this version, and for deleted trunks.
ALTER TABLE trunks ADD COLUMN sip_digest BLOB;
