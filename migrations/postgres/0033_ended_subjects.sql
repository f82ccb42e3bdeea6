-- Sequence numbers of calls that are over and of deleted endpoints, which have no events any more. From now on they are deleted with
-- the last event.
DELETE FROM outbox_subjects WHERE NOT EXISTS (SELECT 1 FROM outbox_events e WHERE e.subject = outbox_subjects.subject)
  AND (subject LIKE 'call!_%' ESCAPE '!' AND NOT EXISTS
      (SELECT 1 FROM calls c WHERE c.id = outbox_subjects.subject AND c.status = 'connected')
    OR subject LIKE 'whk!_%' ESCAPE '!' AND NOT EXISTS (SELECT 1 FROM webhooks w WHERE w.id = outbox_subjects.subject));
