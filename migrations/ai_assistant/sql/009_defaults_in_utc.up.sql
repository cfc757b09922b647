ALTER TABLE practices ALTER COLUMN created_at SET DEFAULT timezone('UTC', now());

ALTER TABLE rules ALTER COLUMN created_at SET DEFAULT timezone('UTC', now()), ALTER COLUMN updated_at SET DEFAULT timezone('UTC', now());

ALTER TABLE templates ALTER COLUMN created_at SET DEFAULT timezone('UTC', now());
