"""What every other package stands on: the home folder, keys, encrypted DuckDB files, configuration and errors.

It exists because `ingest` and `serving` may not import each other, yet both open the same home and the same
encrypted files. It imports nothing of this project and knows no entity, metric or page.
"""
