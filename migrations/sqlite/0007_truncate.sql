-- Only in Postgres does vacuum cut tables.
SELECT 1;
