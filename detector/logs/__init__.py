"""Write, read, export, summarise and replay frame logs."""
