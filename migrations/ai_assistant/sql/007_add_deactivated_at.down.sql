-- The triggers of functions.sql that need the column.
DROP TRIGGER IF EXISTS rules_mark_deactivated ON rules;

DROP TRIGGER IF EXISTS practices_mark_deactivated ON practices;

DROP TRIGGER IF EXISTS templates_mark_deactivated ON templates;

DROP FUNCTION IF EXISTS mark_deactivated();

ALTER TABLE templates DROP COLUMN deactivated_at;

ALTER TABLE practices DROP COLUMN deactivated_at;

ALTER TABLE rules DROP COLUMN deactivated_at;
