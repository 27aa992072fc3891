-- Whether the database of a watch was lost before: 'first_start' or 'known_client'.
-- NULL: not decided yet, or the first scan was complete before this column existed.
ALTER TABLE watch_state ADD COLUMN origin TEXT;
