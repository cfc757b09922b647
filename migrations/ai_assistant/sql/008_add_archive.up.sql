-- archived_at is the first column, so that a column which is added to a table and to its archive is the last of
-- both: archive_inactive() relies on the same order. A key that is used again can be archived again.
CREATE TABLE rules_archive (
    archived_at timestamptz NOT NULL DEFAULT now(),
    LIKE rules,
    PRIMARY KEY (rule_id, archived_at)
);

CREATE TABLE practices_archive (
    archived_at timestamptz NOT NULL DEFAULT now(),
    LIKE practices,
    PRIMARY KEY (practice_id, archived_at)
);

CREATE TABLE templates_archive (
    archived_at timestamptz NOT NULL DEFAULT now(),
    LIKE templates,
    PRIMARY KEY (template_id, archived_at)
);

CREATE TABLE hard_deletes (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    table_name text NOT NULL,
    record_id varchar(50) NOT NULL,
    reason text NOT NULL,
    rows_deleted integer NOT NULL,
    deleted_by text NOT NULL DEFAULT session_user,
    deleted_at timestamptz NOT NULL DEFAULT now()
);
