-- The rate windows of keys that one server counts in its memory. Each row holds the windows that changed within half a
-- second; a later row replaces what an earlier one says of a key. Rows are deleted after two minutes.

CREATE TABLE rate_windows (
  id INTEGER NOT NULL PRIMARY KEY,
  -- When the row was written, by the wall clock and on the steady timeline of the process, in milliseconds.
  wall_at INTEGER NOT NULL,
  steady_at INTEGER NOT NULL,
  -- 28 bytes per window, big-endian: the key's id (16), the end on the steady timeline (8), the count (4).
  windows BLOB NOT NULL
) STRICT;
