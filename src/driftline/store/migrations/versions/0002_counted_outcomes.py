"""what an outcome was counted as"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision. Outcomes from before it hold NULL: the join judges them anew, as it did until then."""
    op.add_column("outcomes", sa.Column("counted", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_column("outcomes", "counted")
