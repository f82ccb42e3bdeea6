-- Statistics of calls that ended, which outlive the calls.
CREATE TABLE call_statistics (
  account_id TEXT NOT NULL REFERENCES accounts (id),
  -- 'minute', 'hour' or 'day'
  span TEXT NOT NULL,
  -- When the bucket begins, in UTC. A call belongs to the bucket in which it started.
  start INTEGER NOT NULL,
  trunk_id TEXT NOT NULL REFERENCES trunks (id),
  provider TEXT NOT NULL,
  -- Empty if the trunk names none.
  model TEXT NOT NULL,
  -- Empty if not known.
  carrier TEXT NOT NULL,
  -- Why the calls ended.
  reason TEXT NOT NULL,
  -- Counts and histograms, which this program adds up.
  figures BLOB NOT NULL,
  PRIMARY KEY (account_id, span, start, trunk_id, provider, model, carrier, reason)
) STRICT, WITHOUT ROWID;
CREATE INDEX call_statistics_age ON call_statistics (span, start);
