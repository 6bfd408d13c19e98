-- What these hold goes by age and leaves no empty end, so there was no lock to spare anybody. But a table that keeps the room
-- of what it once held is taken for empty until it is analyzed, and the server then looks through all of an index for each row.
ALTER TABLE operations RESET (vacuum_truncate);
ALTER TABLE events RESET (vacuum_truncate);
ALTER TABLE webhook_deliveries RESET (vacuum_truncate);
ALTER TABLE webhook_attempts RESET (vacuum_truncate);
