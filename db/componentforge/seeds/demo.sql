-- Two users with rows in every table, so that row-level security can be seen at work. Runs twice without effect
-- (PLAT-30): every id is fixed, and what exists is left as it is. Ids are negative, so that they never meet those of
-- the sequences. Passwords are no hash of anything: nobody can log in with them. Never for production.

insert into users (id, email, username, hashed_password, is_admin, preferences, last_login_at) values
    (-1, 'ada@example.com', 'ada', '$2b$12$demo', false,
     '{"theme": "dark", "defaultModel": "gpt-4", "defaultTemperature": 0.7}', '2025-10-08T10:30:00Z'),
    (-2, 'grace@example.com', 'grace', '$2b$12$demo', true, '{"theme": "light"}', null)
on conflict do nothing;

insert into documents (id, user_id, title, filename, file_path, content_type, processing_status, extracted_text,
                       embedding_model, chunk_count) values
    (-1, -1, 'Design System Patterns', 'design-patterns.pdf', '/uploads/2025/10/08/design-patterns.pdf',
     'application/pdf', 'completed', 'A primary button starts the main action of a page. There is one of them.',
     'text-embedding-3-small', 2),
    (-2, -2, 'Colours', 'colours.md', '/uploads/2025/10/09/colours.md', 'text/markdown', 'completed',
     'Red is for what cannot be undone.', 'text-embedding-3-small', 1),
    (-3, -2, 'Spacing', 'spacing.md', '/uploads/2025/10/10/spacing.md', 'text/markdown', 'pending', null, null, 0)
on conflict do nothing;

insert into document_chunks (id, document_id, chunk_index, content, vector_id, embedding_model, token_count) values
    (-1, -1, 0, 'A primary button starts the main action of a page.', '5b2f6c1e-0000-4000-8000-000000000001',
     'text-embedding-3-small', 10),
    (-2, -1, 1, 'There is one of them.', '5b2f6c1e-0000-4000-8000-000000000002', 'text-embedding-3-small', 5),
    (-3, -2, 0, 'Red is for what cannot be undone.', '5b2f6c1e-0000-4000-8000-000000000003',
     'text-embedding-3-small', 7)
on conflict do nothing;

insert into conversations (id, user_id, title, model_name, temperature, status, message_count, total_tokens_used) values
    (-1, -1, 'Component Design Discussion', 'gpt-4', 0.7, 'active', 3, 2370),
    (-2, -2, null, 'gpt-4', 0.2, 'archived', 1, 0)
on conflict do nothing;

insert into messages (id, conversation_id, parent_message_id, role, content, prompt_tokens, completion_tokens,
                      total_tokens, context_documents) values
    (-1, -1, null, 'user', 'How do I create a primary button component?', null, null, null, null),
    (-2, -1, -1, 'assistant', 'One per page, for its main action.', 1523, 847, 2370, '[-1]'),
    (-3, -1, -1, 'user', 'And for deleting?', null, null, null, null),
    (-4, -2, null, 'user', 'Which red?', null, null, null, null)
on conflict do nothing;

insert into requirement_exports (id, user_id, component_type, requirements, approved_count, edited_count,
                                 custom_added_count, proposal_latency_ms, used_in_pattern_retrieval) values
    (-1, -1, 'Button', '{"props": [{"name": "variant", "type": "string", "approved": true}]}', 1, 0, 0, 2310, true),
    (-2, -2, 'Card', '{"accessibility": [{"requirement": "a heading", "approved": true}]}', 1, 0, 0, 4523, false)
on conflict do nothing;

insert into embedding_models (id, name, provider, dimension, max_tokens, is_active) values
    (-1, 'demo-embedding', 'example', 8, 512, false)
on conflict do nothing;

insert into evaluation_runs (id, name, description, model_name, dataset_name, config, status, metrics) values
    (-1, 'Button Component Quality Test', 'Generated buttons against the design system', 'gpt-4',
     'button_test_set_v1', '{"temperature": 0.7, "test_cases": 50}', 'completed', '{"accuracy": 0.94, "recall": 0.96}')
on conflict do nothing;
