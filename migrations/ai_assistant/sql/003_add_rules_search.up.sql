-- What a killed run left behind is INVALID.
DROP INDEX CONCURRENTLY IF EXISTS idx_rules_search;

CREATE INDEX CONCURRENTLY idx_rules_search ON rules USING gin (to_tsvector('english', title || ' ' || description));
