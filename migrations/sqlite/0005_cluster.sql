-- Several servers on one database: who they are, and the clock by which each knows whether it has seen every change of a
-- key. See docs/adr/0006-leases-and-the-key-clock.md.

CREATE TABLE nodes (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  -- 1 when its rate limits are counted where other servers count theirs too, 0 when in its own memory.
  shared_windows INTEGER NOT NULL,
  -- Grows with every renewal: a server whose number stands still for longer than a lease admits nobody.
  beats INTEGER NOT NULL,
  -- Every change of a key up to this one has reached its memory.
  confirmed_version INTEGER NOT NULL,
  -- When its live calls were last known to be live.
  alive_at INTEGER NOT NULL
) STRICT;

-- One row. Whoever changes keys takes the next number at the end of the transaction, so numbers become visible in order.
CREATE TABLE key_clock (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT INTO key_clock (id, version) VALUES (1, 0);

-- The number of the key's last change; 0 when none was counted.
ALTER TABLE keys ADD COLUMN change_version INTEGER NOT NULL DEFAULT 0;
CREATE INDEX keys_change ON keys (change_version) WHERE change_version > 0;

-- The server that carries the call.
ALTER TABLE calls ADD COLUMN node_id TEXT;
