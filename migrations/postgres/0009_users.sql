-- The same tables, columns and order as for SQLite; only the names of types differ.
-- Users who sign in: a user exists once per server and is a member of any number of accounts. Links, cookies and codes are
-- kept as keyed hashes only.

DROP INDEX users_email;
DROP INDEX users_account;
ALTER TABLE users RENAME TO users_of_one_account;

CREATE TABLE users (
  id TEXT NOT NULL PRIMARY KEY,
  -- As it was typed; compared without case.
  email TEXT NOT NULL,
  name TEXT NOT NULL,
  -- Argon2id in the PHC string format; NULL until the user has set a password.
  password_hash TEXT,
  -- NULL is the browser's.
  time_zone TEXT,
  theme TEXT NOT NULL,
  -- 0 or 1
  shortcuts_off BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  last_sign_in_at BIGINT,
  disabled_at BIGINT
);
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE memberships (
  account_id TEXT NOT NULL REFERENCES accounts (id),
  user_id TEXT NOT NULL REFERENCES users (id),
  role TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (account_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id, account_id);

-- Nobody could sign in before. Whoever was entered all the same starts with the least powerful role.
INSERT INTO users (id, email, name, password_hash, time_zone, theme, shortcuts_off, created_at, created_by, last_sign_in_at, disabled_at)
  SELECT id, email, name, password_hash, NULL, 'system', 0, created_at, 'system', NULL, disabled_at
  FROM users_of_one_account;
INSERT INTO memberships (account_id, user_id, role, created_at)
  SELECT account_id, id, 'viewer', created_at FROM users_of_one_account;
DROP TABLE users_of_one_account;

CREATE TABLE sessions (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  -- The account that the session works on.
  account_id TEXT NOT NULL REFERENCES accounts (id),
  token_hash BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  -- To the minute.
  last_seen_at BIGINT NOT NULL,
  -- Whether the user chose to stay signed in: 0 or 1.
  persistent BIGINT NOT NULL,
  address TEXT,
  user_agent TEXT NOT NULL,
  -- NULL while the second factor is awaited.
  signed_in_at BIGINT,
  -- When the user last proved who they are.
  confirmed_at BIGINT,
  revoked_at BIGINT
);
CREATE UNIQUE INDEX sessions_token ON sessions (token_hash);
CREATE INDEX sessions_user ON sessions (user_id, last_seen_at);
CREATE INDEX sessions_age ON sessions (last_seen_at);

CREATE TABLE invitations (
  id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  email TEXT NOT NULL,
  role TEXT NOT NULL,
  token_hash BYTEA NOT NULL,
  invited_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  accepted_at BIGINT,
  revoked_at BIGINT
);
CREATE UNIQUE INDEX invitations_token ON invitations (token_hash);
CREATE INDEX invitations_account ON invitations (account_id, created_at, id);
CREATE INDEX invitations_age ON invitations (expires_at);

-- The one link of a user with which a password can be set. A newer one takes its place; using it removes it.
CREATE TABLE password_links (
  user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id),
  token_hash BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX password_links_token ON password_links (token_hash);
CREATE INDEX password_links_age ON password_links (expires_at);

CREATE TABLE second_factors (
  user_id TEXT NOT NULL REFERENCES users (id),
  -- 'totp'
  kind TEXT NOT NULL,
  sealed BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  -- NULL until the user has given a code of it; before that it is not asked for.
  confirmed_at BIGINT,
  last_used_at BIGINT,
  -- The time step of the last accepted code, because a code is accepted once.
  used_step BIGINT,
  PRIMARY KEY (user_id, kind)
);

CREATE TABLE recovery_codes (
  user_id TEXT NOT NULL REFERENCES users (id),
  code_hash BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  used_at BIGINT,
  PRIMARY KEY (user_id, code_hash)
);

-- One row per attempt to sign in that was not made to wait.
CREATE TABLE login_attempts (
  id TEXT NOT NULL PRIMARY KEY,
  -- The keyed hash of what was attempted, whether or not it belongs to a user.
  name_hash BYTEA NOT NULL,
  -- /24 or /48; NULL without an address.
  network TEXT,
  at BIGINT NOT NULL,
  -- 0 or 1; 0 until the attempt has succeeded, so that attempts under way count too.
  succeeded BIGINT NOT NULL
);
CREATE INDEX login_attempts_name ON login_attempts (name_hash, at);
CREATE INDEX login_attempts_network ON login_attempts (network, at);
CREATE INDEX login_attempts_age ON login_attempts (at);
