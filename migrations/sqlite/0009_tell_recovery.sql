-- Whoever was told that an endpoint was disabled is told when it accepts again, however soon that is and although enabling it
-- makes its days begin anew. Since when it was failing then; empty once it has accepted something.
ALTER TABLE webhook_endpoints ADD COLUMN down_since INTEGER;
-- Those that are disabled now, but for those whose owner did it: nobody was told of these.
UPDATE webhook_endpoints SET down_since = coalesce(failing_since, updated_at)
WHERE state = 1 AND disabled_reason <> 'disabled by its owner';
