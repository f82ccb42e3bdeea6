-- What whoever acknowledged an alert wrote about it.
ALTER TABLE alerts ADD COLUMN acknowledged_note TEXT;
