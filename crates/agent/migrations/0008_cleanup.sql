-- When the gateway first proved that S3 has this version (Unix seconds). NULL: not proven yet.
ALTER TABLE files ADD COLUMN verified_at INTEGER;
-- When a cleanup deleted the local file (Unix seconds). NULL: it was not deleted.
ALTER TABLE files ADD COLUMN locally_deleted INTEGER;
-- Name that the file has until its deletion is complete. NULL: no deletion is in progress.
ALTER TABLE files ADD COLUMN deleting_as TEXT;
CREATE INDEX files_deleting ON files(local_path) WHERE deleting_as IS NOT NULL;
