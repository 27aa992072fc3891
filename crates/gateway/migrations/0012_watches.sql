-- The watches in the last heartbeat of each client. They are apart from its body, which is read for all clients at once.
ALTER TABLE heartbeats ADD COLUMN watches TEXT;
