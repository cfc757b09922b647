CREATE TABLE templates (
    template_id varchar(50) PRIMARY KEY,
    name varchar(255) NOT NULL,
    description text,
    category varchar(100) NOT NULL,
    template_content text NOT NULL,
    variables jsonb DEFAULT '[]',
    tags jsonb DEFAULT '[]',
    usage_count integer DEFAULT 0,
    is_active boolean DEFAULT true,
    created_by varchar(100) DEFAULT 'system',
    created_at timestamp DEFAULT now()
);

CREATE INDEX idx_templates_category ON templates (category) WHERE is_active = true;
