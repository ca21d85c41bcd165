"""`/api/v1`: figures, rows and extracts for programs, through the same gate as the pages."""

PREFIX = "/api/v1"
