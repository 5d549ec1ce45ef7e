"""API keys. A key is shown once and stored only as a hash."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from common.bank_names import check_bank_name
from common.errors import StateError, UsageError
from common.printable import printable
from common.slices import slices
from common.state.quotas import DAY_SECONDS, NO_QUOTA, Quota, Use, use_in, use_to_json
from common.state.roles import Role
from common.state.store import Store, is_due
from common.state.tables import API_KEYS, KEY_USE
from common.state.text import plain

MAX_KEYS, MAX_RATE = 10_000, 10_000_000
MAX_NAME, MAX_BANKS = 100, 100
FIRST_KEY_NAME = "first start"
_SECRET_BYTES = 32
_ID_BYTES = 6
_TOKEN = re.compile(r"sh_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
# Precision of the last use: it is written at most once per this many seconds.
LAST_USED_SECONDS = 600
_STEP = 500


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret part. Times: milliseconds since 1970. banks: None means all banks.
    requests_per_minute: None means the setting's value, 0 no limit. used: on `day`, days since 1970; only
    of a key with a quota, and only in a list."""

    id: str
    name: str
    role: Role
    banks: frozenset[str] | None
    requests_per_minute: int | None
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None
    quota: Quota = NO_QUOTA
    used: Use | None = None
    day: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "role": self.role.value,
            "banks": None if self.banks is None else sorted(self.banks),
            "requests_per_minute": self.requests_per_minute,
            "queries_per_day": self.quota.queries_per_day,
            "upload_bytes_per_day": self.quota.upload_bytes_per_day,
            "video_seconds_per_day": self.quota.video_seconds_per_day,
            "used_today": None if self.used is None else use_to_json(self.used, self.day),
            "created_at": iso(self.created_at),
            "expires_at": iso(self.expires_at),
            "last_used_at": iso(self.last_used_at),
            "revoked_at": iso(self.revoked_at),
        }


@dataclass(frozen=True, slots=True)
class NewKey:
    """The properties of a key to create; see Key. Raises UsageError for an invalid name or invalid
    banks."""

    name: str
    role: Role
    banks: Sequence[str] | None = None
    expires_seconds: int | None = None
    requests_per_minute: int | None = None
    quota: Quota = NO_QUOTA

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= MAX_NAME or printable(self.name) != self.name:
            raise UsageError(f"name: expected 1 to {MAX_NAME} printable characters")
        if self.banks is None:
            return
        if not 1 <= len(self.banks) <= MAX_BANKS:
            raise UsageError(f"banks: expected 1 to {MAX_BANKS} banks; leave it out for all banks")
        for bank in self.banks:
            check_bank_name(bank)
        if self.role is Role.ADMIN:
            raise UsageError("an admin key is for all banks; give no bank, or another role")


