-- Row-level security of JEEX Idea (JEEX-15, PLAT-15, PLAT-16). One policy per table, for all four commands.
--
-- The identity is set for one transaction: SET LOCAL app.current_user_id = '<users.id>' (PLAT-17). Unset or empty
-- means no rows. It is read in a sub-select, so that the planner evaluates it once per statement and not per row.
-- Tables below a project ask for the project as the same user, under its own policy: whoever does not see the
-- project sees nothing of it, and cannot add to it either, although a foreign key alone would let him.
-- Who reads, changes or deletes is asked once per statement for all the parents he sees, as an array: that makes an index
-- condition of the child's key, where a question per row (EXISTS, as for what is written) visits the rows of everybody.

alter table users enable row level security, force row level security;
alter table projects enable row level security, force row level security;
alter table document_versions enable row level security, force row level security;
alter table agent_executions enable row level security, force row level security;
alter table exports enable row level security, force row level security;

create policy users_self on users
    using (id = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (id = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

create policy projects_owner on projects
    using (created_by = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    with check (created_by = (select nullif(current_setting('app.current_user_id', true), '')::uuid));

-- Who wrote a version is the user himself, or nobody: an agent.
create policy document_versions_project on document_versions
    using (project_id = any (array(select p.id from projects p)))
    with check (
        exists (select from projects p where p.id = project_id)
        and (created_by is null
             or created_by = (select nullif(current_setting('app.current_user_id', true), '')::uuid))
    );

create policy agent_executions_project on agent_executions
    using (project_id = any (array(select p.id from projects p)))
    with check (exists (select from projects p where p.id = project_id));

create policy exports_project on exports
    using (project_id = any (array(select p.id from projects p)))
    with check (exists (select from projects p where p.id = project_id));

-- PLAT-18: the role behind auth.user_by_email and auth.register_user.
create policy users_auth_lookup on users for select to jeex_idea_auth using (true);
create policy users_auth_register on users for insert to jeex_idea_auth with check (true);
