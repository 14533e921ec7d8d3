"""coord-web - the whole shop in a browser, now and at any moment before."""
