<%
    # As `ruff format` writes them.
    def quoted(value):
        return repr(value).replace("'", '"')

    docstring = message.replace("\\", "\\\\").replace('"', "'").strip()
%>\
"""${docstring}"""

from alembic import op

revision = ${quoted(up_revision)}
down_revision = ${quoted(down_revision)}


def upgrade() -> None:
    op.execute("""
    """)


def downgrade() -> None:
    op.execute("""
    """)
