"""names from outside that are let in"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision. Nothing is admitted yet: who comes first is, and models with a reference need not be."""
    op.create_table(
        "admitted",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "name", name=op.f("pk_admitted")),
    )
    op.create_index(op.f("ix_admitted_scope_number"), "admitted", ["scope", "number"], unique=True)


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_table("admitted")
