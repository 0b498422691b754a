"""Frame logs: written, read, exported, summarised, replayed."""
