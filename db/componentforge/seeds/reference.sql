-- The embedding models that ComponentForge knows (CF-25). Runs twice without effect (PLAT-30): a model that exists by
-- its name is left as it is. Fit for production.

insert into embedding_models (name, provider, dimension, max_tokens, is_active)
select * from (values
    ('text-embedding-3-small', 'openai', 1536, 8191, true),
    ('text-embedding-3-large', 'openai', 3072, 8191, false)
) as wanted (name, provider, dimension, max_tokens, is_active)
where not exists (select from embedding_models m where m.name = wanted.name)
on conflict do nothing;
