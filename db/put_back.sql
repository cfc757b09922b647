declare
    one record;
begin
    perform set_config('pg_stat_statements.track_utility', 'off', true);  -- or it would keep the verifier
    for one in
        select k.login, k.verifier from keel.passwords k join pg_authid r on r.rolname = k.login
        where r.rolpassword is distinct from k.verifier and not r.rolsuper
    loop
        execute format('alter role %I password %L', one.login, one.verifier);
        return next format('put back the password of %s, which was not changed by Keel', one.login);
    end loop;
end
