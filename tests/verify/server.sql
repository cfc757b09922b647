-- Everything the suite asks one server as superuser, as one JSON object (tests/verify/look.py, ServerFacts).
select json_build_object(
    'version', current_setting('server_version_num')::int / 10000,
    'recovering', pg_is_in_recovery(),
    'replay', case when pg_is_in_recovery() then pg_get_wal_replay_pause_state() end,
    'settings', (select json_object_agg(name, current_setting(name)) from pg_settings),
    'numbers', (select json_object_agg(name, setting) from pg_settings where vartype in ('integer', 'real')),
    'sources', (select json_object_agg(name, source) from pg_settings),
    'pending_restart', (select coalesce(json_agg(name), '[]') from pg_settings where pending_restart),
    'by_hand', (select coalesce(json_agg(name), '[]') from pg_file_settings where sourcefile ~ 'auto.conf$'),
    'log_file', pg_current_logfile(),
    'hba', (
        select coalesce(json_agg(json_build_object(
            'type', coalesce(type, ''), 'database', coalesce(database, '{}'), 'user_name', coalesce(user_name, '{}'),
            'address', address, 'netmask', netmask, 'auth_method', coalesce(auth_method, ''), 'options', coalesce(options, '{}'),
            'error', error)), '[]')
        from pg_hba_file_rules),
    'standbys', (
        select coalesce(json_agg(json_build_object(
            'application_name', application_name, 'usename', usename, 'state', state, 'sync_state', sync_state,
            'replay_lag_bytes', pg_wal_lsn_diff(sent_lsn, replay_lsn), 'ssl', ssl)), '[]')
        from pg_stat_replication join pg_stat_ssl using (pid)),
    'slots', (
        select coalesce(json_agg(json_build_object(
            'slot_name', slot_name, 'slot_type', slot_type, 'active', active, 'wal_status', wal_status)), '[]')
        from pg_replication_slots)
)
