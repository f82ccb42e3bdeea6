-- The newest time on record is known to be right: a clock that is wrong at the first start of this version deletes nothing.
INSERT INTO settings (name, value)
SELECT 'known_time', CAST(newest.at AS TEXT) || ' ' FROM
  (SELECT max(at) AS at FROM
    (SELECT max(written_at) AS at FROM request_segments UNION ALL SELECT max(at) AS at FROM audit_events) AS newest_of_each) AS newest
WHERE newest.at IS NOT NULL;
