"""One module, or small package, for each source of raw rows."""
