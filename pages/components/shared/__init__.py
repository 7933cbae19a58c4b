"""What every page uses: frame, services, links, text, tables, charts."""
