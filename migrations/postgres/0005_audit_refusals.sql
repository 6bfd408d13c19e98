-- What failed or was refused is looked for most, and is little among much.
CREATE INDEX audit_entries_refusals ON audit_entries (seq) WHERE status >= 400;
