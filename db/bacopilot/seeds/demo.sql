-- Two users with a row in every table each, so that row-level security can be seen at work. Runs twice without effect
-- (PLAT-30): every id is fixed, and what exists is left as it is. Never for production. No password fits '!'.

insert into users (user_id, email, password_hash, full_name, organization, preferences) values
    ('00000000-0000-4000-8000-000000000001', 'ada@example.com', '!', 'Ada Demo', 'Analytical Engines', '{"theme": "dark"}'),
    ('00000000-0000-4000-8000-000000000002', 'grace@example.com', '!', 'Grace Demo', null, '{"theme": "light"}')
on conflict do nothing;

insert into documents (document_id, user_id, project_name, content, metadata, status, version) values
    ('00000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-000000000001', 'Bicycle sharing',
     'The system shall lend a bicycle within ten seconds.', '{"domain": "mobility"}', 'review', 2),
    ('00000000-0000-4000-8000-000000000012', '00000000-0000-4000-8000-000000000002', 'Allotment exchange',
     'The system shall match gardens with gardeners, for a year at most.', '{"domain": "community"}', 'draft', 2)
on conflict do nothing;

insert into document_versions (version_id, document_id, version, content) values
    ('00000000-0000-4000-8000-000000000021', '00000000-0000-4000-8000-000000000011', 1,
     'The system shall lend a bicycle.'),
    ('00000000-0000-4000-8000-000000000022', '00000000-0000-4000-8000-000000000012', 1,
     'The system shall match gardens with gardeners.')
on conflict do nothing;

insert into wireframes (wireframe_id, user_id, title, html_content, css_styles, metadata, template_type) values
    ('00000000-0000-4000-8000-000000000031', '00000000-0000-4000-8000-000000000001', 'Map of stations',
     '<main><h1>Stations</h1></main>', 'h1 { font-size: 2rem }', '{"device": "phone"}', 'dashboard'),
    ('00000000-0000-4000-8000-000000000032', '00000000-0000-4000-8000-000000000002', 'Offer a garden',
     '<form><input name="size"></form>', null, '{"device": "desktop"}', 'form')
on conflict do nothing;

insert into conversations (conversation_id, user_id, title, metadata) values
    ('00000000-0000-4000-8000-000000000041', '00000000-0000-4000-8000-000000000001', 'What if it rains?',
     '{"model": "large"}'),
    ('00000000-0000-4000-8000-000000000042', '00000000-0000-4000-8000-000000000002', 'Who waters in July?',
     '{"model": "small"}')
on conflict do nothing;

insert into messages (message_id, conversation_id, role, content, metadata, token_count) values
    ('00000000-0000-4000-8000-000000000051', '00000000-0000-4000-8000-000000000041', 'user',
     'Do people return bicycles in the rain?', '{}', 9),
    ('00000000-0000-4000-8000-000000000052', '00000000-0000-4000-8000-000000000041', 'assistant',
     'Later than otherwise: plan a quarter more stands at stations.', '{"finish": "stop"}', 13),
    ('00000000-0000-4000-8000-000000000053', '00000000-0000-4000-8000-000000000042', 'user',
     'Who waters the garden in the holidays?', '{}', 8)
on conflict do nothing;

insert into diagrams (diagram_id, user_id, title, diagram_type, mermaid_code, metadata) values
    ('00000000-0000-4000-8000-000000000061', '00000000-0000-4000-8000-000000000001', 'Lend a bicycle', 'sequence',
     E'sequenceDiagram\n  Rider->>Station: card\n  Station->>Rider: bicycle', '{"style": "plain"}'),
    ('00000000-0000-4000-8000-000000000062', '00000000-0000-4000-8000-000000000002', 'From offer to contract',
     'flowchart', E'flowchart LR\n  offer --> match --> contract', '{"style": "plain"}')
on conflict do nothing;
