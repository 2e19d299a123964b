"""The weekly digest: facts first (`facts`, `making`), then one wording, then text, HTML and a chart of the trends."""
