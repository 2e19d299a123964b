"""A made-up company that the real pipelines load, through files and loopback servers."""
