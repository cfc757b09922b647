DROP FUNCTION IF EXISTS archive_inactive(timestamptz);

DROP FUNCTION IF EXISTS hard_delete(text, text, text);

-- What was archived goes back to where it came from, unless its key is in use again.
INSERT INTO rules
SELECT (jsonb_populate_record(NULL::rules, to_jsonb(a))).*
FROM (SELECT DISTINCT ON (rule_id) * FROM rules_archive ORDER BY rule_id, archived_at DESC) a
ON CONFLICT DO NOTHING;

DROP TABLE rules_archive;

INSERT INTO practices
SELECT (jsonb_populate_record(NULL::practices, to_jsonb(a))).*
FROM (SELECT DISTINCT ON (practice_id) * FROM practices_archive ORDER BY practice_id, archived_at DESC) a
ON CONFLICT DO NOTHING;

DROP TABLE practices_archive;

INSERT INTO templates
SELECT (jsonb_populate_record(NULL::templates, to_jsonb(a))).*
FROM (SELECT DISTINCT ON (template_id) * FROM templates_archive ORDER BY template_id, archived_at DESC) a
ON CONFLICT DO NOTHING;

DROP TABLE templates_archive;

-- The record of erasures goes with its table: copy it first where it has to be kept.
DROP TABLE hard_deletes;
