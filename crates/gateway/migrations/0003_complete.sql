-- Since when the catalogue has every file of the client. NULL: it may lack some, because the client had
-- files before this database, or because records were lost.
ALTER TABLE clients ADD COLUMN complete_since BIGINT;
