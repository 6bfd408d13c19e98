-- After a burst, vacuum would give the empty end of a table back to the system, and lock the table from everybody while it
-- does: requests waited for a tenth of a second. The room is used again by the next burst.
ALTER TABLE journal SET (vacuum_truncate = false);
ALTER TABLE idempotency_keys SET (vacuum_truncate = false);
