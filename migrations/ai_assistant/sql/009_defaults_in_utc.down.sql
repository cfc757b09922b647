ALTER TABLE practices ALTER COLUMN created_at SET DEFAULT now();

ALTER TABLE rules ALTER COLUMN created_at SET DEFAULT now(), ALTER COLUMN updated_at SET DEFAULT now();

ALTER TABLE templates ALTER COLUMN created_at SET DEFAULT now();
