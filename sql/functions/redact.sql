create or replace function pgqueue.redact(p_value jsonb, p_depth integer default 0)
returns jsonb
language plpgsql
immutable
parallel safe
as $$
-- redact(value) → the same JSON with "***" for each secret
--
--   A secret is what stands in {"$secret": …}, and what goes by a name that ends with password, token, api_key and the
--   like: in capitals or not, with or without ' ', '_', '-' and a number behind. true, false and null tell nothing and
--   stay. What is more than 32 levels deep is hidden altogether, if a secret may be in it.
--
--   Nearly always there is nothing to hide, and a look at the text tells: 5 µs, where a regular expression of all names
--   takes 15, and 150 once it has found one. The names are those of pgqueue/redaction.py.
--
-- Writes    nothing.
-- Called by the view pgqueue.jobs, pgqueue.fail for hooks, and by itself for what is inside.
declare
    v_hints constant text[] := '{%pass%,%pwd%,%secret%,%credential%,%token%,%jwt%,%bearer%,%authorization%,%cookie%,%otp%,%cvv%,%cvc%,%ssn%,%key%,%card%,%pin%code%}';
    v_names constant text[] := '{%password,%passwords,%passwd,%passphrase,%passcode,%passwordhash,%passwordconfirmation,%pwd,%secret,%secrets,%credential,%credentials,%token,%jwt,%bearer,%authorization,%cookie,%cookies,%otp,%cvv,%cvc,%ssn,%apikey,%apikeys,%accesskey,%accesskeys,%secretkey,%secretkeys,%privatekey,%privatekeys,%signingkey,%encryptionkey,%masterkey,%authkey,%creditcard,%cardnumber,%cardno,%pincode}';
begin
    if (lower(p_value::text collate "C") like any (v_hints)) is not true then
        return p_value;
    elsif p_depth > 32 then
        return '"***"';
    end if;
    case jsonb_typeof(p_value)
        when 'object' then
            if p_value ? '$secret' and p_value - '$secret' = '{}' then
                return '"***"';
            end if;
            return (
                select jsonb_object_agg(
                    e.key,
                    case
                        when e.type in ('null', 'boolean') then e.value
                        when rtrim(translate(lower(e.key collate "C"), ' _-', ''), '0123456789') like any (v_names) then '"***"'
                        when e.type in ('object', 'array') then pgqueue.redact(e.value, p_depth + 1)
                        else e.value
                    end
                )
                from (select o.key, o.value, jsonb_typeof(o.value) as type from jsonb_each(p_value) o) e
            );
        when 'array' then
            return (
                select jsonb_agg(
                    case when jsonb_typeof(e.value) in ('object', 'array') then pgqueue.redact(e.value, p_depth + 1) else e.value end
                    order by e.n
                )
                from jsonb_array_elements(p_value) with ordinality e (value, n)
            );
        else
            return p_value;                               -- a text that speaks of passwords
    end case;
end;
$$;

comment on function pgqueue.redact(jsonb, integer) is 'JSON with *** in place of what stands in {"$secret": …} or goes by a name of a secret.';
