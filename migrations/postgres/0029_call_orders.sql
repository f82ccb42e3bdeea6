-- Lists of calls by duration, by each latency, by party and by reason. Calls without a value come last, live calls behind
-- those that ended.
CREATE INDEX calls_duration ON calls
  (account_id, (CASE WHEN status = 'connected' THEN -answer_time ELSE duration_seconds END), id);
CREATE INDEX calls_carrier_lag ON calls (account_id, (COALESCE(carrier_lag_ms, -1)), id);
CREATE INDEX calls_ai_latency ON calls (account_id, (COALESCE(ai_latency_ms, -1)), id);
CREATE INDEX calls_gateway_processing ON calls (account_id, (COALESCE(gateway_processing_ms, -1)), id);
CREATE INDEX calls_from ON calls (from_party, account_id, start_time, id);
CREATE INDEX calls_to ON calls (to_party, account_id, start_time, id);
CREATE INDEX calls_reason ON calls (disconnect_reason, account_id, start_time, id);
