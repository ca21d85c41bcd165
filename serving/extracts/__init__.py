"""Extracts: what a person may see, as a file for the person's own tools, with views of the metrics and a dictionary inside.

    content         the tables, views and dictionary, in a DuckDB database that is attached
    metric_views    a view for each metric
    dictionary      what tables, columns, keys and metrics mean; example queries
    parquet_zip     the same content as a ZIP of Parquet and CSV files
    write           the file of a person, its audit row

Rights, de-identification and the tables are those of the scope. The page SQL asks the same content (`serving.workbench`).
"""

from serving.extracts.write import FORMATS, extract, extract_bytes

__all__ = ["FORMATS", "extract", "extract_bytes"]
