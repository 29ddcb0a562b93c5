-- The append-only ledger of calculations and the state of import jobs.
CREATE TABLE calculations (
    tenant          text        NOT NULL,
    idempotency_key text        NOT NULL,
    id              text        NOT NULL,
    request_hash    text        NOT NULL,
    row_hash        text        NOT NULL,
    co2e_kg         numeric     NOT NULL,
    co2e_market_kg  numeric,
    market_held     boolean     NOT NULL, -- the figure applies, but waits for a review
    outside_kg      numeric     NOT NULL,
    status          text        NOT NULL,
    gwp_set         text        NOT NULL,
    period          text        NOT NULL,
    scope           text        NOT NULL,
    category        text        NOT NULL,
    body            jsonb       NOT NULL,
    node            text        NOT NULL,
    replays         bigint      NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, idempotency_key)
) WITH (fillfactor = 90); -- room on the page, so that counting a replay rewrites no index

-- Subtle: not unique. The id follows from tenant and key, and a second unique index would let two
-- simultaneous inserts of one key fail on it instead of meeting in ON CONFLICT.
CREATE INDEX calculations_id ON calculations (id);
CREATE INDEX calculations_period ON calculations (tenant, period, gwp_set);

CREATE TABLE jobs (
    job          text        PRIMARY KEY,
    tenant       text        NOT NULL,
    request_hash text        NOT NULL,
    state        text        NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    lines        integer     NOT NULL,
    done         integer     NOT NULL DEFAULT 0,
    failed       integer     NOT NULL DEFAULT 0,
    problems     jsonb       NOT NULL DEFAULT '[]',
    attempts     integer     NOT NULL DEFAULT 0, -- how often a worker began
    node         text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
