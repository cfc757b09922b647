-- AI Development Assistant's statements as its document has them (seed 001, Table Structure and Performance Indexes),
-- with the correction of Q-01. What we changed is in ai_assistant.yaml.

-- Rules Management
CREATE TABLE rules (
    rule_id VARCHAR(50) PRIMARY KEY,
    category VARCHAR(100) NOT NULL,
    title VARCHAR(255) NOT NULL,
    description TEXT NOT NULL,
    severity VARCHAR(20) CHECK (severity IN ('CRITICAL', 'ERROR', 'WARNING', 'INFO')),
    enforcement VARCHAR(20) CHECK (enforcement IN ('mandatory', 'recommended', 'optional')),
    examples JSONB DEFAULT '[]',
    anti_patterns JSONB DEFAULT '[]',
    violations_consequence TEXT,
    created_by VARCHAR(100) DEFAULT 'system',
    created_at TIMESTAMP DEFAULT NOW(),
    updated_at TIMESTAMP DEFAULT NOW(),
    active BOOLEAN DEFAULT TRUE,
    priority INTEGER DEFAULT 0,
    status VARCHAR(20) DEFAULT 'ACTIVE'
);

-- Best Practices
CREATE TABLE practices (
    practice_id VARCHAR(50) PRIMARY KEY,
    category VARCHAR(100) NOT NULL,
    title VARCHAR(255) NOT NULL,
    description TEXT NOT NULL,
    benefits JSONB DEFAULT '[]',
    implementation_guide TEXT,
    anti_patterns JSONB DEFAULT '[]',
    "references" JSONB DEFAULT '[]',  -- Q-01: quoted, for it is a reserved word
    examples JSONB DEFAULT '[]',
    effectiveness_score DECIMAL(3,2),
    adoption_rate DECIMAL(3,2),
    created_at TIMESTAMP DEFAULT NOW(),
    is_active BOOLEAN DEFAULT TRUE,
    is_required BOOLEAN DEFAULT FALSE
);

-- Templates
CREATE TABLE templates (
    template_id VARCHAR(50) PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    category VARCHAR(100) NOT NULL,
    template_content TEXT NOT NULL,
    variables JSONB DEFAULT '[]',
    tags JSONB DEFAULT '[]',
    usage_count INTEGER DEFAULT 0,
    is_active BOOLEAN DEFAULT TRUE,
    created_by VARCHAR(100) DEFAULT 'system',
    created_at TIMESTAMP DEFAULT NOW()
);

-- Category-based queries (most common access pattern)
CREATE INDEX idx_rules_category ON rules(category) WHERE active = TRUE;
CREATE INDEX idx_practices_category ON practices(category) WHERE is_active = TRUE;
CREATE INDEX idx_templates_category ON templates(category) WHERE is_active = TRUE;

-- Severity-based filtering for rules
CREATE INDEX idx_rules_severity ON rules(severity, created_at DESC) WHERE active = TRUE;

-- Full-text search on titles and descriptions
CREATE INDEX idx_rules_search ON rules USING gin(to_tsvector('english', title || ' ' || description));
CREATE INDEX idx_practices_search ON practices USING gin(to_tsvector('english', title || ' ' || description));

-- JSONB search indexes for flexible querying
CREATE INDEX idx_rules_examples ON rules USING gin(examples);
CREATE INDEX idx_practices_benefits ON practices USING gin(benefits);
