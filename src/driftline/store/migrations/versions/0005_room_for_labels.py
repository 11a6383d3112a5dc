"""room beside predictions for their labels (PostgreSQL)"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this revision. Each outcome is written twice, by its prediction and by its label: the second version finds room in the page of the first,
    and no index hears of it. Pages that are full stay so.
    """
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE outcomes SET (fillfactor = 50)")


def downgrade() -> None:
    """Go back to the revision before."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE outcomes RESET (fillfactor)")
