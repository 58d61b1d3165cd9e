"""How fast the suite is, as ratios measured side by side in one run; apart from the tests."""
