-- Only Postgres has something to keep here.
SELECT 1;
