"""Examples for the help of each command."""

EXAMPLES = {
    "stdio": ("coord-mcp stdio --as builder",),
    "http": ("coord-mcp http --port 8000 --as hub",),
}
