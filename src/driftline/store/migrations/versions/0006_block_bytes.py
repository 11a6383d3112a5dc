"""blocks end by what they weigh, too"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision. What was cut so far was cut whatever it weighed."""
    op.add_column("block_cuts", sa.Column("bytes", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_column("block_cuts", "bytes")
