-- Calls are deleted by age, in all accounts together.
CREATE INDEX calls_age ON calls (start_time);
