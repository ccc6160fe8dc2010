"""Create items, and the index from tags to items."""

from alembic import op

revision = "0001"
down_revision = None

ITEMS = """
    CREATE TABLE items (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        description TEXT,
        price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
        tags TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
"""
ITEM_TAGS = """
    CREATE TABLE item_tags (
        tag TEXT NOT NULL,
        item_id TEXT NOT NULL,
        PRIMARY KEY (tag, item_id)
    ) STRICT, WITHOUT ROWID
"""
# Triggers keep the tags' index, so that no writer can forget it.
TRIGGERS = (
    """
    CREATE TRIGGER items_inserted AFTER INSERT ON items BEGIN
        INSERT OR IGNORE INTO item_tags SELECT value, new.id FROM json_each(new.tags);
    END
    """,
    """
    CREATE TRIGGER items_tags_updated AFTER UPDATE OF tags ON items BEGIN
        DELETE FROM item_tags WHERE item_id = old.id AND tag IN (SELECT value FROM json_each(old.tags));
        INSERT OR IGNORE INTO item_tags SELECT value, new.id FROM json_each(new.tags);
    END
    """,
    """
    CREATE TRIGGER items_deleted AFTER DELETE ON items BEGIN
        DELETE FROM item_tags WHERE item_id = old.id AND tag IN (SELECT value FROM json_each(old.tags));
    END
    """,
)


def upgrade() -> None:
    """Create the tables."""
    op.execute(ITEMS)
    op.execute(ITEM_TAGS)
    for trigger in TRIGGERS:
        op.execute(trigger)


def downgrade() -> None:
    """Drop the tables and all items in them."""
    op.execute("DROP TABLE items")
    op.execute("DROP TABLE item_tags")
