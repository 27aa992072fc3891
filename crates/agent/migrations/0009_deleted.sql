-- The agent counts these files for each heartbeat, and there may be a million others.
CREATE INDEX files_deleted ON files(local_path) WHERE locally_deleted IS NOT NULL;
