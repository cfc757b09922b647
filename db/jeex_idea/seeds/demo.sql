-- Two users with a project each, so that row-level security can be seen at work. Runs twice without effect (PLAT-30):
-- every id is fixed, and what exists is left as it is. Never for production.

insert into users (id, email, name, profile_data) values
    ('01900000-0000-7000-8000-000000000001', 'ada@example.com', 'Ada Demo', '{"plan": "free"}'),
    ('01900000-0000-7000-8000-000000000002', 'grace@example.com', 'Grace Demo', '{"plan": "team"}')
on conflict do nothing;

insert into projects (id, name, status, current_step, language, created_by) values
    ('01900000-0000-7000-8000-000000000011', 'Bicycle sharing for villages', 'draft', 1, 'en',
     '01900000-0000-7000-8000-000000000001'),
    ('01900000-0000-7000-8000-000000000012', 'Allotment exchange', 'in_progress', 3, 'de',
     '01900000-0000-7000-8000-000000000002')
on conflict do nothing;

insert into document_versions (id, project_id, document_type, version, content, created_by) values
    ('01900000-0000-7000-8000-000000000021', '01900000-0000-7000-8000-000000000011', 'idea', 1,
     'Bicycles at every bus stop.', '01900000-0000-7000-8000-000000000001'),
    ('01900000-0000-7000-8000-000000000022', '01900000-0000-7000-8000-000000000012', 'idea', 1,
     'Whoever has a garden and no time meets whoever has time and no garden.',
     '01900000-0000-7000-8000-000000000002'),
    ('01900000-0000-7000-8000-000000000023', '01900000-0000-7000-8000-000000000012', 'idea', 2,
     'The same, with a contract for a year.', null)
on conflict do nothing;

insert into agent_executions (id, project_id, agent_type, correlation_id, status, completed_at) values
    ('01900000-0000-7000-8000-000000000031', '01900000-0000-7000-8000-000000000012', 'analyst',
     '01900000-0000-7000-8000-0000000000c1', 'completed', timezone('UTC', now()))
on conflict do nothing;

insert into exports (id, project_id, status, file_path) values
    ('01900000-0000-7000-8000-000000000041', '01900000-0000-7000-8000-000000000012', 'completed',
     '/exports/allotment-exchange.pdf')
on conflict do nothing;
