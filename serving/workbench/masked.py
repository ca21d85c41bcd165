"""A statement for the audit: its words without its values, since a value may name a patient.

    select ? from marts.fct_visits where patient_id = ?

Kept are words of SQL, operators, names of functions, and names of tables and columns that the person has. Values, comments and all other
names become `?`. The full text is in the person's history, sealed.
"""

from collections.abc import Collection

import duckdb

_MOST = 2_000


def masked(sql: str, names: Collection[str]) -> str:
    """The statement with `?` in place of what is not SQL or one of `names`, in lower case."""
    try:
        tokens = duckdb.tokenize(sql)
    except duckdb.Error:
        return "?"
    # The places of words are counted in bytes.
    content = sql.encode()
    ends = [start for start, _ in tokens[1:]] + [len(content)]
    parts: list[str] = []
    for (start, kind), end in zip(tokens, ends, strict=True):
        word = content[start:end].decode().strip()
        if kind == duckdb.token_type.comment or not word:
            continue
        is_plain = kind in (duckdb.token_type.keyword, duckdb.token_type.operator)
        is_function = content[end : end + 1] == b"(" and word.isidentifier()
        is_name = kind == duckdb.token_type.identifier and (word.strip('"').lower() in names or is_function)
        parts.append(word.lower() if is_plain or is_name else "?")
    text = " ".join(parts).replace(" . ", ".")
    return text if len(text) <= _MOST else text[:_MOST] + " ..."