class KeyStore(Store):
    """The keys in a state database. All methods raise StateError."""

    def create(self, new: NewKey) -> tuple[Key, str]:
        """Create a key. Returns it and its text, which is known only now. Raises UsageError if there are
        too many keys."""
        key, token, values = self._made(new)
        # Revoked and expired keys are kept, because the audit log names them, but they do not count.
        expires = API_KEYS.c.expires_at
        valid = (API_KEYS.c.revoked_at.is_(None), or_(expires.is_(None), expires > key.created_at))
        with self._database.change() as connection:
            query = select(func.count()).select_from(API_KEYS).where(*valid)
            count = connection.execute(query).scalar_one()
            if count >= MAX_KEYS:
                raise UsageError(f"there are {count} valid keys, which is the maximum; revoke some")
            connection.execute(insert(API_KEYS).values(values))
        return key, token

    def create_first(self) -> str | None:
        """Create an admin key if no key exists and return its text; None if a key exists. If several
        processes call this at the same time, only one gets a key."""
        _, token, values = self._made(NewKey(FIRST_KEY_NAME, Role.ADMIN))
        with self._database.change(alone=True) as connection:
            if connection.execute(select(API_KEYS.c.id).limit(1)).first() is not None:
                return None
            connection.execute(insert(API_KEYS).values(values))
        return token

    def exists(self) -> bool:
        """Whether a key was ever created; revoked keys count."""
        with self._database.read() as connection:
            return connection.execute(select(API_KEYS.c.id).limit(1)).first() is not None

    def page(self, after: str = "", limit: int = 100) -> tuple[list[Key], str | None]:
        """Keys ordered by id, and the cursor of the next page (None at the end)."""
        query = select(API_KEYS).where(API_KEYS.c.id > plain(after))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(API_KEYS.c.id).limit(limit + 1)).all()
            keys = self._with_use(connection, [_key(row) for row in rows[:limit]])
        return keys, keys[-1].id if len(rows) > limit else None

    def limit(self, key_id: str, limits: Mapping[str, int | None]) -> Key | None:
        """Change limits of a key: `requests_per_minute`, `queries_per_day`, `upload_bytes_per_day`,
        `video_seconds_per_day`; what is not given stays. Returns the key; None if it does not exist."""
        this = API_KEYS.c.id == plain(key_id)
        with self._database.change() as connection:
            connection.execute(update(API_KEYS).where(this).values(dict(limits)))
            row = connection.execute(select(API_KEYS).where(this)).first()
            return None if row is None else self._with_use(connection, [_key(row)])[0]

    def _with_use(self, connection: Connection, keys: Sequence[Key]) -> list[Key]:
        """The keys, with what those with a quota have used today."""
        day = self._now() // (1000 * DAY_SECONDS)
        ids = [key.id for key in keys if key.quota]
        used: dict[str, Use] = {}
        for some in slices(ids, _STEP):
            today = select(KEY_USE).where(KEY_USE.c.key_id.in_(some), KEY_USE.c.day == day)
            for row in connection.execute(today):
                used[row.key_id] = use_in(row)
        return [
            replace(key, used=used.get(key.id, Use()), day=day) if key.quota else key
            for key in keys
        ]

    def revoke(self, key_id: str) -> bool:
        """Revoke a key; its row stays. Returns False if the key does not exist."""
        this, now = API_KEYS.c.id == plain(key_id), self._now()
        with self._database.change() as connection:
            known = connection.execute(select(API_KEYS.c.id).where(this)).first()
            connection.execute(
                update(API_KEYS).where(this, API_KEYS.c.revoked_at.is_(None)).values(revoked_at=now)
            )
        return known is not None

    def verify(self, token: str) -> Key | None:
        """The key with this text; None if it is unknown, revoked or expired."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        with self._database.read() as connection:
            row = connection.execute(select(API_KEYS).where(API_KEYS.c.id == parts[1])).first()
        # Compared for an unknown key too.
        known = "" if row is None else str(row.key_hash)
        same = secrets.compare_digest(known, key_hash(token))
        if row is None or not same:
            return None
        key, now = _key(row), self._now()
        if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
            return None
        if key.last_used_at is None or is_due(key.last_used_at, now, 1000 * LAST_USED_SECONDS):
            self._note_use(key.id, now)
        return key

    def _note_use(self, key_id: str, now: int) -> None:
        # A write error, for example a full disk, must not lock out a valid key.
        with suppress(StateError), self._database.change() as connection:
            connection.execute(
                update(API_KEYS).where(API_KEYS.c.id == key_id).values(last_used_at=now)
            )

    def _made(self, new: NewKey) -> tuple[Key, str, dict[str, Any]]:
        now = self._now()
        key_id = secrets.token_hex(_ID_BYTES)
        token = f"sh_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        expires = None if new.expires_seconds is None else now + 1000 * new.expires_seconds
        banks = None if new.banks is None else frozenset(new.banks)
        rate = new.requests_per_minute
        key = Key(key_id, new.name, new.role, banks, rate, now, expires, None, None, new.quota)
        values = {
            "id": key_id,
            "name": new.name,
            "role": new.role.value,
            "banks": None if banks is None else json.dumps(sorted(banks)),
            "key_hash": key_hash(token),
            "requests_per_minute": rate,
            "queries_per_day": new.quota.queries_per_day,
            "upload_bytes_per_day": new.quota.upload_bytes_per_day,
            "video_seconds_per_day": new.quota.video_seconds_per_day,
            "created_at": now,
            "expires_at": expires,
        }
        return key, token, values


def key_hash(token: str) -> str:
    """SHA-256 in hexadecimal. A plain hash is sufficient: a key has 256 random bits, so it cannot be
    guessed from its hash as a password could."""
    return hashlib.sha256(token.encode()).hexdigest()


def iso(milliseconds: int | None) -> str | None:
    """A time in ISO 8601, UTC, to the second."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def _key(row: Row[Any]) -> Key:
    return Key(
        row.id,
        row.name,
        Role(row.role),
        None if row.banks is None else frozenset(json.loads(row.banks)),
        row.requests_per_minute,
        row.created_at,
        row.expires_at,
        row.last_used_at,
        row.revoked_at,
        Quota(row.queries_per_day, row.upload_bytes_per_day, row.video_seconds_per_day),
    )
