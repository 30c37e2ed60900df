"""The page of a report: layout, tables, the style of figures, export to files."""
