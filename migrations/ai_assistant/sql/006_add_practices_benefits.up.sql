-- What a killed run left behind is INVALID.
DROP INDEX CONCURRENTLY IF EXISTS idx_practices_benefits;

CREATE INDEX CONCURRENTLY idx_practices_benefits ON practices USING gin (benefits);
