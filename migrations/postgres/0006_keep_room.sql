-- After a burst, vacuum would give the empty end of a table back to the system, and lock the table from everybody while it
-- does: requests waited for a tenth of a second. The room is used again by the next burst.
ALTER TABLE journal SET (vacuum_truncate = false);
ALTER TABLE idempotency_keys SET (vacuum_truncate = false);
ALTER TABLE operations SET (vacuum_truncate = false);
ALTER TABLE events SET (vacuum_truncate = false);
ALTER TABLE webhook_deliveries SET (vacuum_truncate = false);
ALTER TABLE webhook_attempts SET (vacuum_truncate = false);
