"""What no single column shows: relations between columns, on the row samples of panes."""
