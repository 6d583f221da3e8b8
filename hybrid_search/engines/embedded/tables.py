"""The tables of the embedded engine: ``store.sqlite`` is the truth that processes share, ``towers.sqlite`` keeps what towers computed.

How derived structures follow the store:

- ``sequence.last`` numbers the transactions that changed a product, a vector or the list of spaces; every row such a transaction
  touched carries its number, so a batch shares one. Read the sequence and the rows in one transaction, and page by ``(seq, slot)``.
- ``sequence.store`` is a random name given when the file was made: structures derived under another name belong to another store.
- ``products.slot`` numbers the rows of derived structures. It is never given to another id, and an id that comes back keeps it.
- ``products.text_seq`` moves only when a product's words change (creation and deletion included): all that a text index follows.
- ``vectors`` keeps the row of a removed vector with ``rows = 0`` and ``data = NULL`` under a new number.
- ``spaces.ordinal`` is the number under which the space was made: a key that was dropped and made again has another ordinal.

How the ledger stays cheap with a million pending rows:

- ``ledger.chunk`` holds, on all rows of a product, the open chunk the product is in; ``members`` is the same by product, and also
  remembers products whose ledger rows come and go meanwhile. The partial index ``ledger_waiting`` therefore holds exactly what may
  be chunked, in the order in which it is.
- ``ledger.counted`` says that the running chunk has already counted this attempt.
- Triggers keep ``counts``, so that nobody counts rows.
"""

from __future__ import annotations

APPLICATION_ID = 0x48795365
"""``PRAGMA application_id`` of both files: tells ours from any other SQLite file."""

STORE_STEPS: tuple[str, ...] = (
    """
    CREATE TABLE sequence (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        last INTEGER NOT NULL,
        store TEXT NOT NULL
    );
    INSERT INTO sequence VALUES (1, 0, lower(hex(randomblob(16))));

    CREATE TABLE products (
        slot INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        seq INTEGER NOT NULL,
        text_seq INTEGER NOT NULL,
        deleted INTEGER NOT NULL DEFAULT 0,
        body BLOB NOT NULL,
        parts TEXT NOT NULL
    );
    CREATE INDEX products_seq ON products (seq);
    CREATE INDEX products_text_seq ON products (text_seq);

    CREATE TABLE ledger (
        slot INTEGER NOT NULL,
        space TEXT NOT NULL,
        state TEXT NOT NULL,
        model TEXT NOT NULL,
        parts TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        updated REAL NOT NULL,
        not_before REAL NOT NULL DEFAULT 0,
        priority INTEGER NOT NULL,
        alone INTEGER NOT NULL DEFAULT 0,
        counted INTEGER NOT NULL DEFAULT 0,
        chunk TEXT,
        PRIMARY KEY (slot, space)
    ) WITHOUT ROWID;
    CREATE INDEX ledger_waiting ON ledger (priority, alone, not_before, slot) WHERE state = 'pending' AND chunk IS NULL;
    CREATE INDEX ledger_failed ON ledger (slot) WHERE state = 'failed';

    CREATE TABLE vectors (
        slot INTEGER NOT NULL,
        space TEXT NOT NULL,
        seq INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        data BLOB,
        PRIMARY KEY (slot, space)
    );
    CREATE INDEX vectors_seq ON vectors (space, seq);

    CREATE TABLE spaces (
        key TEXT PRIMARY KEY,
        ordinal INTEGER NOT NULL,
        body TEXT NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE chunks (
        id TEXT PRIMARY KEY,
        priority INTEGER NOT NULL,
        state TEXT NOT NULL,
        product_ids TEXT NOT NULL,
        created REAL NOT NULL,
        started REAL,
        beat REAL NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE members (
        slot INTEGER PRIMARY KEY,
        chunk TEXT NOT NULL
    );
    CREATE INDEX members_chunk ON members (chunk);

    CREATE TABLE control (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        version INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    INSERT INTO control VALUES (1, 0, '{}');

    CREATE TABLE counts (
        space TEXT NOT NULL,
        state TEXT NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (space, state)
    ) WITHOUT ROWID;
    INSERT INTO counts VALUES ('', 'products', 0);

    CREATE TRIGGER products_made AFTER INSERT ON products WHEN NOT new.deleted BEGIN
        UPDATE counts SET n = n + 1 WHERE space = '' AND state = 'products';
    END;
    CREATE TRIGGER products_changed AFTER UPDATE OF deleted ON products WHEN old.deleted <> new.deleted BEGIN
        UPDATE counts SET n = n + old.deleted - new.deleted WHERE space = '' AND state = 'products';
    END;
    CREATE TRIGGER ledger_made AFTER INSERT ON ledger BEGIN
        INSERT INTO counts VALUES (new.space, new.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
    END;
    CREATE TRIGGER ledger_changed AFTER UPDATE OF state ON ledger WHEN old.state <> new.state BEGIN
        UPDATE counts SET n = n - 1 WHERE space = old.space AND state = old.state;
        INSERT INTO counts VALUES (new.space, new.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
    END;
    CREATE TRIGGER ledger_gone AFTER DELETE ON ledger BEGIN
        UPDATE counts SET n = n - 1 WHERE space = old.space AND state = old.state;
    END;
    """,
)
"""``STORE_STEPS[v]`` takes the store from version ``v`` to ``v + 1``; the first one makes it. Kept in ``PRAGMA user_version``."""

TOWER_STEPS: tuple[str, ...] = (
    """
    CREATE TABLE outputs (
        model TEXT NOT NULL,
        hash TEXT NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (model, hash)
    ) WITHOUT ROWID;
    """,
)
"""The same for the tower outputs: ``data`` is ``(dim,)`` float32, little-endian."""
