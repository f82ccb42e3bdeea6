-- Users as OpenID Connect providers know them. An identity belongs to one user.
CREATE TABLE user_identities (
  -- The provider, as a URL.
  issuer TEXT NOT NULL,
  -- The provider's identifier of the user.
  subject TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES users (id),
  created_at INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  PRIMARY KEY (issuer, subject)
) STRICT;
CREATE INDEX user_identities_user ON user_identities (user_id, last_used_at);
