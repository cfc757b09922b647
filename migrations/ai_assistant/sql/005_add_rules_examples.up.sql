-- What a killed run left behind is INVALID.
DROP INDEX CONCURRENTLY IF EXISTS idx_rules_examples;

CREATE INDEX CONCURRENTLY idx_rules_examples ON rules USING gin (examples);
