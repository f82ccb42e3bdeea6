-- What the signalling of a call says: Call-ID, source, rule and status of a rejection, Reason and headers, as one JSON object.

ALTER TABLE calls ADD COLUMN sip TEXT NOT NULL DEFAULT '{}';
-- Refused calls are kept up to a bound per trunk and in total.
CREATE INDEX calls_rejected_trunk ON calls (trunk_id, start_time, id) WHERE disconnect_reason = 'rejected';
CREATE INDEX calls_rejected ON calls (start_time, id) WHERE disconnect_reason = 'rejected';
