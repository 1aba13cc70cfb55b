"""The pictures of the report: inline SVG, one file per idea."""
