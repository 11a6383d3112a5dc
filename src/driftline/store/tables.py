"""All tables. Times are epoch milliseconds; published things are kept as the JSON text that was published, the rest
as MessagePack.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only where the key is spelled INTEGER.
_SERIAL = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str, *, key: bool = False, null: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=null)


def _int(name: str, *, key: bool = False, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=key, nullable=null, autoincrement=False)


def _blob(name: str, *, null: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=null)


outbox = Table(
    "outbox",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    _text("owner"),
    _text("topic"),
    Column("partition", Integer),
    _blob("key"),
    _blob("value"),
    _blob("headers"),
    Index(None, "owner", "id"),
    sqlite_autoincrement=True,  # an id never comes back: what was sent under it may still be on its way
)

counters = Table("counters", metadata, _text("name", key=True), _int("value"))

#: Names from outside that are let in, in the order in which they came: the models that nobody registered, the versions of each.
admitted = Table(
    "admitted",
    metadata,
    _text("scope", key=True),
    _text("name", key=True),
    _int("number"),
    Index(None, "scope", "number", unique=True),
)

references = Table(
    "model_references",
    metadata,
    _text("reference_id", key=True),
    _int("sequence"),
    _text("model"),
    _text("version"),
    _int("effective_from"),
    _text("origin"),
    _blob("payload"),
    _blob("samples"),
    Index(None, "sequence", unique=True),
    Index(None, "model", "effective_from"),
)

# ---- summarise
block_cuts = Table("block_cuts", metadata, _int("partition", key=True), _int("since", key=True), _int("size"), _int("span"), _int("bytes"))

# ---- join
join_cursors = Table(
    "join_cursors",
    metadata,
    _text("source", key=True),
    _int("partition", key=True),
    _int("next_offset"),
    _int("watermark"),
)

outcomes = Table(
    "outcomes",
    metadata,
    _text("model", key=True),
    _text("event_id", key=True),
    _int("time"),  # of the event; of its label as long as no prediction has come
    _blob("prediction", null=True),
    _int("label_time", null=True),
    _blob("label", null=True),
    _blob("counted", null=True),  # how it went into a pane; nil: it did not; NULL: not complete, or from before revision 0002
    Index(None, "model", "time"),
)

# ---- detect: `q` is the partition of the summaries topic
detect_cursors = Table("detect_cursors", metadata, _int("q", key=True), _int("next_offset"), _int("watermark"))

detect_sources = Table(
    "detect_sources",
    metadata,
    _int("q", key=True),
    _text("source", key=True),
    _int("partition", key=True),
    _int("partitions"),
    _int("position"),
    _int("watermark"),
    _int("floor"),
    Column("idle", Boolean, nullable=False),
    _int("newest"),
)

detect_applied = Table(
    "detect_applied",
    metadata,
    _int("q", key=True),
    _text("model", key=True),
    _text("source", key=True),
    _int("partition", key=True),
    _int("sequence"),
)

blocks = Table(
    "blocks",
    metadata,
    _int("q", key=True),
    _text("model", key=True),
    _int("partition", key=True),
    _int("start", key=True),
    _int("first"),
    _int("next"),
    Column("final", Boolean, nullable=False),
    _blob("payload"),
)

panes = Table(
    "panes",
    metadata,
    _int("q", key=True),
    _text("model", key=True),
    _text("reference_id", key=True),
    _text("kind", key=True),
    _int("width", key=True),
    _int("start", key=True),
    Column("late", Boolean, primary_key=True, nullable=False),
    _blob("payload"),
    _blob("offsets"),
    Column("closed", Boolean, nullable=False),
    _int("revision"),
    Index(None, "model", "start"),
    Index(None, "q", "closed"),
)

model_states = Table("model_states", metadata, _int("q", key=True), _text("model", key=True), _blob("payload"))

# ---- what was said
findings = Table(
    "findings",
    metadata,
    _text("finding_id", key=True),
    _int("revision"),
    _text("model"),
    _text("state"),
    _int("window_start"),
    _int("window_end"),
    _text("payload"),
    Index(None, "model", "window_end"),
)

alerts = Table(
    "alerts",
    metadata,
    _text("alert_id", key=True),
    _text("episode_id"),
    _text("model"),
    _int("at"),
    _int("revision"),
    _text("payload"),
    Index(None, "episode_id"),
    Index(None, "model", "at"),
)

episodes = Table(
    "episodes",
    metadata,
    _text("episode_id", key=True),
    _text("model"),
    _text("version"),
    _text("reference_id"),
    _text("status"),
    _text("severity"),
    _int("revision"),
    _int("onset"),
    _int("opened_at"),
    _int("updated_at"),
    _int("resolved_at", null=True),
    _int("n"),
    Column("evidence", Float, nullable=False),
    Column("budget", Float, nullable=False),
    _text("causes"),
    _text("sentence"),
    Index(None, "model", "updated_at"),
)

decisions = Table(
    "decisions",
    metadata,
    _text("decision_id", key=True),
    _text("model"),
    _int("at"),
    Column("retrain", Boolean, nullable=False),
    _text("payload"),
    Index(None, "model", "at"),
)

closings = Table(
    "closings",
    metadata,
    _text("closing_id", key=True),
    _text("model"),
    _int("start"),
    _text("payload"),
    Index(None, "model", "start"),
)

reports = Table(
    "reports",
    metadata,
    _text("episode_id", key=True),
    _text("status"),
    _text("html", null=True),
    _text("json", null=True),
    _int("made_at"),
    _text("reason"),
)

# ---- retraining
triggers = Table(
    "triggers",
    metadata,
    _text("trigger_id", key=True),
    _text("model"),
    _int("at"),
    _text("status"),
    _int("settled_at", null=True),
    _text("payload"),
    Index(None, "status", "model"),
    Index(None, "model", "at"),
)

runs = Table(
    "runs",
    metadata,
    _text("trigger_id", key=True),
    _text("model"),
    _int("attempt"),
    _text("owner"),
    _int("started_at"),
    _int("lease_until"),
    _text("status"),
    _int("finished_at", null=True),
    _blob("detail"),
    Index(None, "model", "started_at"),
)

champions = Table(
    "champions",
    metadata,
    _text("model", key=True),
    _int("sequence"),
    _text("version"),
    _text("artifact", null=True),
    _text("sha256", null=True),
    _text("reference_id"),
    _int("effective_from"),
)

model_versions = Table(
    "model_versions",
    metadata,
    _text("model", key=True),
    _int("sequence", key=True),
    _text("status"),
    _text("version"),
    _text("payload"),
)
