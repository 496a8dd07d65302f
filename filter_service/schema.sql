-- Personal data stands only in `sealed` columns, each encrypted by a key of its own that is kept elsewhere.
-- Moments are UTC.

CREATE TABLE meta (
    name VARCHAR PRIMARY KEY,
    content VARCHAR NOT NULL
);

CREATE TABLE requests (
    request_id UUID PRIMARY KEY,
    kind VARCHAR NOT NULL,             -- erasure, rightsholder
    state VARCHAR NOT NULL,
    language VARCHAR NOT NULL,
    received TIMESTAMP NOT NULL,
    changed TIMESTAMP NOT NULL,
    due TIMESTAMP,                     -- until when it must be decided
    extended BOOLEAN NOT NULL,
    first_reviewer VARCHAR,            -- who approved first, where two must
    decided_by VARCHAR,
    reason VARCHAR,                    -- the coded reason of the last decision
    published BOOLEAN NOT NULL,        -- something of it is in a published release
    kinds VARCHAR NOT NULL,            -- of its identifiers, sorted, with commas between
    source VARCHAR NOT NULL,           -- form, or the machine key that handed it in
    key_id UUID NOT NULL,
    sealed BLOB,                       -- the case file; NULL once erased
    version INTEGER NOT NULL
);

CREATE TABLE listed (
    listed_id UUID PRIMARY KEY,
    kind VARCHAR NOT NULL,             -- of an identifier, or optout
    audience VARCHAR NOT NULL,         -- public, operators, corpus
    since TIMESTAMP NOT NULL,
    first_release VARCHAR,
    due_out BOOLEAN NOT NULL,          -- nobody claims it any more: the next release leaves it out
    key_id UUID NOT NULL,
    sealed BLOB
);

CREATE TABLE claims (
    listed_id UUID NOT NULL,
    request_id UUID NOT NULL,
    since TIMESTAMP NOT NULL
);

CREATE TABLE messages (
    message_id UUID PRIMARY KEY,
    request_id UUID NOT NULL,
    channel VARCHAR NOT NULL,          -- email, sms, letter, callback
    template VARCHAR NOT NULL,
    queued TIMESTAMP NOT NULL,
    try_at TIMESTAMP NOT NULL,
    attempts INTEGER NOT NULL,
    sent TIMESTAMP,
    failed BOOLEAN NOT NULL,
    key_id UUID NOT NULL,
    sealed BLOB                        -- recipient and values; NULL once sent
);

CREATE TABLE releases (
    release VARCHAR PRIMARY KEY,
    compiled TIMESTAMP NOT NULL,
    published TIMESTAMP,
    digests VARCHAR NOT NULL,          -- JSON: audience -> SHA-256 of the file
    notes VARCHAR NOT NULL,            -- JSON: what the release notes say
    audit VARCHAR NOT NULL,            -- length and head of the trail that its files name
    previous VARCHAR
);

CREATE TABLE members (                 -- what a compiled release holds, until it is published
    release VARCHAR NOT NULL,
    listed_id UUID NOT NULL
);

CREATE TABLE access_keys (
    access_id UUID PRIMARY KEY,
    role VARCHAR NOT NULL,             -- reviewer, machine, operator
    scopes VARCHAR NOT NULL,
    digest BLOB NOT NULL,              -- of the secret, keyed
    created TIMESTAMP NOT NULL,
    expires TIMESTAMP,
    revoked TIMESTAMP,
    terms VARCHAR,                     -- the version an operator accepted
    key_id UUID NOT NULL,
    sealed BLOB                        -- whose it is
);

CREATE TABLE audit (
    number BIGINT PRIMARY KEY,
    moment TIMESTAMP NOT NULL,
    actor VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    details VARCHAR NOT NULL,
    digest BLOB NOT NULL
);
