"""The tables of the control store. Data only; `migrations/` brings a database there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no zone, so it is taken off on the way in and put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a moment without a zone: {value}")
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: Ids that clients see. SQLite counts by itself only in columns of its own integer type.
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Json = sa.JSON(none_as_null=True)

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _table(name: str, *columns: Any) -> sa.Table:
    # An id is never given twice, also after its row is gone: clients keep ids.
    return sa.Table(name, metadata, *columns, sqlite_autoincrement=True)


def _id() -> sa.Column[int]:
    return sa.Column("id", Id, primary_key=True)


def _account(*, index: bool = True) -> sa.Column[int]:
    return sa.Column("account_id", Id, sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=index)


accounts = _table(
    "accounts",
    _id(),
    sa.Column("company", sa.Text, nullable=False),
    sa.Column("first_name", sa.Text, nullable=False),
    sa.Column("last_name", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False, unique=True),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("partner_id", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
)

partners = sa.Table(
    "partners",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("secret_hash", sa.Text, nullable=False),
    sa.Column("redirect_uris", _Json, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

#: Every token a client may show, as a hash. `kind`: api, import, ephemeral, session, code. `detail`
#: is a code's PKCE challenge.
tokens = _table(
    "tokens",
    _id(),
    _account(),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("last_four", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("source_id", Id, sa.ForeignKey("connections.id", ondelete="CASCADE"), index=True),
    sa.Column("partner_id", sa.Text),
    sa.Column("detail", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Column("disabled_at", Moment),
)

#: Sources and destinations. `properties` hold no credential; those are in `secrets`, each encrypted, by name.
connections = _table(
    "connections",
    _id(),
    _account(),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("display_name", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("properties", _Json, nullable=False),
    sa.Column("secrets", _Json, nullable=False),
    # Names the source's marks in whatever destination it fills: unlike the id it is unique over all servers.
    sa.Column("mark_id", sa.Text, nullable=False, unique=True),
    sa.Column("destination_id", Id, sa.ForeignKey("connections.id"), index=True),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("deleted_at", Moment),
    sa.Column("paused_at", sa.Text),  # echoed as it was sent
    sa.Column("system_paused_at", Moment),
    sa.Column("discovered_at", Moment),
    # Whether a field of it is replicated: kept here, so that telling a source reads no stream.
    sa.Column("has_selection", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("next_fire_at", Moment, index=True),
    sa.Column("last_start_at", Moment),
)

#: One stream of a source, as last discovered (`schema`, `metadata` by breadcrumb) and as chosen (`chosen`).
streams = _table(
    "streams",
    _id(),
    sa.Column("source_id", Id, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    sa.Column("tap_stream_id", sa.Text, nullable=False),
    sa.Column("stream_name", sa.Text, nullable=False),
    sa.Column("schema", _Json, nullable=False),
    sa.Column("metadata", _Json, nullable=False),
    sa.Column("chosen", _Json, nullable=False),
    sa.Column("gone_at", Moment),
    sa.UniqueConstraint("source_id", "tap_stream_id"),
)

#: Connection checks, the newest per connection being the one that the API shows.
checks = sa.Table(
    "checks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("connection_id", Id, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    sa.Column("start_time", Moment, nullable=False),
    sa.Column("begun_at", Moment),  # since then it may know older properties than the connection has
    sa.Column("completion_time", Moment),
    sa.Column("check_exit_status", sa.Integer),
    sa.Column("discovery_exit_status", sa.Integer),
    sa.Column("message", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
    sa.Index("ix_checks_connection_id_start_time", "connection_id", "start_time"),
    sa.Index("ix_checks_completion_time", "completion_time"),
)

#: Replication jobs. `active_source_id` is the source's id until the run has ended: at most one at a time. `worker` is
#: who carries it out, by a name that no two takings share. `attempt` grows each time it has to be asked for anew.
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _account(index=False),
    sa.Column("source_id", Id, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    sa.Column("active_source_id", Id, unique=True),
    sa.Column("tick", Moment),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("start_time", Moment),
    sa.Column("completion_time", Moment),
    sa.Column("stop_requested_at", Moment),
    sa.Column("worker", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
    sa.Column("verdict", sa.Text),
    sa.Column("rows", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("discovery_exit_status", sa.Integer),
    sa.Column("tap_exit_status", sa.Integer),
    sa.Column("target_exit_status", sa.Integer),
    sa.Column("discovery_description", sa.Text),
    sa.Column("tap_description", sa.Text),
    sa.Column("target_description", sa.Text),
    sa.Index("ix_runs_source_id_completion_time", "source_id", "completion_time"),
    sa.Index("ix_runs_completion_time", "completion_time"),
)

#: The log of a run, in pieces of some lines.
run_log = sa.Table(
    "run_log",
    metadata,
    sa.Column("run_name", sa.Text, sa.ForeignKey("runs.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("piece", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),
)

#: The latest load attempt of each of a source's tables.
loads = sa.Table(
    "loads",
    metadata,
    sa.Column("source_id", Id, sa.ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("stream_name", sa.Text, primary_key=True),
    _account(),
    sa.Column("last_batch_loaded_at", Moment),
    sa.Column("attempted_at", Moment, nullable=False),
    sa.Column("error_state", _Json),
    sa.Column("rows", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("rejected", sa.BigInteger, nullable=False, server_default="0"),
)

#: Processes that carry out runs; one that is silent for long has its runs taken over.
workers = sa.Table(
    "workers",
    metadata,
    sa.Column("executor_id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("heartbeat_at", Moment, nullable=False),
)

custom_emails = _table(
    "custom_emails",
    _id(),
    _account(),
    sa.Column("email_address", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("disabled_at", sa.Text),  # echoed as it was sent
)

hooks = _table(
    "hooks",
    _id(),
    _account(),
    sa.Column("destination_id", Id, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),  # encrypted; signs what is sent
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("modified_at", Moment, nullable=False),
    sa.Column("disabled_at", Moment),
)

#: What people are to know. `open_topic` names account, event and topic until the trouble is over: one at a time.
notifications = _table(
    "notifications",
    _id(),
    _account(),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("open_topic", sa.Text, unique=True),
    sa.Column("connection_id", Id, sa.ForeignKey("connections.id", ondelete="CASCADE"), index=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("error", sa.Text),  # as the other side said it
    sa.Column("raised_at", Moment, nullable=False),
    sa.Column("resolved_at", Moment),
    sa.Column("dismissed_at", Moment),
)

#: What an account wants to be told by mail; without a row, all of it.
notification_settings = sa.Table(
    "notification_settings",
    metadata,
    sa.Column(
        "account_id", Id, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    sa.Column("hides_errors", sa.Boolean, nullable=False),
    sa.Column("opted_out", _Json, nullable=False),  # ids of events
)

#: What is to be sent: mails and calls to hooks. `due_at` is null once it was delivered or given up.
deliveries = _table(
    "deliveries",
    _id(),
    _account(),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("hook_id", Id, sa.ForeignKey("hooks.id", ondelete="CASCADE"), index=True),
    sa.Column("notification_id", Id, sa.ForeignKey("notifications.id", ondelete="CASCADE"), index=True),
    sa.Column("content", _Json),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("due_at", Moment),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("delivered_at", Moment),
    sa.Column("given_up_at", Moment),
    sa.Column("last_error", sa.Text),
    sa.Index("ix_deliveries_due_at", "due_at"),
)

#: Pushed records that wait to be loaded, where several machines share the store; else they wait in files. Whoever gives
#: positions holds the state's row until they are committed, so that they become visible in their order. `bytes` is the
#: sum of what waits, `tables` what the source knows of its tables.
inbox_state = sa.Table(
    "inbox_state",
    metadata,
    sa.Column(
        "source_id", Id, sa.ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    sa.Column("last_position", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("committed_position", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("tables", sa.Text),
)

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column(
        "source_id",
        Id,
        sa.ForeignKey("inbox_state.source_id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)
