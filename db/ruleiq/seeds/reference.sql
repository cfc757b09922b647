-- Frameworks that everybody assesses himself against, with a first plan and first criteria for each. They belong to the
-- release and are the same everywhere, dates included: running this again brings them to its text and touches no row
-- that has it already (PLAT-30). framework_id of sessions and evidence is one of these ids (X-33).

insert into compliance_frameworks (id, name, description, created_at, updated_at)
select id, name, description, '2026-01-01', '2026-01-01' from (values
    ('gdpr', 'General Data Protection Regulation', 'EU 2016/679: personal data of people in the Union.'),
    ('iso27001', 'ISO/IEC 27001:2022', 'Requirements of an information security management system.'),
    ('soc2', 'SOC 2', 'AICPA trust services criteria: security, availability, confidentiality, integrity, privacy.'),
    ('hipaa', 'HIPAA', 'US 45 CFR 160, 162, 164: health information.'),
    ('pci_dss', 'PCI DSS 4.0', 'Requirements for whoever stores, processes or transmits card data.'),
    ('nis2', 'NIS 2 Directive', 'EU 2022/2555: cybersecurity of essential and important entities.'),
    ('dora', 'Digital Operational Resilience Act', 'EU 2022/2554: ICT risk in the financial sector.'),
    ('cyber_essentials', 'Cyber Essentials', 'UK scheme of five technical controls.')
) as framework (id, name, description)
on conflict (id) do update
    set name = excluded.name, description = excluded.description, is_active = true
    where (compliance_frameworks.name, compliance_frameworks.description, compliance_frameworks.is_active)
        is distinct from (excluded.name, excluded.description, true);

insert into implementation_plans (id, framework_id, plan_name, steps, created_at, updated_at)
select md5('plan ' || id)::uuid, id, 'First year with ' || name,
       '["Define the scope", "Assess the gaps", "Assign owners", "Implement controls", "Collect evidence", "Review"]',
       '2026-01-01', '2026-01-01'
from compliance_frameworks
where id in ('gdpr', 'iso27001', 'soc2', 'hipaa', 'pci_dss', 'nis2', 'dora', 'cyber_essentials')
on conflict (id) do update set plan_name = excluded.plan_name, steps = excluded.steps
    where (implementation_plans.plan_name, implementation_plans.steps)
        is distinct from (excluded.plan_name, excluded.steps);

insert into readiness_assessments (id, framework_id, assessment_name, criteria, created_at, updated_at)
select md5('readiness ' || id)::uuid, id, 'Readiness for ' || name,
       '["Scope is written down", "Every control has an owner", "Evidence exists for every control"]',
       '2026-01-01', '2026-01-01'
from compliance_frameworks
where id in ('gdpr', 'iso27001', 'soc2', 'hipaa', 'pci_dss', 'nis2', 'dora', 'cyber_essentials')
on conflict (id) do update set assessment_name = excluded.assessment_name, criteria = excluded.criteria
    where (readiness_assessments.assessment_name, readiness_assessments.criteria)
        is distinct from (excluded.assessment_name, excluded.criteria);
