"""how each partition is cut into blocks"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision. Where nothing is stored, blocks have ended by their offsets only."""
    op.create_table(
        "block_cuts",
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("since", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("span", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("partition", "since", name=op.f("pk_block_cuts")),
    )


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_table("block_cuts")
