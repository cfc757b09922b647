CREATE TABLE rules (
    rule_id varchar(50) PRIMARY KEY,
    category varchar(100) NOT NULL,
    title varchar(255) NOT NULL,
    description text NOT NULL,
    severity varchar(20) CHECK (severity IN ('CRITICAL', 'ERROR', 'WARNING', 'INFO')),
    enforcement varchar(20) CHECK (enforcement IN ('mandatory', 'recommended', 'optional')),
    examples jsonb DEFAULT '[]',
    anti_patterns jsonb DEFAULT '[]',
    violations_consequence text,
    created_by varchar(100) DEFAULT 'system',
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(),
    active boolean DEFAULT true,
    priority integer DEFAULT 0,
    status varchar(20) DEFAULT 'ACTIVE'
);

-- Q-01: "references" is a reserved word, so it is quoted.
CREATE TABLE practices (
    practice_id varchar(50) PRIMARY KEY,
    category varchar(100) NOT NULL,
    title varchar(255) NOT NULL,
    description text NOT NULL,
    benefits jsonb DEFAULT '[]',
    implementation_guide text,
    anti_patterns jsonb DEFAULT '[]',
    "references" jsonb DEFAULT '[]',
    examples jsonb DEFAULT '[]',
    effectiveness_score numeric(3, 2),
    adoption_rate numeric(3, 2),
    created_at timestamp DEFAULT now(),
    is_active boolean DEFAULT true,
    is_required boolean DEFAULT false
);

CREATE INDEX idx_rules_category ON rules (category) WHERE active = true;

CREATE INDEX idx_rules_severity ON rules (severity, created_at DESC) WHERE active = true;

CREATE INDEX idx_practices_category ON practices (category) WHERE is_active = true;
