"""A page of figures as a file: an Excel workbook or a PDF, made on the server from the figures that the page shows.

contents    what stands in a report: the page's tiles, its table, cautions and definitions
workbook    a report as XLSX
document    a report as PDF
make        makes one for a person, behind the gate, and audits it
"""
