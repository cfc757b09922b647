-- What personal values become in a copy (db/masking.py). Every function hides its argument behind a key that is made anew
-- for each copy and lies in keel.masking_key of the session alone: without it nobody can try guesses. Equal values stay
-- equal, and none stays what it was. In PL/pgSQL throughout: a SQL function that is not inlined costs twenty times as much.

-- 64 hexadecimal digits. The key in front of both of two hashes, as in HMAC.
create function pg_temp.keyed(value text) returns text language plpgsql stable strict as $$
declare
    key text := current_setting('keel.masking_key');
begin
    return encode(sha256(convert_to(key || encode(sha256(convert_to(key || value, 'UTF8')), 'hex'), 'UTF8')), 'hex');
end
$$;

-- As long as the value was, at least 32 letters where so many are allowed, or values would meet. An address stays one,
-- under a name that no mail reaches (RFC 2606).
create function pg_temp.masked_text(value text, most integer) returns text language plpgsql stable strict as $$
begin
    if most >= 32 and value ~ '^\S+@\S+$' then
        return left(pg_temp.keyed(value), least(24, most - 16)) || '@example.invalid';
    end if;
    return left(repeat(pg_temp.keyed(value), length(value) / 64 + 1), least(greatest(length(value), 32), most));
end
$$;

-- No scheme's hash begins with an exclamation mark: nobody logs in with it.
create function pg_temp.masked_password(value text, most integer) returns text language plpgsql stable strict as $$
begin
    return '!' || left(pg_temp.keyed(value), least(32, most - 1));
end
$$;

-- Sign, point and number of digits (up to `most`) stay; the first digit is another one and not 0.
create function pg_temp.masked_digits(value text, most integer) returns text language plpgsql stable strict as $$
declare
    bytes bytea := decode(pg_temp.keyed(value), 'hex');
    done integer := 0;
    chance integer;
    letter text;
    result text := '';
begin
    for i in 1..length(value) loop
        letter := substr(value, i, 1);
        if letter between '0' and '9' then
            exit when done = most;
            chance := get_byte(bytes, done % 32);
            letter := case done when 0 then (letter::integer + chance % 8) % 9 + 1 else chance % 10 end;
            done := done + 1;
        end if;
        result := result || letter;
    end loop;
    return result;
end
$$;

-- One day to a year earlier.
create function pg_temp.masked_moment(value text) returns interval language plpgsql stable strict as $$
begin
    return make_interval(secs => 86400 + ('x' || left(pg_temp.keyed(value), 8))::bit(32)::bigint % 31449600);
end
$$;

-- Another one of those that are allowed.
create function pg_temp.masked_choice(value text, allowed text[]) returns text language plpgsql stable strict as $$
declare
    others text[] := array_remove(allowed, value);
begin
    return others[get_byte(decode(pg_temp.keyed(value), 'hex'), 0) % cardinality(others) + 1];
end
$$;

-- Objects and arrays keep their shape, names that look like a program's stay; every text and number in them is masked.
create function pg_temp.masked_json(value jsonb) returns jsonb language plpgsql stable strict as $$
declare
    kind text := jsonb_typeof(value);
    name text;
    inner_value jsonb;
    result jsonb;
begin
    if kind = 'string' then
        return to_jsonb(pg_temp.masked_text(value #>> '{}', 1000000000));
    elsif kind = 'number' then
        return to_jsonb(pg_temp.masked_digits(value #>> '{}', 1000)::numeric);
    elsif kind = 'object' then
        result := '{}';
        for name, inner_value in select * from jsonb_each(value) loop
            if name !~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$' then
                name := left(pg_temp.keyed(name), 32);
            end if;
            result := result || jsonb_build_object(name, pg_temp.masked_json(inner_value));
        end loop;
        return result;
    elsif kind = 'array' then
        return coalesce(jsonb_agg(pg_temp.masked_json(item) order by n), '[]')
               from jsonb_array_elements(value) with ordinality as items (item, n);
    end if;
    return value;
end
$$;
