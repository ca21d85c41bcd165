"""When things run: assets, checks, schedules and sensors over `ingest` and `serving`. No SQL, no parsing, no business rule."""
