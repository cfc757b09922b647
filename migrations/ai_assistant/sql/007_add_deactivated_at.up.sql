ALTER TABLE rules ADD COLUMN deactivated_at timestamptz;

ALTER TABLE practices ADD COLUMN deactivated_at timestamptz;

ALTER TABLE templates ADD COLUMN deactivated_at timestamptz;

-- A rule that is inactive is so at least since its last change. That moment stays what it is: no trigger here.
ALTER TABLE rules DISABLE TRIGGER USER;

UPDATE rules SET deactivated_at = coalesce(updated_at AT TIME ZONE 'UTC', now()) WHERE active = false;

ALTER TABLE rules ENABLE TRIGGER USER;

-- Of these nobody knows since when; the two years begin now.
UPDATE practices SET deactivated_at = now() WHERE is_active = false;

UPDATE templates SET deactivated_at = now() WHERE is_active = false;
