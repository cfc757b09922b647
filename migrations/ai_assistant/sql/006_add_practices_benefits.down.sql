DROP INDEX CONCURRENTLY IF EXISTS idx_practices_benefits;
