"""Create items, with an index on their tags."""

from alembic import op

revision = "0001"
down_revision = None

# Names and tags compare by code point, so that sorting is the same under every locale.
ITEMS = """
    CREATE TABLE items (
        id uuid PRIMARY KEY,
        name text COLLATE "C" NOT NULL UNIQUE,
        description text,
        price_cents bigint NOT NULL CHECK (price_cents >= 0),
        tags text[] COLLATE "C" NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(ITEMS)
    op.execute("CREATE INDEX items_tags ON items USING gin (tags)")


def downgrade() -> None:
    """Drop the table and all items in it."""
    op.execute("DROP TABLE items")
