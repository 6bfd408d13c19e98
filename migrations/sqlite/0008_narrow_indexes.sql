-- An index ends with the number of the row anyway, which is `seq`: named as a column of its own it was there twice.
DROP INDEX audit_entries_principal;
DROP INDEX audit_entries_project;
DROP INDEX audit_entries_method;
DROP INDEX audit_entries_resource;
CREATE INDEX audit_entries_principal ON audit_entries (principal);
CREATE INDEX audit_entries_project ON audit_entries (project);
CREATE INDEX audit_entries_method ON audit_entries (method);
CREATE INDEX audit_entries_resource ON audit_entries (resource);
