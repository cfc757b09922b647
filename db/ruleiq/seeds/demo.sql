-- Two users with a company each, so that row-level security can be seen at work. Runs twice without effect (PLAT-30):
-- every id is fixed, and what exists is left as it is. Never for production. Nobody can log in: the hashes are of nothing.

insert into compliance_frameworks (id, name) values  -- when reference.sql comes later, it completes these
    ('gdpr', 'General Data Protection Regulation'),
    ('iso27001', 'ISO/IEC 27001:2022')
on conflict do nothing;

insert into users (id, email, hashed_password) values
    ('04000000-0000-4000-8000-000000000001', 'ada@example.com', '!'),
    ('04000000-0000-4000-8000-000000000002', 'grace@example.com', '!')
on conflict do nothing;

insert into business_profiles (id, user_id, company_name, industry, employee_count, handles_personal_data,
                               processes_payments, data_sensitivity) values
    ('04000000-0000-4000-8000-000000000011', '04000000-0000-4000-8000-000000000001', 'Bicycle Commons',
     'mobility', 12, true, true, 'High'),
    ('04000000-0000-4000-8000-000000000012', '04000000-0000-4000-8000-000000000002', 'Allotment Exchange',
     'agriculture', 3, true, false, 'Low')
on conflict do nothing;

insert into assessment_sessions (id, user_id, business_profile_id, framework_id, session_name, status,
                                 questions_answered, progress_percentage) values
    ('04000000-0000-4000-8000-000000000021', '04000000-0000-4000-8000-000000000001',
     '04000000-0000-4000-8000-000000000011', 'gdpr', 'Privacy, first round', 'in_progress', '{"q1": "yes"}', 12.5),
    ('04000000-0000-4000-8000-000000000022', '04000000-0000-4000-8000-000000000002',
     '04000000-0000-4000-8000-000000000012', 'iso27001', 'Scope', 'not_started', null, 0)
on conflict do nothing;

insert into evidence_items (id, user_id, business_profile_id, framework_id, evidence_name, control_reference, file_path,
                            file_type, file_size, status, priority, ai_metadata, approved_at, approved_by) values
    ('04000000-0000-4000-8000-000000000031', '04000000-0000-4000-8000-000000000001',
     '04000000-0000-4000-8000-000000000011', 'gdpr', 'Register of processing activities', 'Art. 30',
     '/evidence/register.pdf', 'pdf', 48211, 'approved', 'high', '{"summary": "complete", "confidence": 0.9}',
     '2026-01-15 10:00:00+00', '04000000-0000-4000-8000-000000000001'),
    ('04000000-0000-4000-8000-000000000032', '04000000-0000-4000-8000-000000000001',
     '04000000-0000-4000-8000-000000000011', 'gdpr', 'Breach notification procedure', 'Art. 33', null, null, null,
     'in_progress', 'medium', null, null, null),
    ('04000000-0000-4000-8000-000000000033', '04000000-0000-4000-8000-000000000002',
     '04000000-0000-4000-8000-000000000012', 'iso27001', 'Statement of applicability', '6.1.3', null, null, null,
     'not_started', 'high', null, null, null)
on conflict do nothing;

insert into generated_policies (id, user_id, business_profile_id, policy_name, content) values
    ('04000000-0000-4000-8000-000000000041', '04000000-0000-4000-8000-000000000001',
     '04000000-0000-4000-8000-000000000011', 'Privacy policy', 'We keep what we need to lend a bicycle.'),
    ('04000000-0000-4000-8000-000000000042', '04000000-0000-4000-8000-000000000002',
     '04000000-0000-4000-8000-000000000012', 'Access policy', 'Gardens are seen by their owners.')
on conflict do nothing;

insert into chat_conversations (id, user_id, title, messages) values
    ('04000000-0000-4000-8000-000000000051', '04000000-0000-4000-8000-000000000001', 'Where to start',
     '[{"role": "user", "content": "What does Article 30 ask for?"}]'),
    ('04000000-0000-4000-8000-000000000052', '04000000-0000-4000-8000-000000000002', 'Scope', '[]')
on conflict do nothing;

insert into integration_configurations (id, user_id, provider, settings) values
    ('04000000-0000-4000-8000-000000000061', '04000000-0000-4000-8000-000000000001', 'github',
     '{"organisation": "bicycle-commons"}'),
    ('04000000-0000-4000-8000-000000000062', '04000000-0000-4000-8000-000000000002', 'nextcloud', '{}')
on conflict do nothing;

insert into report_schedules (id, user_id, report_name, frequency, next_run_at) values
    ('04000000-0000-4000-8000-000000000071', '04000000-0000-4000-8000-000000000001', 'Open evidence', 'weekly',
     '2026-02-02 06:00:00'),
    ('04000000-0000-4000-8000-000000000072', '04000000-0000-4000-8000-000000000002', 'Readiness', 'monthly', null)
on conflict do nothing;
