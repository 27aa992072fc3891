-- Permission bits that were last announced to the gateway. NULL in rows of an older agent.
ALTER TABLE files ADD COLUMN mode INTEGER;
