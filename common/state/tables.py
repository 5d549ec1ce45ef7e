"""The tables. Times are milliseconds since 1970, UTC. Every change here needs a migration."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData()
# SQLite assigns row numbers only to columns of type INTEGER.
_ROW_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

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
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
)

AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
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
