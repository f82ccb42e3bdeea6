-- What callers do beside speaking: DTMF digits, hold and resume, as one JSON list.

ALTER TABLE calls ADD COLUMN caller_actions TEXT NOT NULL DEFAULT '[]';
