-- Rows of the directory have no revision. With these cursors locked no worker writes them, and with new claims the batch
-- that a worker has in hand is refused: it was made from rows that are about to change.
UPDATE ctl.cursor SET claim = gen_random_uuid(), updated_at = now() WHERE gen = $1::integer AND topic = $2::text
