"""coord-mcp - work items, mail, leases, jobs and events for MCP clients."""
