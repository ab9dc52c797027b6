create or replace function pgqueue.refuse_state(p_id bigint, p_rule text)
returns void
language plpgsql
as $$
-- refuse_state(id, rule) → an error that names the job, its state and the rule
--
-- Raises    PQ003 when there is no such job, else PQ004.
-- Writes    nothing.
-- Called by pgqueue.cancel and pgqueue.retry.
declare
    v_state text := (select v.state from pgqueue.jobs v where v.id = p_id);
begin
    if v_state is null then
        raise exception using errcode = 'PQ003',
            message = format('job %s does not exist', coalesce(p_id::text, 'null')),
            hint = 'It may have finished and been removed by retention.';
    end if;
    raise exception using errcode = 'PQ004', message = format('job %s is %s: %s', p_id, v_state, p_rule);
end;
$$;

comment on function pgqueue.refuse_state(bigint, text) is 'Raises PQ003 for a job that does not exist, PQ004 for one in the wrong state.';
