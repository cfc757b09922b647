-- What a killed run left behind is INVALID.
DROP INDEX CONCURRENTLY IF EXISTS idx_practices_search;

CREATE INDEX CONCURRENTLY idx_practices_search ON practices USING gin (to_tsvector('english', title || ' ' || description));
