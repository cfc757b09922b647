-- Records for the usual cases: every severity and enforcement, inactive ones, one ripe for the archive, one in it
-- (ADA-21). Runs twice without effect (PLAT-30): every id is fixed, and what exists is left as it is. Never for
-- production.

insert into rules (rule_id, category, title, description, severity, enforcement, examples, anti_patterns,
                   violations_consequence, active, priority, deactivated_at) values
    ('SEC-001', 'security', 'No secrets in code', 'Passwords, tokens and keys come from the environment or a vault.',
     'CRITICAL', 'mandatory', '[{"language": "python", "code": "os.environ[\"TOKEN\"]"}]', '["TOKEN = \"abc\""]',
     'The build is refused and the secret is changed.', true, 100, null),
    ('SEC-002', 'security', 'Parameters instead of string concatenation', 'SQL takes values as parameters, never as text.',
     'ERROR', 'mandatory', '[{"language": "python", "code": "cursor.execute(sql, [name])"}]', '[]', 'The review is refused.',
     true, 90, null),
    ('STYLE-001', 'style', 'Names say what a thing is', 'Prefer long names that can be read to short ones.',
     'WARNING', 'recommended', '[]', '["x1", "tmp2"]', null, true, 10, null),
    ('STYLE-002', 'style', 'Comments give reasons', 'What the code does can be read in the code.',
     'INFO', 'optional', '[]', '[]', null, true, 0, null),
    ('STYLE-003', 'style', 'Tabs for indentation', 'Superseded by the formatter.',
     'INFO', 'optional', '[]', '[]', null, false, 0, null),
    ('STYLE-004', 'style', 'Hungarian notation', 'Types in names.',
     'INFO', 'optional', '[]', '[]', null, false, 0, '2020-01-01 00:00+00')
on conflict do nothing;

insert into practices (practice_id, category, title, description, benefits, implementation_guide, anti_patterns,
                       "references", examples, effectiveness_score, adoption_rate, is_active, is_required,
                       deactivated_at) values
    ('TEST-001', 'testing', 'Tests before a fix', 'A defect is first reproduced by a test.',
     '["no regression", "the cause is understood"]', 'Write the test, see it fail, fix, see it pass.', '[]',
     '[{"title": "Team handbook", "chapter": 4}]', '[]', 0.92, 0.71, true, true, null),
    ('REVIEW-001', 'review', 'Small changes', 'A change that is read in ten minutes is read.',
     '["faster reviews", "fewer conflicts"]', null, '["one change a month"]', '[]', '[]', 0.80, 0.55, true, false, null),
    ('REVIEW-002', 'review', 'Review by committee', 'Everybody reads everything.',
     '[]', null, '[]', '[]', '[]', 0.10, 0.02, false, false, '2020-01-01 00:00+00')
on conflict do nothing;

insert into templates (template_id, name, description, category, template_content, variables, tags, usage_count,
                       is_active, deactivated_at) values
    ('PY-MODULE', 'Python module', 'A module with a docstring and a test.', 'python', '"""{purpose}"""\n',
     '["purpose"]', '["python", "module"]', 42, true, null),
    ('SQL-MIGRATION', 'SQL migration', null, 'sql', '-- {title}\n', '["title"]', '["sql"]', 7, true, null),
    ('PY-2', 'Python 2 script', 'For interpreters that are gone.', 'python', 'print "{text}"\n', '["text"]', '["python"]',
     3, false, '2020-01-01 00:00+00')
on conflict do nothing;

insert into rules_archive (archived_at, rule_id, category, title, description, severity, enforcement, active,
                           deactivated_at) values
    ('2024-01-01 00:00+00', 'STYLE-000', 'style', 'Eighty columns', 'For printers.', 'INFO', 'optional', false,
     '2021-01-01 00:00+00')
on conflict do nothing;

insert into practices_archive (archived_at, practice_id, category, title, description, is_active, deactivated_at) values
    ('2024-01-01 00:00+00', 'REVIEW-000', 'review', 'Review on paper', 'Print it.', false, '2021-01-01 00:00+00')
on conflict do nothing;

insert into templates_archive (archived_at, template_id, name, category, template_content, is_active, deactivated_at) values
    ('2024-01-01 00:00+00', 'PERL-CGI', 'CGI script', 'perl', 'print "{text}"', false, '2021-01-01 00:00+00')
on conflict do nothing;
