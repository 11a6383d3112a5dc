"""initial"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("episode_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_episode_id"), "alerts", ["episode_id"], unique=False)
    op.create_index(op.f("ix_alerts_model_at"), "alerts", ["model", "at"], unique=False)
    op.create_table(
        "blocks",
        sa.Column("q", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("q", "model", "partition", "start", name=op.f("pk_blocks")),
    )
    op.create_table(
        "champions",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("artifact", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("reference_id", sa.Text(), nullable=False),
        sa.Column("effective_from", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_champions")),
    )
    op.create_table(
        "closings",
        sa.Column("closing_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("closing_id", name=op.f("pk_closings")),
    )
    op.create_index(op.f("ix_closings_model_start"), "closings", ["model", "start"], unique=False)
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("retrain", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_decisions")),
    )
    op.create_index(op.f("ix_decisions_model_at"), "decisions", ["model", "at"], unique=False)
    op.create_table(
        "detect_applied",
        sa.Column("q", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("q", "model", "source", "partition", name=op.f("pk_detect_applied")),
    )
    op.create_table(
        "detect_cursors",
        sa.Column("q", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("watermark", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("q", name=op.f("pk_detect_cursors")),
    )
    op.create_table(
        "detect_sources",
        sa.Column("q", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("partitions", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("watermark", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("floor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("idle", sa.Boolean(), nullable=False),
        sa.Column("newest", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("q", "source", "partition", name=op.f("pk_detect_sources")),
    )
    op.create_table(
        "episodes",
        sa.Column("episode_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("reference_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("onset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("evidence", sa.Float(), nullable=False),
        sa.Column("budget", sa.Float(), nullable=False),
        sa.Column("causes", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("episode_id", name=op.f("pk_episodes")),
    )
    op.create_index(op.f("ix_episodes_model_updated_at"), "episodes", ["model", "updated_at"], unique=False)
    op.create_table(
        "findings",
        sa.Column("finding_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("window_start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("window_end", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("finding_id", name=op.f("pk_findings")),
    )
    op.create_index(op.f("ix_findings_model_window_end"), "findings", ["model", "window_end"], unique=False)
    op.create_table(
        "join_cursors",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("watermark", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("source", "partition", name=op.f("pk_join_cursors")),
    )
    op.create_table(
        "model_references",
        sa.Column("reference_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("effective_from", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("samples", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("reference_id", name=op.f("pk_model_references")),
    )
    op.create_index(op.f("ix_model_references_model_effective_from"), "model_references", ["model", "effective_from"], unique=False)
    op.create_index(op.f("ix_model_references_sequence"), "model_references", ["sequence"], unique=True)
    op.create_table(
        "model_states",
        sa.Column("q", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("q", "model", name=op.f("pk_model_states")),
    )
    op.create_table(
        "model_versions",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", "sequence", name=op.f("pk_model_versions")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=True),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_outbox_owner_id"), "outbox", ["owner", "id"], unique=False)
    op.create_table(
        "outcomes",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("prediction", sa.LargeBinary(), nullable=True),
        sa.Column("label_time", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("label", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("model", "event_id", name=op.f("pk_outcomes")),
    )
    op.create_index(op.f("ix_outcomes_model_time"), "outcomes", ["model", "time"], unique=False)
    op.create_table(
        "panes",
        sa.Column("q", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("reference_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("width", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("offsets", sa.LargeBinary(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("q", "model", "reference_id", "kind", "width", "start", "late", name=op.f("pk_panes")),
    )
    op.create_index(op.f("ix_panes_model_start"), "panes", ["model", "start"], unique=False)
    op.create_index(op.f("ix_panes_q_closed"), "panes", ["q", "closed"], unique=False)
    op.create_table(
        "reports",
        sa.Column("episode_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column("json", sa.Text(), nullable=True),
        sa.Column("made_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("episode_id", name=op.f("pk_reports")),
    )
    op.create_table(
        "runs",
        sa.Column("trigger_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lease_until", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("trigger_id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_model_started_at"), "runs", ["model", "started_at"], unique=False)
    op.create_table(
        "triggers",
        sa.Column("trigger_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("trigger_id", name=op.f("pk_triggers")),
    )
    op.create_index(op.f("ix_triggers_model_at"), "triggers", ["model", "at"], unique=False)
    op.create_index(op.f("ix_triggers_status_model"), "triggers", ["status", "model"], unique=False)


def downgrade() -> None:
    """Go back from it."""
    op.drop_index(op.f("ix_triggers_status_model"), table_name="triggers")
    op.drop_index(op.f("ix_triggers_model_at"), table_name="triggers")
    op.drop_table("triggers")
    op.drop_index(op.f("ix_runs_model_started_at"), table_name="runs")
    op.drop_table("runs")
    op.drop_table("reports")
    op.drop_index(op.f("ix_panes_q_closed"), table_name="panes")
    op.drop_index(op.f("ix_panes_model_start"), table_name="panes")
    op.drop_table("panes")
    op.drop_index(op.f("ix_outcomes_model_time"), table_name="outcomes")
    op.drop_table("outcomes")
    op.drop_index(op.f("ix_outbox_owner_id"), table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("model_versions")
    op.drop_table("model_states")
    op.drop_index(op.f("ix_model_references_sequence"), table_name="model_references")
    op.drop_index(op.f("ix_model_references_model_effective_from"), table_name="model_references")
    op.drop_table("model_references")
    op.drop_table("join_cursors")
    op.drop_index(op.f("ix_findings_model_window_end"), table_name="findings")
    op.drop_table("findings")
    op.drop_index(op.f("ix_episodes_model_updated_at"), table_name="episodes")
    op.drop_table("episodes")
    op.drop_table("detect_sources")
    op.drop_table("detect_cursors")
    op.drop_table("detect_applied")
    op.drop_index(op.f("ix_decisions_model_at"), table_name="decisions")
    op.drop_table("decisions")
    op.drop_table("counters")
    op.drop_index(op.f("ix_closings_model_start"), table_name="closings")
    op.drop_table("closings")
    op.drop_table("champions")
    op.drop_table("blocks")
    op.drop_index(op.f("ix_alerts_model_at"), table_name="alerts")
    op.drop_index(op.f("ix_alerts_episode_id"), table_name="alerts")
    op.drop_table("alerts")
