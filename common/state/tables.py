"""The tables. Times are milliseconds since 1970, UTC. Every change here needs a migration."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

METADATA = MetaData()
# SQLite assigns row numbers only to columns of type INTEGER.
ROW_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

API_KEYS = Table(
    "api_keys",
    METADATA,
    # The public part of the key, by which its row is found.
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    # A JSON list of bank names. Null means all banks.
    Column("banks", Text),
    # SHA-256 of the complete key, in hexadecimal.
    Column("key_hash", String(64), nullable=False),
    # Null means the setting's value, 0 means no limit.
    Column("requests_per_minute", Integer),
    # Null or 0 means no limit.
    Column("queries_per_day", BigInteger),
    Column("upload_bytes_per_day", BigInteger),
    Column("video_seconds_per_day", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
)

# What a key with a quota used on its latest day.
KEY_USE = Table(
    "key_use",
    METADATA,
    Column("key_id", String(32), primary_key=True),
    # Days since 1970, UTC.
    Column("day", Integer, nullable=False),
    Column("queries", BigInteger, nullable=False),
    Column("upload_bytes", BigInteger, nullable=False),
    Column("video_seconds", BigInteger, nullable=False, server_default="0"),
)
# The key that posted a video which is not indexed yet.
VIDEO_PAYERS = Table(
    "video_payers",
    METADATA,
    # Of the video's id, see `text.text_hash`.
    Column("video_hash", String(64), primary_key=True),
    Column("key_id", String(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    Column("id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    # Null for a change without a key: the service requires none, or the command line made the change.
    Column("key_id", String(32)),
    Column("action", String(64), nullable=False),
    Column("route", Text, nullable=False),
    Column("object", Text, nullable=False),
    # The status of the HTTP response.
    Column("status", Integer, nullable=False),
    Column("code", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Index("audit_log_at", "at"),
    sqlite_autoincrement=True,
)

# A match is one query and one reference video. `detail` is JSON with all that is not asked for by SQL.
MATCHES = Table(
    "matches",
    METADATA,
    Column("id", ROW_NUMBER, primary_key=True, autoincrement=True),
    # Hashes of the query's fingerprint and of the reference's id, see `text.text_hash`.
    Column("query_hash", String(64), nullable=False),
    Column("ref_hash", String(64), nullable=False),
    # Of the reference.
    Column("bank", Text, nullable=False),
    # Of the query, if it is a video of the catalogue.
    Column("query_bank", Text),
    # After exceptions.
    Column("decision", String(16), nullable=False),
    Column("probability", Float, nullable=False),
    # The share of the query that it covers.
    Column("coverage", Float),
    # The latest verdict. Null if there is none.
    Column("verdict", String(16)),
    Column("first_found_at", BigInteger, nullable=False),
    Column("found_at", BigInteger, nullable=False),
    Column("times_found", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    UniqueConstraint("query_hash", "ref_hash", name="matches_pair"),
    Index("matches_ref_hash", "ref_hash"),
    Index("matches_found_at", "found_at"),
    sqlite_autoincrement=True,
)

# The videos that a match names besides its query and its reference, see `mentions.py`.
MATCH_MENTIONS = Table(
    "match_mentions",
    METADATA,
    Column("match_id", BigInteger, primary_key=True, autoincrement=False),
    # Of the video's id, see `text.text_hash`.
    Column("video_hash", String(64), primary_key=True),
    Index("match_mentions_video_hash", "video_hash"),
)

VERDICTS = Table(
    "verdicts",
    METADATA,
    Column("id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("match_id", BigInteger, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("note", Text, nullable=False),
    # Name of the key. Null if no key was required.
    Column("author", Text),
    Column("key_id", String(32)),
    Column("created_at", BigInteger, nullable=False),
    Index("verdicts_match_id", "match_id"),
    sqlite_autoincrement=True,
)

EXCEPTIONS = Table(
    "exceptions",
    METADATA,
    Column("id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    # Of the reference.
    Column("bank", Text, nullable=False),
    # Null for a range.
    Column("query_hash", String(64)),
    Column("ref_hash", String(64), nullable=False),
    # Null for a pair.
    Column("start_seconds", Float),
    Column("end_seconds", Float),
    Column("key_id", String(32)),
    Column("created_at", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Index("exceptions_ref_hash", "ref_hash"),
    sqlite_autoincrement=True,
)

JOBS = Table(
    "jobs",
    METADATA,
    # Jobs are numbered in the order of their arrival.
    Column("number", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False),
    # The service that has the upload and does the work.
    Column("owner", String(32), nullable=False),
    # Empty if no key was required.
    Column("key_id", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    # How often the work was begun and not ended in an orderly way.
    Column("attempts", Integer, nullable=False),
    # Of the upload.
    Column("bytes", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("progress", Text),
    Column("result", Text),
    Column("error", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    UniqueConstraint("id", name="jobs_id"),
    Index("jobs_owner_state", "owner", "state"),
    sqlite_autoincrement=True,
)

WEBHOOKS = Table(
    "webhooks",
    METADATA,
    Column("number", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False),
    Column("url", Text, nullable=False),
    # A JSON list of event types. Null means all.
    Column("events", Text),
    # A JSON list of bank names. Null means all banks.
    Column("banks", Text),
    Column("description", Text, nullable=False),
    # Events are signed with it, so a hash is not enough.
    Column("secret", Text, nullable=False),
    Column("key_id", String(32)),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("id", name="webhooks_id"),
    sqlite_autoincrement=True,
)

# The outbox: an event and a webhook that wants it. A row is written in the transaction of the change that
# the event reports.
WEBHOOK_DELIVERIES = Table(
    "webhook_deliveries",
    METADATA,
    Column("id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("webhook_id", String(32), nullable=False),
    # The same for all webhooks that get the event.
    Column("event_id", String(64), nullable=False),
    Column("type", String(64), nullable=False),
    # The JSON that is sent.
    Column("body", Text, nullable=False),
    # pending, delivered or dead.
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    # When it is tried next. A process that tries it moves this on first, so that no other one tries.
    Column("next_at", BigInteger, nullable=False),
    # When it was queued, or queued again by hand.
    Column("queued_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    # Of the last attempt.
    Column("status", Integer),
    Column("error", Text, nullable=False),
    Index("webhook_deliveries_due", "state", "next_at"),
    Index("webhook_deliveries_of_webhook", "webhook_id", "state"),
    sqlite_autoincrement=True,
)

DISABLED_VIDEOS = Table(
    "disabled_videos",
    METADATA,
    Column("video_hash", String(64), primary_key=True),
    # As JSON, which is ASCII: an id may have what a database refuses.
    Column("video_id", Text, nullable=False),
    Column("key_id", String(32)),
    Column("created_at", BigInteger, nullable=False),
)

# What people have set about banks. A bank without a row has the policy of the settings.
BANKS = Table(
    "banks",
    METADATA,
    Column("name_hash", String(64), primary_key=True),
    # As JSON, as the ids of disabled videos.
    Column("name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    # A JSON object with the thresholds that are set.
    Column("policy", Text, nullable=False),
    # Whether its videos are known not to be worth a match.
    Column("negative", Boolean, nullable=False, server_default=false()),
    # The fraction of queries on which the bank acts.
    Column("share", Float, nullable=False, server_default="1"),
    # A JSON list of rules, the first of which that fits decides.
    Column("actions", Text, nullable=False, server_default="[]"),
    Column("key_id", String(32)),
    Column("updated_at", BigInteger, nullable=False),
)

# First answers to requests with an Idempotency-Key.
IDEMPOTENT_ANSWERS = Table(
    "idempotent_answers",
    METADATA,
    # Hash of the API key's id, the route and the Idempotency-Key.
    Column("hash", String(64), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("idempotent_answers_created_at", "created_at"),
)
