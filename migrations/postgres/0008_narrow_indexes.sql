-- Only in SQLite does every index end with the number of the row.
SELECT 1;
