-- ruleIQ's statements as its document has them (seed 004), in the order in which they can run: the tables as they are
-- described, then "required actions before production". What does not run as written has its correction beside it.

-- Database Schema Overview
CREATE TABLE users (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    email VARCHAR(255) UNIQUE NOT NULL,
    hashed_password VARCHAR(255) NOT NULL,
    is_active BOOLEAN DEFAULT true,
    is_superuser BOOLEAN DEFAULT false,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE business_profiles (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID REFERENCES users(id) ON DELETE CASCADE,
    company_name VARCHAR(255) NOT NULL,
    industry VARCHAR(100),
    employee_count INTEGER,
    handles_persona BOOLEAN,
    processes_payme BOOLEAN,
    stores_health_d BOOLEAN,
    provides_financ BOOLEAN,
    operates_critic BOOLEAN,
    has_internation BOOLEAN,
    data_sensitivity VARCHAR(20) DEFAULT 'Medium',
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE assessment_sessions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID REFERENCES users(id) ON DELETE CASCADE,
    business_profil UUID,
    framework_id VARCHAR(50) NOT NULL,
    session_name VARCHAR(255),
    status VARCHAR(20) DEFAULT 'not_started',
    questions_answe JSONB,
    progress_percentage DECIMAL(5,2) DEFAULT 0.0,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE evidence_items (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID REFERENCES users(id) ON DELETE CASCADE,
    business_profile_id UUID REFERENCES business_profiles(id),
    framework_id VARCHAR(50),
    evidence_name VARCHAR(255) NOT NULL,
    control_reference VARCHAR(100),
    file_path VARCHAR(500),
    file_type VARCHAR(50),
    file_size INTEGER,
    status VARCHAR(20) DEFAULT 'not_started',
    priority VARCHAR(10) DEFAULT 'medium',
    ai_metadata JSONB,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

-- Q-21: named by the document, but nowhere created; only this column of it is known
CREATE TABLE generated_policies (
    business_profil UUID
);

-- Performance Optimization: Index Strategy (Q-23: the extension is there before)
CREATE INDEX idx_evidence_user_framework
ON evidence_items(user_id, framework_id);

CREATE INDEX idx_evidence_user_status
ON evidence_items(user_id, status);

CREATE INDEX idx_evidence_name_search
ON evidence_items USING gin(evidence_name gin_trgm_ops);

CREATE INDEX idx_business_profiles_user_id
ON business_profiles(user_id);

CREATE INDEX idx_assessment_sessions_user_id
ON assessment_sessions(user_id);

CREATE INDEX idx_evidence_ai_metadata_gin
ON evidence_items USING gin(ai_metadata);

-- Required Critical Migration: nine statements of their own (Q-20, X-31)
ALTER TABLE business_profiles RENAME COLUMN handles_persona TO handles_personal_data;
ALTER TABLE business_profiles RENAME COLUMN processes_payme TO processes_payments;
ALTER TABLE business_profiles RENAME COLUMN stores_health_d TO stores_health_data;
ALTER TABLE business_profiles RENAME COLUMN provides_financ TO provides_financial_services;
ALTER TABLE business_profiles RENAME COLUMN operates_critic TO operates_critical_infrastructure;
ALTER TABLE business_profiles RENAME COLUMN has_internation TO has_international_operations;
ALTER TABLE assessment_sessions RENAME COLUMN business_profil TO business_profile_id;
ALTER TABLE generated_policies RENAME COLUMN business_profil TO business_profile_id;
ALTER TABLE assessment_sessions RENAME COLUMN questions_answe TO questions_answered;

-- Data Integrity Issues: Missing Constraints (Q-24: after the renames)
ALTER TABLE evidence_items
ADD CONSTRAINT chk_evidence_status
CHECK (status IN ('not_started', 'in_progress', 'collected', 'approved', 'rejected'));

ALTER TABLE business_profiles
ADD CONSTRAINT chk_employee_count_positive
CHECK (employee_count > 0);

ALTER TABLE business_profiles
ADD CONSTRAINT chk_data_sensitivity
CHECK (data_sensitivity IN ('Low', 'Medium', 'High', 'Critical'));

ALTER TABLE assessment_sessions
ADD CONSTRAINT fk_assessment_business_profile
FOREIGN KEY (business_profile_id) REFERENCES business_profiles(id);

-- Q-25: the columns that the next constraint names; X-05: with a time zone
ALTER TABLE evidence_items ADD COLUMN approved_at TIMESTAMPTZ, ADD COLUMN approved_by UUID;

-- Data Quality Issues
ALTER TABLE evidence_items
ADD CONSTRAINT chk_approval_workflow
CHECK (
    (status = 'approved' AND approved_at IS NOT NULL AND approved_by IS NOT NULL) OR
    (status != 'approved')
);
