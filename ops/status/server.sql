-- One PostgreSQL server about itself, for `./keel status`; runs on the primary and on replicas.
select json_build_object(
  'in_recovery', pg_is_in_recovery(),
  'version', split_part(current_setting('server_version'), ' ', 1),
  'synchronous_commit', current_setting('synchronous_commit'),
  'standbys', coalesce(
    (select json_agg(
       json_build_object('name', application_name, 'state', state, 'sync_state', sync_state) order by application_name
     ) from pg_stat_replication),
    '[]'
  )
)
