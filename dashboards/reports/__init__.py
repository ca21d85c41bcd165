"""A page of figures as a file: an Excel workbook or a PDF, made on the server from the figures that the page shows.

contents    what stands in a report: the page's tiles, its table, cautions and definitions
workbook    a report as XLSX
document    a report as PDF
make        makes one for a person, behind the gate, and audits it
chosen      a report that a person builds: between its definition and the address of the page
answer      the figures of such a report, asked in one question
built       such a report as a file
"""
