"""coord-land - a merge queue: nothing reaches the target but what was tested as it lands."""
