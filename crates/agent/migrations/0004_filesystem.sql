-- Filesystem on which the root of a watch was at its last complete scan.
ALTER TABLE watch_state ADD COLUMN filesystem TEXT;
